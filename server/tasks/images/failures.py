"""Whatever Pillow raises on a bad file ends as a `TaskError` with a sentence that says what to do."""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from server.sdk.errors import TaskError
from server.tasks.images.limits import too_large

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

BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError)


@contextmanager
def reading() -> Iterator[None]:
    """Around everything that parses or decodes bytes of a client.

    Raises:
        TaskError: `image-too-large` or `image-unreadable`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            yield
        except BOMB:
            raise too_large("The image needs more memory than an image may. Send one of fewer pixels.") from None
        except BAD_FILE as error:
            raise TaskError(
                "image-unreadable",
                f"The image cannot be decoded ({_words(error)}). Check that the file is whole, or save it again.",
            ) from error


@contextmanager
def writing(format_name: str) -> Iterator[None]:
    """Around an encoder, which is given good pixels and may still refuse them.

    Raises:
        TaskError: `image-too-large`.
    """
    try:
        yield
    except (*BOMB, *BAD_FILE) as error:
        raise too_large(
            f"The result cannot be written as {format_name} ({_words(error)})."
            " Ask for a smaller one, or another format."
        ) from error


def _words(error: BaseException) -> str:
    """An exception's own words where they fit into a sentence and name no object of this process."""
    words = str(error).strip().rstrip(".")
    return words if words and len(words) <= 80 and "<" not in words and "/" not in words else type(error).__name__
