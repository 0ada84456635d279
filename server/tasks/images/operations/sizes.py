"""Operations that change the number of pixels."""

from typing import Annotated, Literal

from PIL import Image
from pydantic import Field

from server.tasks.images.color import Color
from server.tasks.images.frame import Frame, Size
from server.tasks.images.geometry import Gravity, align, fit_around, fit_within, part_of, times
from server.tasks.images.limits import MAX_SIDE, check_result_size
from server.tasks.images.operations.smart import busiest_part

Side = Annotated[int, Field(ge=1, le=MAX_SIDE, description="Pixels.")]


def thumbnail(frame: Frame, width: Side = 128, height: Side = 128) -> Frame:
    """Fit an image within `width` x `height`, in proportion; it is never enlarged."""
    return frame.scaled(fit_within(frame.size, (width, height)))


def resize(
    frame: Frame,
    width: Side | None = None,
    height: Side | None = None,
    fit: Annotated[
        Literal["contain", "cover", "fill", "pad", "outside"],
        Field(
            description="contain: within the box; cover: fills the box, the rest is cut off; fill: stretched to"
            " the box; pad: within the box, with bars around it; outside: the box fits into the image, uncut."
        ),
    ] = "contain",
    enlarge: Annotated[bool, Field(description="Whether a small image may grow.")] = False,
    gravity: Annotated[
        Literal[Gravity, "smart"],
        Field(description="For cover: the part to keep (smart: the busiest). For pad: the image's place in the box."),
    ] = "center",
    pad_color: Annotated[
        Color | None,
        Field(description="Color of pad's bars. Default: none if the format has transparency, else `background`."),
    ] = None,
) -> Frame:
    """Resize an image to `width` x `height`; a missing side follows from the other."""
    if width is None or height is None:
        bounds = (width or float("inf"), height or float("inf"))
        scalable = enlarge and bounds != (float("inf"), float("inf"))
        return frame.scaled(fit_within(frame.size, bounds, enlarge=scalable))
    box = (width, height)
    if fit == "contain":
        return frame.scaled(fit_within(frame.size, box, enlarge=enlarge))
    if fit == "outside":
        return frame.scaled(fit_around(frame.size, box, enlarge=enlarge))
    if fit == "pad":
        return _padded(frame, box, enlarge, "center" if gravity == "smart" else gravity, pad_color)
    if fit == "fill":
        return frame.scaled(box if enlarge else (min(width, frame.size[0]), min(height, frame.size[1])))
    return _covering(frame, box, enlarge, gravity)


def _covering(frame: Frame, box: Size, enlarge: bool, gravity: Literal[Gravity, "smart"]) -> Frame:
    """Cover the box. If the box is larger than the image, it is shrunk in proportion, which page layouts need."""
    scale = 1.0 if enlarge else min(1.0, frame.size[0] / box[0], frame.size[1] / box[1])
    size = times(box, scale)
    if gravity != "smart":
        return frame.scaled(size, part_of(frame.size, size, gravity))
    around = frame.scaled(fit_around(frame.size, size, enlarge=True))
    pixels = around.display()
    left, top = around.once((_covering, size), lambda: busiest_part(pixels, size))
    return around.showing(pixels.crop((left, top, left + size[0], top + size[1])))


def _padded(frame: Frame, box: Size, enlarge: bool, gravity: Gravity, color: str | None) -> Frame:
    check_result_size(box)
    inner = frame.scaled(fit_within(frame.size, box, enlarge=enlarge))
    left, top = (round(edge) for edge in align(inner.size, box, gravity))
    if color is None:
        sheet = Image.new("RGBA", box)
        sheet.paste(inner.pixels().convert("RGBA"), (left, top))
    else:
        pixels = inner.pixels()
        sheet = Image.new("RGB", box, color)
        sheet.paste(pixels, (left, top), pixels if pixels.mode == "RGBA" else None)
    return inner.showing(sheet)
