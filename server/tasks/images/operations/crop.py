"""Cutting a part out of a picture."""

from itertools import accumulate
from typing import Annotated, Literal

from PIL import Image, ImageChops, ImageFilter
from pydantic import Field

from server.tasks.images.frame import Frame, Size
from server.tasks.images.geometry import Gravity, fit_within, place
from server.tasks.images.operations.sizes import Side

Edge = Annotated[int, Field(ge=0, le=1_000_000, description="Pixels from the image's edge; wins over `gravity`.")]

#: The longest side of the picture that attention is measured on.
_GLANCE = 96


def crop(
    frame: Frame,
    width: Side,
    height: Side,
    left: Edge | None = None,
    top: Edge | None = None,
    gravity: Annotated[
        Literal[Gravity, "smart"], Field(description="Which part stays; smart: where most is to be seen.")
    ] = "center",
) -> Frame:
    """Cut `width` x `height` out of an image; a box that juts out is moved in, and cut to the image's size."""
    size = min(width, frame.size[0]), min(height, frame.size[1])
    pixels = frame.pixels()
    if gravity == "smart":
        x, y = frame.once((crop, size), lambda: most_interesting(pixels, size))
    else:
        x, y = (round(edge) for edge in place(size, frame.size, gravity))
    x = x if left is None else min(left, frame.size[0] - size[0])
    y = y if top is None else min(top, frame.size[1] - size[1])
    return frame.showing(pixels.crop((x, y, x + size[0], y + size[1])))


def most_interesting(image: Image.Image, size: Size) -> tuple[int, int]:
    """Left and top of the box of this size with the most edges and strong colours; the middle where all is even."""
    small = image.convert("RGB").resize(fit_within(image.size, (_GLANCE, _GLANCE)), Image.Resampling.BOX)
    scale = image.width / small.width, image.height / small.height
    box = max(1, round(size[0] / scale[0])), max(1, round(size[1] / scale[1]))
    sums = _summed(_attention(small))
    spare = max(0, small.width - box[0]), max(0, small.height - box[1])

    def rank(corner: tuple[int, int]) -> tuple[int, float]:
        x, y = corner
        right, bottom = min(small.width, x + box[0]), min(small.height, y + box[1])
        seen = sums[bottom][right] - sums[y][right] - sums[bottom][x] + sums[y][x]
        return seen, -abs(x - spare[0] / 2) - abs(y - spare[1] / 2)

    x, y = max(((x, y) for y in range(spare[1] + 1) for x in range(spare[0] + 1)), key=rank)
    room = image.width - size[0], image.height - size[1]
    # Scaled by the room that is left, so that a box at the small picture's end is at the large one's end too.
    return round(x / spare[0] * room[0]) if spare[0] else room[0] // 2, (
        round(y / spare[1] * room[1]) if spare[1] else room[1] // 2
    )


def _attention(image: Image.Image) -> Image.Image:
    grey = image.convert("L")
    edges = ImageChops.difference(grey, grey.filter(ImageFilter.GaussianBlur(2)))
    strong = image.convert("HSV").getchannel("S").point(lambda value: value // 8)
    return ImageChops.add(edges, strong)


def _summed(image: Image.Image) -> list[list[int]]:
    """For each corner the sum of all that lies left and above of it."""
    values = image.tobytes()
    sums = [[0] * (image.width + 1)]
    for row in range(image.height):
        line = accumulate(values[row * image.width : (row + 1) * image.width], initial=0)
        sums.append([above + value for above, value in zip(sums[-1], line, strict=True)])
    return sums
