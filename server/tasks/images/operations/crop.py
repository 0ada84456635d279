"""Cuts a part out of a picture."""

from functools import reduce
from typing import Annotated, Literal

from PIL import Image, ImageChops
from pydantic import Field

from server.tasks.images.frame import Frame
from server.tasks.images.geometry import Gravity, align
from server.tasks.images.operations.sizes import Side
from server.tasks.images.operations.smart import busiest_part

Edge = Annotated[int, Field(ge=0, le=1_000_000, description="Pixels from the image's edge; overrides `gravity`.")]


def crop(
    frame: Frame,
    width: Side,
    height: Side,
    left: Edge | None = None,
    top: Edge | None = None,
    gravity: Annotated[
        Literal[Gravity, "smart"], Field(description="The part to keep; smart: the one with the most detail.")
    ] = "center",
) -> Frame:
    """Cut `width` x `height` out of an image; a box beyond the edge is moved in, and cut to the image's size."""
    size = min(width, frame.size[0]), min(height, frame.size[1])

    def cut(pixels: Image.Image) -> Image.Image:
        if gravity == "smart":
            x, y = frame.once((crop, size), lambda: busiest_part(pixels, size))
        else:
            x, y = (round(edge) for edge in align(size, frame.size, gravity))
        x = x if left is None else min(left, frame.size[0] - size[0])
        y = y if top is None else min(top, frame.size[1] - size[1])
        return pixels.crop((x, y, x + size[0], y + size[1]))

    return frame.moved(cut)


def trim(
    frame: Frame,
    tolerance: Annotated[
        int,
        Field(
            ge=0, le=254, description="How far a channel (0 to 255) may be from the border's and still belong to it."
        ),
    ] = 10,
) -> Frame:
    """Cut off the border: all that has the color of the upper left pixel. An image of one color is not changed."""
    frame = frame.coarse(frame.size)  # decoded once, for the border and for the result
    pixels = frame.pixels()
    box = frame.once((trim, tolerance), lambda: _content(pixels, tolerance))
    return frame if box is None or box == (0, 0, *frame.size) else frame.moved(lambda image: image.crop(box))


def _content(image: Image.Image, tolerance: int) -> tuple[int, int, int, int] | None:
    """Return the smallest box with everything that differs from the border; None if nothing does."""
    border = image.getpixel((0, 0))
    if isinstance(border, tuple) and len(border) == 4 and border[3] == 0:
        # Invisible colors are ignored.
        return image.getchannel("A").point(lambda value: 255 * (value > tolerance)).getbbox()
    difference = ImageChops.difference(image, Image.new(image.mode, image.size, border))
    strongest = reduce(ImageChops.lighter, difference.split())
    return strongest.point(lambda value: 255 * (value > tolerance)).getbbox()
