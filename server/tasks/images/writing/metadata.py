"""The part of a picture's metadata that is kept in the result."""

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from PIL import Image
from pydantic import Field

from server.tasks.images.reading.failures import ignoring_bad_metadata

Keep = Annotated[
    bool | Literal["all", "copyright", "no-location"],
    Field(
        description="Keep EXIF and XMP: all (or true), copyright (artist and copyright alone), no-location (all but the"
        " place). png keeps EXIF alone, gif none."
    ),
]

_ARTIST, _COPYRIGHT = 315, 33432

#: EXIF tags that describe the picture and not its file; the two directories are of the same kind.
_DESCRIPTIVE = (270, 271, 272, 282, 283, 296, 305, 306, _ARTIST, _COPYRIGHT)
_EXIF_DIRECTORY, _GPS_DIRECTORY = 0x8769, 0x8825

#: Tags that become wrong: the size changes, and a maker's note breaks when its bytes move.
_STALE = (0x927C, 0xA002, 0xA003, 0xA005)
_MAX_BYTES = 65_000  # maximum bytes of a segment in a JPEG
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation="[0-9]"|<tiff:Orientation>[0-9]</tiff:Orientation>')
_XMP_PLACE = re.compile(rb"GPS|Location|City|Country|State|geo:|Sublocation", re.I)


class _Text(str):
    """A text of EXIF that Pillow writes with the bytes that it has in the file: it reads Latin-1, and writes ASCII."""

    def encode(self, encoding: str = "", errors: str = "") -> bytes:
        return super().encode("latin-1")


def kept(keep: bool | str, exif: Image.Exif, xmp: bytes) -> dict[str, bytes]:
    """Return `exif` without orientation and stale tags, and `xmp`, as `keep` selects; without what is unreadable."""
    if not keep:
        return {}
    xmp = _XMP_ORIENTATION.sub(b"", xmp)
    # Not edited: a place can be written in many ways, and a packet without one needs no editing.
    if keep == "copyright" or (keep == "no-location" and _XMP_PLACE.search(xmp)):
        xmp = b""
    tags = (_ARTIST, _COPYRIGHT) if keep == "copyright" else _DESCRIPTIVE
    directories = {"copyright": (), "no-location": (_EXIF_DIRECTORY,)}.get(str(keep), (_EXIF_DIRECTORY, _GPS_DIRECTORY))
    parts = {"exif": _selected(exif, tags, directories), "xmp": xmp}
    return {name: part for name, part in parts.items() if 0 < len(part) <= _MAX_BYTES}


def _selected(exif: Image.Exif, tags: Iterable[int], directories: Iterable[int]) -> bytes:
    """Return the tags and directories as bytes; none if the input's are broken, which is not a reason to refuse it."""
    selected = Image.Exif()
    with ignoring_bad_metadata():
        for tag in tags:
            if tag in exif:
                selected[tag] = _unchanged(exif[tag])
        for directory in directories:
            entries = {tag: _unchanged(value) for tag, value in exif.get_ifd(directory).items() if tag not in _STALE}
            if entries:
                selected.get_ifd(directory).update(entries)
                selected[directory] = selected.get_ifd(directory)
        return selected.tobytes() if selected else b""
    return b""


def _unchanged(value: Any) -> Any:
    return _Text(value) if isinstance(value, str) else value
