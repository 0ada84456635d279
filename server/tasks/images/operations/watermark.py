"""Putting a mark on a picture: another picture, or words."""

from typing import Annotated

from PIL import Image, ImageDraw, ImageFont
from pydantic import Field

from server.sdk.context import Upload
from server.tasks.images.frame import Frame, Size
from server.tasks.images.geometry import Gravity, fit_within, place
from server.tasks.images.source import Source

#: Of the picture's shorter side, between the mark and the edge.
_MARGIN = 0.02

_MEASURED_AT = 100
_WHITE, _SHADOW = (255, 255, 255, 255), (0, 0, 0, 160)


def watermark(
    frame: Frame,
    mark: Annotated[Upload | None, Field(description="An image to put on the other.")] = None,
    text: Annotated[Annotated[str, Field(min_length=1, max_length=200)] | None, Field(examples=["draft"])] = None,
    gravity: Annotated[Gravity, Field(description="Where it goes.")] = "southeast",
    opacity: Annotated[float, Field(gt=0, le=1)] = 0.5,
    scale: Annotated[float, Field(ge=0.01, le=1, description="Its width, as a part of the image's.")] = 0.25,
) -> Frame:
    """Put a mark on an image: the image `mark`, or else `text` in white with a dark rim."""
    room = max(1, round(frame.size[0] * scale)), max(1, round(frame.size[1] * scale))
    if scale > 0.9:
        room = frame.size
    elif mark is None and text:
        # Words are wide: what bounds them is the width, and the height only where the picture is a strip.
        room = room[0], frame.size[1]
    layer = frame.once((watermark, id(mark), text, room, opacity), lambda: _layer(mark, text, room, opacity))
    return frame.showing(_put(layer, frame.pixels(), gravity))


def has_a_mark(mark: Upload | None, text: str | None, **_: object) -> None:
    """Whether there is something to put on an image.

    Raises:
        ValueError: there is not.
    """
    if mark is None and text is None:
        raise ValueError("There is nothing to put on the image: give a `mark` or a `text`")


def _layer(mark: Upload | None, text: str | None, room: Size, opacity: float) -> Image.Image:
    """The mark alone, transparent around it."""
    if mark is not None:
        still = Source(mark).still()
        layer = still.scaled(fit_within(still.size, room, enlarge=True)).pixels().convert("RGBA")
    else:
        layer = _written(text or "", room)
    layer.putalpha(layer.getchannel("A").point(lambda value: round(value * opacity)))
    return layer


def _put(layer: Image.Image, image: Image.Image, gravity: Gravity) -> Image.Image:
    margin = round(min(image.size) * _MARGIN)
    inner = image.width - 2 * margin, image.height - 2 * margin
    left, top = (round(edge) + margin for edge in place(layer.size, inner, gravity))
    # A mark as large as the picture leaves no margin.
    at = max(0, min(left, image.width - layer.width)), max(0, min(top, image.height - layer.height))
    marked = image.copy()
    if marked.mode == "RGBA":
        marked.alpha_composite(layer, at)
    else:
        marked.paste(layer.convert("RGB"), at, layer.getchannel("A"))
    return marked


def _written(text: str, room: Size) -> Image.Image:
    """The words as large as the room allows."""
    box = _extent(text, _MEASURED_AT)
    size = _MEASURED_AT * min(room[0] / max(1, box[2] - box[0]), room[1] / max(1, box[3] - box[1]))
    left, top, right, bottom = _extent(text, size := max(1, size))
    layer = Image.new("RGBA", (max(1, min(room[0], right - left)), max(1, min(room[1], bottom - top))))
    ImageDraw.Draw(layer).text((-left, -top), text, _WHITE, _font(size), stroke_width=_rim(size), stroke_fill=_SHADOW)
    return layer


def _extent(text: str, size: float) -> tuple[int, int, int, int]:
    box = ImageDraw.Draw(Image.new("L", (1, 1))).textbbox((0, 0), text, font=_font(size), stroke_width=_rim(size))
    return int(box[0]), int(box[1]), int(-(-box[2] // 1)), int(-(-box[3] // 1))


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    # Pillow brings one Latin font; which others a machine has differs, and a result must not.
    return ImageFont.load_default(size)


def _rim(size: float) -> int:
    return round(size / 25)
