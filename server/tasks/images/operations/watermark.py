"""Puts a mark on a picture: another picture, or text."""

from collections.abc import Iterator
from typing import Annotated

from PIL import Image
from pydantic import Field

from server.sdk.context import Upload
from server.tasks.images.color import Color
from server.tasks.images.frame import Frame, Size
from server.tasks.images.geometry import Gravity, align, fit_within
from server.tasks.images.reading.source import Source
from server.tasks.images.settings import ImageSettings
from server.tasks.images.text import fonts
from server.tasks.images.text.lettering import written

_MARGIN = 0.02  # margin between the mark and the edge, relative to the picture's shorter side
_GAP = 0.5  # gap between tiled marks, relative to the mark's sides


def watermark(
    frame: Frame,
    mark: Annotated[Upload | None, Field(description="The image to put on the other.")] = None,
    text: Annotated[Annotated[str, Field(min_length=1, max_length=200)] | None, Field(examples=["draft"])] = None,
    font: Annotated[
        Upload | None,
        Field(description="A TrueType or OpenType file. Default: Noto Sans, which has Latin, Greek and Cyrillic."),
    ] = None,
    size: Annotated[int | None, Field(ge=4, le=2000, description="Text size in pixels; overrides `scale`.")] = None,
    color: Annotated[Color, Field(description="Color of the text.")] = "#ffffff",
    angle: Annotated[float, Field(ge=-360, le=360, description="Degrees to rotate it, clockwise.")] = 0,
    tile: Annotated[bool, Field(description="Repeat it all over the image.")] = False,
    gravity: Annotated[Gravity, Field(description="Its position on the image.")] = "southeast",
    opacity: Annotated[float, Field(gt=0, le=1)] = 0.5,
    scale: Annotated[float, Field(ge=0.01, le=1, description="Its width, relative to the image's.")] = 0.25,
    *,
    settings: ImageSettings,
) -> Frame:
    """Put a mark on an image: the image `mark`, or else `text` with an outline that keeps it readable."""
    bounds = max(1, round(frame.size[0] * scale)), max(1, round(frame.size[1] * scale))
    if scale > 0.9 or (mark is None and size is not None):
        bounds = frame.size
    elif mark is None:
        # Text is wide: the width limits it, and the height only in a narrow strip.
        bounds = bounds[0], frame.size[1]

    def layer() -> Image.Image:
        picture = (
            _image(mark, bounds)
            if mark is not None
            else written(text or "", _fonts(font, settings), color, size, bounds)
        )
        picture.putalpha(picture.getchannel("A").point(lambda value: round(value * opacity)))
        return picture.rotate(-angle, Image.Resampling.BICUBIC, expand=True) if angle else picture

    key = (watermark, id(mark), text, id(font), size, color, angle, bounds, opacity)
    drawn, marked = frame.once(key, layer), frame.pixels().copy()
    for corner in _tiles(drawn.size, marked.size) if tile else [_corner(drawn.size, marked.size, gravity)]:
        _put(drawn, marked, corner)
    return frame.showing(marked)


def has_a_mark(mark: Upload | None, text: str | None, **_: object) -> None:
    """Refuse a watermark that has neither a mark nor a text."""
    if mark is None and not (text or "").strip():
        raise ValueError("There is nothing to put on the image: give a `mark` or a `text`")


def _image(mark: Upload, bounds: Size) -> Image.Image:
    still = Source(mark).still()
    return still.scaled(fit_within(still.size, bounds, enlarge=True)).pixels().convert("RGBA")


def _fonts(font: Upload | None, settings: ImageSettings) -> list[fonts.Font]:
    """Return the fonts: the client's first, then the bundled one (always the same), then the configured ones."""
    sent = [] if font is None else [fonts.Font(font.read())]
    return [*sent, fonts.bundled(), *(fonts.configured(path) for path in settings.watermark_fonts)]


def _tiles(mark: Size, size: Size) -> Iterator[tuple[int, int]]:
    """Yield left and top of each tiled mark; every second row is shifted by half a step."""
    across, down = (max(1, round(side * (1 + _GAP))) for side in mark)
    for row, top in enumerate(range(0, size[1], down)):
        for left in range(-(across // 2) * (row % 2), size[0], across):
            yield left, top


def _corner(mark: Size, size: Size, gravity: Gravity) -> tuple[int, int]:
    """Return left and top of a single mark; a mark as large as the picture has no margin."""
    margin = round(min(size) * _MARGIN)
    inner = size[0] - 2 * margin, size[1] - 2 * margin
    left, top = (round(edge) + margin for edge in align(mark, inner, gravity))
    return max(0, min(left, size[0] - mark[0])), max(0, min(top, size[1] - mark[1]))


def _put(layer: Image.Image, image: Image.Image, at: tuple[int, int]) -> None:
    """Paste the mark there; the part outside the image is cut off."""
    if image.mode == "RGBA":
        image.alpha_composite(layer, at)
    else:
        image.paste(layer.convert("RGB"), at, layer.getchannel("A"))
