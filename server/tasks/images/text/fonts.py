"""Fonts: the bundled one, the configured ones and a client's own, and the characters that each supports."""

import functools
import io
from pathlib import Path

from PIL import ImageFont

from server.sdk.errors import TaskError

_BUNDLED = Path(__file__).parent / "noto" / "NotoSans-Regular-subset.ttf"

_TRUETYPE = (b"\0\1\0\0", b"true", b"OTTO", b"ttcf")
_NO_CHARACTER = "\U0010ffff"  # never assigned, so that every font draws its sign for a missing glyph
_COMPARED_AT = 16  # pixels: enough to tell that sign from a character that resembles it


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
            # The basic layout, because others add a circle to a single accent.
            self._small = ImageFont.truetype(io.BytesIO(data), _COMPARED_AT, layout_engine=ImageFont.Layout.BASIC)
            self._missing = self._glyph(_NO_CHARACTER)
        except (OSError, ValueError):
            raise TaskError(
                "font-unreadable", "The font cannot be read. Send a TrueType or OpenType file (.ttf, .otf or .ttc)."
            ) from None

    def at(self, size: float) -> ImageFont.FreeTypeFont:
        return ImageFont.truetype(io.BytesIO(self._data), size)

    def has(self, character: str) -> bool:
        """Return whether the font draws the character in another way than one that it lacks."""
        try:
            return self._glyph(character) != self._missing
        except OSError:
            return False

    def _glyph(self, character: str) -> tuple[float, bytes]:
        return self._small.getlength(character), bytes(self._small.getmask(character))


@functools.cache
def bundled() -> Font:
    """Return Noto Sans with Latin, Greek and Cyrillic: the same on every machine."""
    return Font(_BUNDLED.read_bytes())


@functools.lru_cache(maxsize=8)
def configured(path: Path) -> Font:
    return Font(path.read_bytes())
