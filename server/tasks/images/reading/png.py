"""PNG files, checked chunk by chunk before Pillow reads them.

Pillow does not verify checksums of the pixels, and refuses a picture for an unimportant comment. This module behaves
like browsers: damage in the pixels is an error, any other damage removes only its chunk.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from server.sdk.errors import TaskError

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_CRITICAL = frozenset((b"IHDR", b"PLTE", b"IDAT", b"IEND"))
_ANIMATION = frozenset((b"acTL", b"fcTL", b"fdAT"))

#: Ancillary chunks that change the result. Pillow expects the descriptive ones before the pixels.
_DESCRIPTIVE = frozenset((b"tRNS", b"iCCP", b"eXIf", b"iTXt"))
_XMP = b"XML:com.adobe.xmp\0"

#: Larger profiles are removed: no camera writes them, and a few kilobytes can unpack to gigabytes.
_MAX_PROFILE = 2**20
_MAX_METADATA = 2**20

_END = struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))


class Chunk(NamedTuple):
    """One chunk, with its position in the file."""

    name: bytes
    start: int
    end: int
    intact: bool


def checked(data: bytes) -> bytes:
    """Return the file without damaged or unneeded chunks, and without an animation that is damaged or inconsistent.

    Raises:
        TaskError: `image-unreadable` if the pixels are damaged, `image-format-unsupported` for a private variant.
    """
    chunks = list(_chunks(data))
    animated = _animation_adds_up(data, chunks)
    head, body = [], []
    for chunk in chunks:
        if chunk.name in _DESCRIPTIVE:
            if chunk.intact and _is_usable(data, chunk, chunks[0]):
                head.append(chunk)
        elif chunk.name in _CRITICAL or (animated and chunk.name in _ANIMATION):
            body.append(chunk)
    pixels = next((at for at, chunk in enumerate(body) if chunk.name in (b"IDAT", b"fcTL", b"acTL")), len(body))
    kept = [*body[:pixels], *head, *body[pixels:]]
    if kept == chunks and data[chunks[-1].end :] == _END:
        return data
    return b"".join((SIGNATURE, *(data[chunk.start : chunk.end] for chunk in kept), _END))


def _chunks(data: bytes) -> Iterator[Chunk]:
    """Yield the chunks up to the end of the picture, or to the first incomplete one."""
    view, at, pixels = memoryview(data), len(SIGNATURE), False
    while at + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if name == b"IEND":
            return
        if end > len(data):
            break
        intact = zlib.crc32(view[at + 4 : end - 4]) == int.from_bytes(view[end - 4 : end], "big")
        if name in _CRITICAL and not intact:
            raise TaskError(
                "image-unreadable",
                f"The PNG is damaged at byte {at} (chunk {name.decode()}). Send another copy of the file.",
            )
        if name not in _CRITICAL and intact and not name[0] & 0x20:
            raise TaskError("image-format-unsupported", "This kind of PNG is not supported; save it as a standard PNG.")
        pixels = pixels or name == b"IDAT"
        yield Chunk(name, at, end, intact)
        at = end
    # The decoder detects missing pixels later.
    if not pixels:
        raise TaskError("image-unreadable", "The PNG ends too early: a part of the file is missing. Send all of it.")


def _is_usable(data: bytes, chunk: Chunk, header: Chunk) -> bool:
    """Return whether Pillow can use an optional chunk."""
    body = data[chunk.start + 8 : chunk.end - 4]
    if chunk.name == b"tRNS":
        # One sample for gray, three for colors, or up to 256 entries of a palette.
        color_type = data[header.start + 17]
        return {0: len(body) == 2, 2: len(body) == 6, 3: 1 <= len(body) <= 256}.get(color_type, False)
    if chunk.name == b"iCCP":
        return _is_small(body.partition(b"\0")[2][1:])
    if chunk.name == b"iTXt":
        return body.startswith(_XMP) and len(body) <= _MAX_METADATA and body[len(_XMP) : len(_XMP) + 1] == b"\0"
    return len(body) <= _MAX_METADATA


def _is_small(packed: bytes) -> bool:
    """Return whether a compressed profile can be unpacked, and is small."""
    unpacker = zlib.decompressobj()
    try:
        return len(unpacker.decompress(packed, _MAX_PROFILE)) < _MAX_PROFILE
    except zlib.error:
        return False


def _animation_adds_up(data: bytes, chunks: list[Chunk]) -> bool:
    """Return whether the animation's chunks are complete, in order, and as many as announced."""
    parts = [chunk for chunk in chunks if chunk.name in _ANIMATION]
    if not parts or not all(chunk.intact and chunk.end - chunk.start >= 16 for chunk in parts):
        return False
    control, *rest = parts
    numbers = [struct.unpack_from(">I", data, chunk.start + 8)[0] for chunk in rest]
    frames = sum(chunk.name == b"fcTL" for chunk in rest)
    announced = struct.unpack_from(">I", data, control.start + 8)[0]
    return control.name == b"acTL" and announced == frames > 0 and numbers == list(range(len(rest)))
