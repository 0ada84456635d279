"""An upload opened as an image: nothing of it is believed, and no pixel is decoded before the limits are checked."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from PIL import Image

from server.sdk.errors import TaskError
from server.tasks.images.codecs import Metadata
from server.tasks.images.failures import reading
from server.tasks.images.frame import Frame, Size
from server.tasks.images.kinds import kind_of
from server.tasks.images.limits import MAX_FRAME_PIXELS_IN, MAX_FRAMES, megapixels, too_large

if TYPE_CHECKING:
    from server.sdk.context import Upload

_ORIENTATION = 0x0112

#: EXIF tags that describe the picture and not the file that held it; the two directories are of the same kind.
_DESCRIPTIVE = (270, 271, 272, 282, 283, 296, 305, 306, 315, 33432)
_DIRECTORIES = (0x8769, 0x8825)

#: The input's size is not the output's, and a maker's note is lost anyway once its bytes are moved.
_STALE = (0x927C, 0xA002, 0xA003, 0xA005)

#: A segment of a JPEG holds no more.
_LONGEST_METADATA = 65_000

_XMP_ORIENTATION = re.compile(rb'tiff:Orientation="[0-9]"|<tiff:Orientation>[0-9]</tiff:Orientation>')


class Source:
    """An image whose header was read and found to be within the limits.

    Raises:
        TaskError: `image-unreadable`, `image-too-large` or `image-format-unsupported`.
    """

    def __init__(self, upload: Upload) -> None:
        self._data = upload.read()
        self.kind = kind_of(self._data)
        self.image = self._open()
        self.kind.check(self.image.size)
        self.exif = self._exif()
        # Pillow turns a TIFF upright by itself while it decodes.
        orientation = 1 if self.kind.name == "TIFF" else self.exif.get(_ORIENTATION, 1)
        self.orientation: int = orientation if orientation in range(1, 9) else 1
        # Kept, because a frame's own is dropped when it is shown.
        self.info = dict(self.image.info)
        profile = self.info.get("icc_profile")
        self.profile: bytes | None = profile if isinstance(profile, bytes) and profile else None

    @property
    def size(self) -> Size:
        """Of the upright picture."""
        width, height = self.image.size
        return (height, width) if self.orientation >= 5 else (width, height)

    def still(self) -> Frame:
        """The picture, or an animation's first frame."""
        reopen = self._open if self.kind.name == "JPEG" else None
        return Frame(self.image, self.size, self.orientation, self.profile, reopen=reopen)

    def frames(self) -> Iterator[Frame]:
        """All frames, each good until the next is asked for."""
        count = self.count_frames()
        if count == 1:
            yield self.still()
            return
        decisions: dict[object, object] = {}
        pixels = 0
        # An APNG may begin with a picture for programs that know no animations; it is no part of this one.
        for index in range(1 if self.info.get("default_image") else 0, count):
            with reading():
                self.image.seek(index)
            # A GIF's later frames may be larger than its header says.
            self.kind.check(self.image.size)
            pixels += self.image.width * self.image.height
            self._check_frames(count, pixels)
            with reading():
                image = self.image.copy()
            duration = float(image.info.get("duration") or 0)
            yield Frame(image, self.size, self.orientation, self.profile, duration, _decisions=decisions)

    def count_frames(self) -> int:
        """How many frames there are; one for formats that hold pages and not an animation.

        Raises:
            TaskError: `image-too-large` where there are more than are taken.
        """
        if self.kind.name not in ("GIF", "PNG", "WebP", "AVIF"):
            return 1
        with reading():
            count = int(getattr(self.image, "n_frames", 1)) if getattr(self.image, "is_animated", False) else 1
        self._check_frames(count, count * self.image.width * self.image.height if count > 1 else 0)
        return count

    @staticmethod
    def _check_frames(count: int, pixels: int) -> None:
        if count > MAX_FRAMES or pixels > MAX_FRAME_PIXELS_IN:
            raise too_large(
                f"The animation has {count} frames of {megapixels(pixels)} in all; at most {MAX_FRAMES} frames and"
                f" {megapixels(MAX_FRAME_PIXELS_IN)} are taken. Shorten it, or make it smaller."
            )

    def rewind(self) -> None:
        """Back to the first frame."""
        with reading():
            self.image.seek(0)

    def loop(self) -> int | None:
        """How often an animation loops: 0 is for ever, None is once."""
        loop = self.info.get("loop")
        if self.kind.name == "AVIF" or not (loop is None or isinstance(loop, int)):
            return 0
        # A GIF counts the repetitions after the first showing, the others count showings.
        once = loop is None if self.kind.name == "GIF" else loop == 1
        return None if once else min(loop or 0, 65_535)

    def metadata(self) -> Metadata:
        """EXIF without orientation and what is stale, and XMP; empty where they cannot be read."""
        xmp = self.info.get("xmp")
        xmp = _XMP_ORIENTATION.sub(b"", xmp) if isinstance(xmp, bytes) else b""
        try:
            with reading():
                exif = _described(self.exif)
        except TaskError:
            exif = b""
        return Metadata(*(part if len(part) <= _LONGEST_METADATA else b"" for part in (exif, xmp)))

    def _open(self) -> Image.Image:
        with reading():
            return Image.open(io.BytesIO(self._data), formats=[self.kind.name.upper()])

    def _exif(self) -> Image.Exif:
        """The EXIF data; empty where it is broken, which is no reason to refuse the picture."""
        try:
            with reading():
                exif = self.image.getexif()
                exif.get(_ORIENTATION)
                return exif
        except TaskError:
            return Image.Exif()


def _described(exif: Image.Exif) -> bytes:
    """What EXIF says of the picture, without what it says of the file."""
    kept = Image.Exif()
    for tag in _DESCRIPTIVE:
        if tag in exif:
            kept[tag] = exif[tag]
    for directory in _DIRECTORIES:
        entries = {tag: value for tag, value in exif.get_ifd(directory).items() if tag not in _STALE}
        if entries:
            kept.get_ifd(directory).update(entries)
            kept[directory] = kept.get_ifd(directory)
    return kept.tobytes() if kept else b""
