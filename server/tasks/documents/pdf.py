"""Opens a PDF with PDFium. Nothing in the file is trusted: invalid bytes end the task with a `TaskError`."""

import io
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from server.sdk.errors import ErrorType, TaskError, register_error_types

if TYPE_CHECKING:
    from PIL import Image
    from pypdfium2 import PdfDocument

register_error_types(
    {
        "pdf-unreadable": ErrorType("The PDF cannot be read", "Check that the file is complete; save it again."),
        "pdf-encrypted": ErrorType("The PDF needs a password", "Send a copy without a password."),
        "pdf-page-missing": ErrorType("The PDF has no such page", "Ask for a page that it has."),
        "pdf-too-large": ErrorType("The picture of the page would be too large", "Ask for a smaller width."),
    }
)

#: The signature, which readers accept in the first kilobyte: mail gateways prepend bytes.
_HEAD = re.compile(rb"%PDF-(\d\.\d)")
_HEAD_WITHIN = 1024

#: Measured bytes per pixel while a page is drawn and encoded, and the memory limit of one task.
_BYTES_PER_PIXEL = 16
_MEMORY = 400_000_000
MAX_PIXELS = _MEMORY // _BYTES_PER_PIXEL

#: The longest side of a picture in these formats, in pixels.
_MAX_SIDE = {"webp": 16_383, "jpeg": 65_535}


def is_pdf(data: bytes) -> bool:
    return _HEAD.search(data[:_HEAD_WITHIN]) is not None


def version_of(data: bytes) -> str:
    """Return the PDF version that the first line declares.

    Raises:
        TaskError: `pdf-unreadable` if the file is not a PDF.
    """
    head = _HEAD.search(data[:_HEAD_WITHIN])
    if head is None:
        raise TaskError("pdf-unreadable", "The file does not begin like a PDF. Send a PDF document.")
    return head[1].decode()


@contextmanager
def opened(data: bytes) -> Iterator["PdfDocument"]:
    """Open the document for the duration of the block.

    Raises:
        TaskError: `pdf-unreadable` or `pdf-encrypted`.
    """
    from pypdfium2 import PdfDocument, PdfiumError  # noqa: PLC0415 - the web process never needs it

    version_of(data)
    document = None
    try:
        document = PdfDocument(data)
        yield document
    except PdfiumError as error:
        if "password" in str(error).lower():
            raise TaskError("pdf-encrypted", "The PDF needs a password. Send a copy without one.") from error
        raise TaskError(
            "pdf-unreadable", "The PDF is damaged and cannot be read. Send another copy, or save it again."
        ) from error
    finally:
        if document is not None:
            document.close()


def drawn(document: "PdfDocument", number: int, width: int) -> "Image.Image":
    """Draw a page as a picture of this width, on white.

    Raises:
        TaskError: `pdf-page-missing`, or `pdf-too-large` if the picture would have too many pixels.
    """
    if number > len(document):
        count = f"{len(document)} page{'s' if len(document) > 1 else ''}"
        raise TaskError("pdf-page-missing", f"The PDF has {count}; there is no page {number}.")
    # Before the page is loaded: otherwise the contents of form fields are missing.
    document.init_forms()
    page = document[number - 1]
    scale = width / max(page.get_width(), 0.01)
    if math.ceil(page.get_width() * scale) > width:  # by a rounding error
        scale = math.nextafter(scale, 0)
    pixels = width * max(1, round(page.get_height() * scale))
    if pixels > MAX_PIXELS:
        raise TaskError(
            "pdf-too-large",
            f"The picture would have {pixels} pixels; the limit is {MAX_PIXELS}. Ask for a smaller width.",
        )
    image: Image.Image = page.render(scale=scale).to_pil()
    return image.convert("RGB")


def written(image: "Image.Image", format_name: str, quality: int | None) -> bytes:
    """Write a picture in a format; raises `pdf-too-large` if it is too long for the format."""
    limit = _MAX_SIDE.get(format_name, MAX_PIXELS)
    if max(image.size) > limit:
        raise TaskError(
            "pdf-too-large",
            f"The picture would have {image.width} x {image.height} pixels; the limit of {format_name} is {limit} per "
            "side. Ask for a smaller width, or for png.",
        )
    options: dict[str, Any] = {"compress_level": 4} if format_name == "png" else {"quality": quality or 80}
    file = io.BytesIO()
    image.save(file, format_name, **options)
    return file.getvalue()
