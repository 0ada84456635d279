"""Converts errors of the imaging libraries to a `TaskError` that says what to do."""

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
from server.tasks.images.reading.formats import InputFormat

#: Errors of Pillow's plugins on a fuzzer's files. Not `Exception`: a time limit, a lost connection and a cancellation
#: can occur in the same code, and are not the image's fault.
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

#: Messages of the libraries: for an unsupported file, for a truncated one, and for missing memory.
_NOT_SUPPORTED = re.compile(
    r"unsupported|not supported|not available|unknown pixel mode|cannot handle|samples per pixel|data organization",
    re.I,
)
_ENDS = re.compile(r"truncated|end of|not enough|no more|unexpected eof|insufficient data", re.I)
#: -9 is Pillow's code for missing memory, and 1 libwebp's.
_MEMORY = re.compile(r"memory|decoder error -9|encoder error -9|encoding error 1$", re.I)

#: libavif's messages for missing memory. From a decoder they may also mean damage.
_ENCODER_MEMORY = re.compile(r"encoding of \w+ planes failed", re.I)

#: TIFF compressions that every build of libtiff supports.
_TIFF_COMPRESSIONS = (1, 2, 3, 4, 5, 7, 8, 32773, 32946)
_TIFF_COMPRESSION = 259


@contextmanager
def reading(input_format: InputFormat, data: bytes) -> Iterator[None]:
    """Convert the errors of a block that decodes a client's bytes. A lack of memory is not an error of the file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            yield
        except _BOMB:
            raise too_large(
                f"The {input_format.name} declares more pixels than any image may have. Send a smaller one."
            ) from None
        except BAD_FILE as error:
            warnings.simplefilter("ignore")
            raise _explained(input_format, data, error) from error


@contextmanager
def ignoring_bad_metadata() -> Iterator[None]:
    """Ignore errors of unread metadata in the block: broken metadata is not a reason to refuse a picture."""
    with warnings.catch_warnings(), suppress(*BAD_FILE):
        warnings.simplefilter("ignore")
        yield


@contextmanager
def writing(format_name: str) -> Iterator[None]:
    """Convert errors of an encoder. Its pixels are valid and within the limit, so it lacks memory."""
    try:
        yield
    except BAD_FILE as error:
        if _MEMORY.search(str(error)) or _ENCODER_MEMORY.search(str(error)):
            raise MemoryError from error
        raise too_large(
            f"The result cannot be written as {format_name}. Ask for a smaller one, or another format."
        ) from error


def _explained(input_format: InputFormat, data: bytes, error: Exception) -> Exception:
    message = _first_message(input_format, data) if isinstance(error, UnidentifiedImageError) else str(error)
    if _MEMORY.search(message):
        return MemoryError()
    if _NOT_SUPPORTED.search(message) or _is_rare(input_format, data):
        return TaskError(
            "image-format-unsupported", f"This kind of {input_format.name} is not supported; {input_format.advice}."
        )
    if _ENDS.search(message):
        lenient = " With `lenient`, a JPEG's missing part stays gray." if input_format.name == "JPEG" else ""
        return TaskError(
            "image-unreadable",
            f"The {input_format.name} ends too early: a part of the file is missing. Send all of it.{lenient}",
        )
    return TaskError(
        "image-unreadable",
        f"The {input_format.name} is damaged and cannot be decoded. Send another copy, or save it again.",
    )


def _first_message(input_format: InputFormat, data: bytes) -> str:
    """Return the plugin's message, which `Image.open` hides."""
    try:
        Image.OPEN[input_format.name.upper()][0](io.BytesIO(data), "")
    except BAD_FILE as error:
        return str(error)
    return ""


def _is_rare(input_format: InputFormat, data: bytes) -> bool:
    """Return whether a file that could not be decoded has a variant that the decoders do not support."""
    if input_format.name == "JPEG":
        return _is_rare_jpeg(data)
    if input_format.name != "TIFF":
        return False
    try:
        image = Image.open(io.BytesIO(data), formats=["TIFF"])
        tags = getattr(image, "tag_v2", {})
        return tags.get(_TIFF_COMPRESSION, 1) not in _TIFF_COMPRESSIONS
    except (*BAD_FILE, *_BOMB):
        return False


def _is_rare_jpeg(data: bytes) -> bool:
    """Return whether a JPEG is lossless, hierarchical, arithmetically coded, or has more than eight bits per sample."""
    at = 2
    while data[at : at + 1] == b"\xff" and at + 5 <= len(data):
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return marker not in (0xC0, 0xC1, 0xC2) or data[at + 4] != 8
        if marker in (0xDA, 0xD9):
            return False
        at += 2 + length
    return False
