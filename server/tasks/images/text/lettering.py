"""Draws text as a picture: each character in the first font that supports it."""

import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from itertools import groupby

from PIL import Image, ImageColor, ImageDraw

from server.sdk.errors import TaskError
from server.tasks.images.frame import Size
from server.tasks.images.text.fonts import Font

_MEASURED_AT = 100  # the font size for measuring a text that should fill its space

#: Width of the outline relative to the size: it keeps text readable on a background of its own color.
_RIM = 1 / 25
_MAX_NAMED = 10

_Run = tuple[Font, str]


def written(text: str, fonts: Sequence[Font], color: str, size: int | None, bounds: Size) -> Image.Image:
    """Draw the text in `size`, or as large as `bounds` allow, on a transparent background, cut to `bounds`.

    Raises:
        TaskError: `watermark-glyph-missing` names the characters that no font supports.
    """
    lines = [_runs(line, fonts) for line in _cleaned(text, fonts).split("\n")]
    if size is None:
        width, height = _extent(lines, _MEASURED_AT)
        scale = min(bounds[0] / max(1, width), bounds[1] / max(1, height))
    else:
        scale = size / _MEASURED_AT
    return _drawn(lines, max(1.0, _MEASURED_AT * scale), color, bounds)


def _cleaned(text: str, fonts: Sequence[Font]) -> str:
    """Return the text without invisible characters that no font supports."""
    drawn, missing = [], dict[str, None]()
    for character in unicodedata.normalize("NFC", text):
        category = unicodedata.category(character)
        if character == "\n" or any(font.has(character) for font in fonts):
            drawn.append(character)
        elif category in ("Cc", "Zs"):
            drawn.append(" ")
        elif category != "Cf" and not "\ufe00" <= character <= "\ufe0f":
            missing[character] = None
    if missing:
        names = ", ".join(f"{each} (U+{ord(each):04X})" for each in list(missing)[:_MAX_NAMED])
        more = f" and {len(missing) - _MAX_NAMED} more" if len(missing) > _MAX_NAMED else ""
        raise TaskError(
            "watermark-glyph-missing", f"The font has no glyph for {names}{more}. Send a font that has them as `font`."
        )
    return "".join(drawn)


def _runs(line: str, fonts: Sequence[Font]) -> list[_Run]:
    """Split the line into parts with one font each, from left to right."""
    chosen = [(next((font for font in fonts if font.has(each)), fonts[0]), each) for each in line]
    runs = [(font, "".join(each for _, each in run)) for font, run in groupby(chosen, key=lambda pair: pair[0])]
    directions = (unicodedata.bidirectional(each) for each in line)
    first = next((each for each in directions if each in ("L", "R", "AL")), "L")
    return runs if first == "L" else runs[::-1]


def _extent(lines: Sequence[Sequence[_Run]], size: float) -> Size:
    widths = [sum(font.at(size).getlength(text) for font, text in runs) for runs in lines]
    return int(max(widths) + 2 * size * _RIM) + 1, int(_line_height(lines, size) * len(lines))


def _cut(runs: Sequence[_Run], size: float, width: int) -> list[_Run]:
    """Drop characters that begin outside the layer: drawing them needs memory and shows nothing."""
    kept, left = list[_Run](), float(width)
    for font, text in runs:
        drawn = font.at(size)
        count = bisect_right(range(len(text)), left, key=lambda end: drawn.getlength(text[:end]))
        kept.append((font, text[:count]))
        left -= drawn.getlength(text)
        if left < 0:
            break
    return kept


def _line_height(lines: Sequence[Sequence[_Run]], size: float) -> float:
    return max((sum(font.at(size).getmetrics()) for runs in lines for font, _ in runs), default=size)


def _drawn(lines: Sequence[Sequence[_Run]], size: float, color: str, bounds: Size) -> Image.Image:
    margin = round(size)
    width, height = (min(side, limit) for side, limit in zip(_extent(lines, size), bounds, strict=True))
    # With a margin, because glyphs may extend beyond their line.
    layer = Image.new("RGBA", (width + 2 * margin, height + 2 * margin))
    draw, rim, step = ImageDraw.Draw(layer), round(size * _RIM), _line_height(lines, size)
    fill = (*ImageColor.getrgb(color)[:3], 255)
    shade = (0, 0, 0, 160) if sum(fill[:3]) > 3 * 96 else (255, 255, 255, 160)
    for number, runs in enumerate(_cut(each, size, width) for each in lines):
        left = float(margin)
        for run, text in runs:
            font = run.at(size)
            baseline = margin + number * step + font.getmetrics()[0]
            draw.text((left, baseline), text, fill, font, anchor="ls", stroke_width=rim, stroke_fill=shade)
            left += font.getlength(text)
    layer = layer.crop(layer.getbbox() or (0, 0, 1, 1))
    return layer.crop((0, 0, min(layer.width, bounds[0]), min(layer.height, bounds[1])))
