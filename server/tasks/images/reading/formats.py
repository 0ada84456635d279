"""The input formats, each recognized by its first bytes; a file's name and its declared type are ignored."""

import re
from dataclasses import dataclass

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from server.sdk.errors import TaskError
from server.tasks.images.limits import MEMORY, megapixels, too_large

_PILLOWS_LIMIT = Image.MAX_IMAGE_PIXELS or 89_000_000  # above this size, Pillow itself warns of a decompression bomb


@dataclass(frozen=True, slots=True)
class InputFormat:
    """An input format. `advice` says how to save a file whose variant of the format is not supported.

    `bytes_per_pixel` is the peak memory without the file, until the picture has been scaled slightly: for eight-bit
    pictures without alpha, with alpha, and for deep channels. `keeps_decoder`: the decoder keeps its own pixels while
    the image is open.
    """

    name: str
    media_type: str
    start: bytes  # a regular expression
    bytes_per_pixel: tuple[float, float, float]
    advice: str
    keeps_decoder: bool = False

    def cost(self, image: Image.Image) -> float:
        """Return the bytes per pixel of an image whose header was read."""
        plain, alpha, deep = self.bytes_per_pixel
        if image.mode.startswith(("I", "F")):
            return deep
        return (alpha if image.has_transparency_data else plain) + _coefficients(image)

    def check(self, size: tuple[int, int], cost: float) -> None:
        """Refuse a picture whose header declares too large a size."""
        width, height = size
        limit = min(_PILLOWS_LIMIT, int(MEMORY / cost))
        if width * height > limit:
            raise too_large(
                f"The {self.name} declares {width}x{height} pixels; the limit for one of this kind is"
                f" {megapixels(limit)}. Make it smaller first."
            )


def _coefficients(image: Image.Image) -> float:
    """Return the bytes per pixel that a progressive JPEG keeps until its last scan: two per sample of each channel."""
    if not isinstance(image, JpegImageFile) or not image.info.get("progressive"):
        return 0
    areas = [across * down for _, across, down, _ in image.layer]
    return 2 * sum(areas) / max(areas)


_PLAIN = "save it as 8-bit RGB or gray"

INPUT_FORMATS = (
    InputFormat("JPEG", "image/jpeg", rb"\xff\xd8\xff", (8.4, 8.4, 8.4), "save it as a baseline 8-bit JPEG"),
    InputFormat("PNG", "image/png", rb"\x89PNG\r\n\x1a\n", (8.4, 20, 16), "save it as a standard PNG"),
    InputFormat("GIF", "image/gif", rb"GIF8[79]a", (16, 16, 16), "save it as GIF89a"),
    InputFormat("WebP", "image/webp", rb"RIFF....WEBP", (21, 21, 21), "save it again as WebP, or as PNG", True),
    # Some encoders put a brand shared with HEIC first, and AVIF's own brand among the compatible ones.
    InputFormat("AVIF", "image/avif", rb"....ftyp(?:avi[fs]|(?:mif1|msf1).{4,40}avi[fs])", (16, 18, 18), _PLAIN, True),
    InputFormat("HEIF", "image/heic", rb"....ftyp(?:he[iv][a-z]|mif[12]|msf1)", (16, 18, 18), "save it as JPEG", True),
    # For a single strip, which libtiff decodes as a whole.
    InputFormat("TIFF", "image/tiff", rb"II\*\0|MM\0\*|II\+\0|MM\0\+", (12, 20, 18), _PLAIN),
    InputFormat("BMP", "image/bmp", rb"BM", (8.4, 16, 16), "save it as 24-bit BMP, or as PNG"),
)

#: For the catalog and for forms. A file of another declared type is accepted if its bytes are recognized.
MEDIA_TYPES = (
    *(each.media_type for each in INPUT_FORMATS),
    *("image/heif", "image/apng", "image/x-ms-bmp", "application/octet-stream"),
)


def format_of(data: bytes) -> InputFormat:
    """Return the format of a file by its first bytes, or refuse it."""
    if not data:
        raise TaskError("image-unreadable", "The file is empty. Send the image's bytes.")
    input_format = recognized(data)
    if input_format is None and data.startswith(b"%PDF-"):
        raise TaskError("image-format-unsupported", "This is a PDF. The task `pdf_preview` makes a picture of a page.")
    if input_format is None:
        names = ", ".join(each.name for each in INPUT_FORMATS)
        raise TaskError(
            "image-format-unsupported", f"By its first bytes this file is none of {names}. Convert it to one of them."
        )
    return input_format


def recognized(data: bytes) -> InputFormat | None:
    """Return the format that matches the file's first bytes."""
    return next((each for each in INPUT_FORMATS if re.match(each.start, data, re.DOTALL)), None)
