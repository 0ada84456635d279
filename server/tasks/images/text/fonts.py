"""Fonts: the bundled one, the configured ones and a client's own, and the characters that each supports."""

import functools
import io
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from pathlib import Path

from PIL import ImageFont

from server.sdk.errors import TaskError

_BUNDLED = Path(__file__).parent / "noto" / "NotoSans-Regular-subset.ttf"

_TRUETYPE = (b"\0\1\0\0", b"true", b"OTTO", b"ttcf")

#: The Unicode encodings of a font's character map: platform, and encoding on it.
_UNICODE = ((0, 3), (0, 4), (0, 6), (3, 1), (3, 10))


def is_font(data: bytes) -> bool:
    return data[:4] in _TRUETYPE


class Font:
    """A TrueType or OpenType font file.

    Raises:
        TaskError: `font-unreadable`.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        try:
            if not is_font(data):
                raise ValueError("not the first bytes of a font")
            self._maps = tuple(_maps(data))
            self.at(10)
        except (struct.error, OSError, ValueError):
            raise TaskError(
                "font-unreadable", "The font cannot be read. Send a TrueType or OpenType file (.ttf, .otf or .ttc)."
            ) from None

    def at(self, size: float) -> ImageFont.FreeTypeFont:
        return ImageFont.truetype(io.BytesIO(self._data), size)

    def has(self, character: str) -> bool:
        try:
            return any(_glyph(self._data, at, ord(character)) for at in self._maps)
        except struct.error:
            return False


@functools.cache
def bundled() -> Font:
    """Return Noto Sans with Latin, Greek and Cyrillic: the same on every machine."""
    return Font(_BUNDLED.read_bytes())


@functools.lru_cache(maxsize=8)
def configured(path: Path) -> Font:
    return Font(path.read_bytes())


def _maps(data: bytes) -> Iterator[int]:
    """Yield the positions of the file's Unicode character maps."""
    start = struct.unpack_from(">I", data, 12)[0] if data.startswith(b"ttcf") else 0
    for number in range(_short(data, start + 4)):
        tag, _, table, _ = struct.unpack_from(">4sIII", data, start + 12 + 16 * number)
        if tag != b"cmap":
            continue
        for each in range(_short(data, table + 2)):
            platform, encoding, offset = struct.unpack_from(">HHI", data, table + 4 + 8 * each)
            if (platform, encoding) in _UNICODE:
                yield table + offset


def _glyph(data: bytes, at: int, code: int) -> int:
    """Return the number of a character's glyph in the map at `at`; 0 if it has none."""
    form = _short(data, at)
    if form == 4:
        return _glyph_of_segments(data, at, code) if code <= 0xFFFF else 0
    if form == 12:
        return _glyph_of_groups(data, at, code)
    return 0


def _glyph_of_segments(data: bytes, at: int, code: int) -> int:
    count = _short(data, at + 6) // 2
    segment = bisect_left(range(count), code, key=lambda number: _short(data, at + 14 + 2 * number))
    if segment == count:
        return 0
    place = at + 16 + 2 * segment
    start, delta, indirect = (_short(data, place + 2 * part * count) for part in (1, 2, 3))
    if code < start:
        return 0
    if not indirect:
        return (code + delta) & 0xFFFF
    glyph = _short(data, place + 6 * count + indirect + 2 * (code - start))
    return (glyph + delta) & 0xFFFF if glyph else 0


def _glyph_of_groups(data: bytes, at: int, code: int) -> int:
    def group(number: int) -> tuple[int, ...]:
        return struct.unpack_from(">III", data, at + 16 + 12 * number)

    count = struct.unpack_from(">I", data, at + 12)[0]
    after = bisect_right(range(count), code, key=lambda number: group(number)[0])
    if after == 0:
        return 0
    start, end, glyph = group(after - 1)
    return glyph + code - start if code <= end else 0


def _short(data: bytes, at: int) -> int:
    return int(struct.unpack_from(">H", data, at)[0])
