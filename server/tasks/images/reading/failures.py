"""Errors of the imaging libraries, turned into a `TaskError` whose sentence says what to do."""

import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from PIL import Image, UnidentifiedImageError

from server.sdk.errors import TaskError
from server.tasks.images.limits import too_large
from server.tasks.images.reading.kinds import Kind

#: Seen from Pillow's plugins on files of a fuzzer. Not `Exception`: a time limit, a lost connection and a
#: cancellation pass through the same frames, and are not the image's fault.
BAD_FILE = (
    OSError,
    ValueError,
    SyntaxError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    EOFError,
    RuntimeError,
    struct.error,
    zlib.error,
)

_BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning)

#: The libraries' words for a well-formed file that they cannot read, for one that ends too early, and for memory.
_NOT_SUPPORTED = re.compile(
    r"unsupported|not supported|not available|unknown pixel mode|cannot handle|samples per pixel|data organization",
    re.I,
)
_ENDS = re.compile(r"truncated|end of|not enough|no more|unexpected eof|insufficient data", re.I)
#: -9 is Pillow's code for it, and 1 libwebp's.
_MEMORY = re.compile(r"memory|decoder error -9|encoder error -9|encoding error 1$", re.I)

#: libavif's words for it. Of a decoder they may mean damage as well.
_ENCODER_MEMORY = re.compile(r"encoding of \w+ planes failed", re.I)

#: Compressions of TIFF that every build of libtiff knows.
_TIFF_COMPRESSIONS = (1, 2, 3, 4, 5, 7, 8, 32773, 32946)
_TIFF_COMPRESSION = 259


@contextmanager
def reading(kind: Kind, data: bytes) -> Iterator[None]:
    """Around everything that parses or decodes bytes of a client.

    Raises:
        TaskError: `image-too-large`, `image-format-unsupported` or `image-unreadable`.
        MemoryError: the process has no memory left, which says nothing of the file.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            yield
        except _BOMB:
            raise too_large(
                f"The {kind.name} declares more pixels than any image may have. Send a smaller one."
            ) from None
        except BAD_FILE as error:
            warnings.simplefilter("ignore")
            raise _explained(kind, data, error) from error


@contextmanager
def ignoring_bad_metadata() -> Iterator[None]:
    """Around metadata that was not read yet: broken metadata is no reason to refuse a picture."""
    with warnings.catch_warnings(), suppress(*BAD_FILE):
        warnings.simplefilter("ignore")
        yield


@contextmanager
def writing(format_name: str) -> Iterator[None]:
    """Around an encoder. Its pixels are good and their number was checked, so what it lacks is memory.

    Raises:
        TaskError: `image-too-large`.
        MemoryError: the process has no memory left.
    """
    try:
        yield
    except BAD_FILE as error:
        if _MEMORY.search(str(error)) or _ENCODER_MEMORY.search(str(error)):
            raise MemoryError from error
        raise too_large(
            f"The result cannot be written as {format_name}. Ask for a smaller one, or another format."
        ) from error


def _explained(kind: Kind, data: bytes, error: Exception) -> Exception:
    message = _first_message(kind, data) if isinstance(error, UnidentifiedImageError) else str(error)
    if _MEMORY.search(message):
        return MemoryError()
    if _NOT_SUPPORTED.search(message) or _is_rare(kind, data):
        return TaskError("image-format-unsupported", f"This kind of {kind.name} is not supported; {kind.advice}.")
    if _ENDS.search(message):
        lenient = " With `lenient`, a JPEG's missing part stays gray." if kind.name == "JPEG" else ""
        return TaskError(
            "image-unreadable",
            f"The {kind.name} ends too early: a part of the file is missing. Send all of it.{lenient}",
        )
    return TaskError(
        "image-unreadable", f"The {kind.name} is damaged and cannot be decoded. Send another copy, or save it again."
    )


def _first_message(kind: Kind, data: bytes) -> str:
    """The plugin's message, which `Image.open` keeps to itself."""
    try:
        Image.OPEN[kind.name.upper()][0](io.BytesIO(data), "")
    except BAD_FILE as error:
        return str(error)
    return ""


def _is_rare(kind: Kind, data: bytes) -> bool:
    """Whether a file that could not be decoded is of a sort that the decoders do not know."""
    if kind.name == "JPEG":
        return _is_rare_jpeg(data)
    if kind.name != "TIFF":
        return False
    try:
        image = Image.open(io.BytesIO(data), formats=["TIFF"])
        tags = getattr(image, "tag_v2", {})
        return tags.get(_TIFF_COMPRESSION, 1) not in _TIFF_COMPRESSIONS
    except (*BAD_FILE, *_BOMB):
        return False


def _is_rare_jpeg(data: bytes) -> bool:
    """Whether a JPEG is lossless, hierarchical, arithmetically coded, or has more than eight bits a sample."""
    at = 2
    while data[at : at + 1] == b"\xff" and at + 5 <= len(data):
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return marker not in (0xC0, 0xC1, 0xC2) or data[at + 4] != 8
        if marker in (0xDA, 0xD9):
            return False
        at += 2 + length
    return False
