"""The formats that are read, each known by its first bytes: neither a file's name nor its media type is asked."""

import re
from dataclasses import dataclass

from PIL import Image

from server.sdk.errors import TaskError
from server.tasks.images.limits import MEMORY, megapixels, too_large

#: From here on Pillow itself warns of a decompression bomb.
_PILLOWS_LIMIT = Image.MAX_IMAGE_PIXELS or 89_000_000


@dataclass(frozen=True, slots=True)
class Kind:
    """A format that is read. `bytes_per_pixel` is the peak until it is scaled down, as measured."""

    name: str
    media_type: str
    start: re.Pattern[bytes]
    bytes_per_pixel: float

    @property
    def max_pixels(self) -> int:
        """The most pixels that a picture of this format may have."""
        return min(_PILLOWS_LIMIT, int(MEMORY / self.bytes_per_pixel))

    def check(self, size: tuple[int, int]) -> None:
        """Refuse a picture by the size that its header declares.

        Raises:
            TaskError: `image-too-large`.
        """
        width, height = size
        if width * height > self.max_pixels:
            raise too_large(
                f"The {self.name} declares {width}x{height} pixels; at most {megapixels(self.max_pixels)} of this"
                " format are taken. Make it smaller first."
            )


def _start(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern, re.DOTALL)


KINDS = (
    # A progressive one: its coefficients stay until the last scan.
    Kind("JPEG", "image/jpeg", _start(rb"\xff\xd8\xff"), 7.7),
    # Of 16 bits, which become 32 and then eight.
    Kind("PNG", "image/png", _start(rb"\x89PNG\r\n\x1a\n"), 7.1),
    # A palette, and then the colours that it stands for.
    Kind("GIF", "image/gif", _start(rb"GIF8[79]a"), 5.3),
    # Its decoder keeps canvases of its own for as long as the image is open.
    Kind("WebP", "image/webp", _start(rb"RIFF....WEBP"), 21),
    # Some writers put a brand that HEIC shares first, and AVIF's own among the compatible ones.
    Kind("AVIF", "image/avif", _start(rb"....ftyp(?:avi[fs]|(?:mif1|msf1).{4,40}avi[fs])"), 9.5),
    # With channels of floats, which are scaled to eight bits in two steps.
    Kind("TIFF", "image/tiff", _start(rb"II\*\0|MM\0\*|II\+\0|MM\0\+"), 13),
    Kind("BMP", "image/bmp", _start(rb"BM"), 7),
)

#: What clients call these formats, and what those that do not look into a file call every file.
MEDIA_TYPES = (
    *(kind.media_type for kind in KINDS),
    "image/apng",
    "image/x-ms-bmp",
    "application/octet-stream",
)


def kind_of(data: bytes) -> Kind:
    """The format of a file.

    Raises:
        TaskError: `image-unreadable` for an empty file, `image-format-unsupported` for one that is not listed.
    """
    if not data:
        raise TaskError("image-unreadable", "The file is empty. Send the image's bytes.")
    for kind in KINDS:
        if kind.start.match(data):
            return kind
    names = ", ".join(kind.name for kind in KINDS)
    raise TaskError(
        "image-format-unsupported", f"By its first bytes this file is none of {names}. Convert it to one of them."
    )
