"""Opens an upload as an image: the file is untrusted, and no pixel is decoded before the limits are checked."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

from PIL import Image
from pydantic import Field

from server.sdk.errors import TaskError
from server.tasks.images.frame import Frame, Size
from server.tasks.images.limits import MAX_FRAME_PIXELS, MAX_FRAMES, megapixels, too_large
from server.tasks.images.reading import gif, jpeg, png, vips
from server.tasks.images.reading.failures import ignoring_bad_metadata, reading
from server.tasks.images.reading.formats import format_of
from server.tasks.images.reduction import averaged
from server.tasks.images.writing.metadata import kept

if TYPE_CHECKING:
    from server.sdk.context import Upload

_ORIENTATION = 0x0112
_END_OF_JPEG = b"\xff\xd9"


Page = Annotated[int, Field(ge=1, le=10_000, description="Of a TIFF that has several.")]
Lenient = Annotated[bool, Field(description="Accept a JPEG that ends too early: the part that is missing is gray.")]


@dataclass(frozen=True, slots=True)
class Input:
    """How an upload is read. Its fields are parameters of every image task."""

    page: Page = 1
    lenient: Lenient = False


class Source:
    """An image whose header was read and is within the limits. It keeps the file, but no pixels.

    Raises:
        TaskError: `image-unreadable`, `image-too-large`, `image-format-unsupported` or `image-page-missing`.
    """

    def __init__(self, upload: Upload, options: Input | None = None) -> None:
        options = options or Input()
        data = upload.read()
        self.format = format_of(data)
        if self.format.name == "PNG":
            data = png.checked(data)
        elif self.format.name == "JPEG" and options.lenient:
            data += _END_OF_JPEG
        self._data = data
        self._page = options.page
        self._image: Image.Image | None = self._open()
        self._check_size(self._image)
        self._gif = self._read_gif() if self.format.name == "GIF" else None
        self.mode = self._image.mode
        with self._reading():
            self.transparent = self._image.has_transparency_data
        # Kept, because a frame loses its own when it is shown.
        self.info = dict(self._image.info)
        self.exif = _read_exif(self._image)
        # Pillow rotates a TIFF upright while it decodes.
        orientation = 1 if self.format.name == "TIFF" else self.exif.get(_ORIENTATION, 1)
        self.orientation: int = orientation if orientation in range(1, 9) else 1
        width, height = self._gif.size if self._gif else self._image.size
        #: The size of the upright picture.
        self.size: Size = (height, width) if self.orientation >= 5 else (width, height)
        profile = self.info.get("icc_profile")
        self.profile: bytes | None = profile if isinstance(profile, bytes) and profile else None

    def still(self) -> Frame:
        """Return the picture, or an animation's first frame."""
        if self._gif is not None and not self._gif.first_fills_canvas:
            with self._reading():
                image, _ = next(self._gif.drawn())
            return self._frame(image)
        # Moved, not shared, so that the pixels are freed with the frame.
        image, self._image = self._image or self._open(), None
        if self.format.keeps_decoder:
            with self._reading():
                image = image.copy()
        coarse = self.format.name == "JPEG" or (self.format.name == "PNG" and vips.decodes(image))
        return self._frame(image, decode=self._decode if coarse else None)

    def frames(self) -> Iterator[Frame]:
        """Yield all frames, each valid until the next one is requested."""
        if self.frame_count == 1:
            yield self.still()
            return
        decisions: dict[object, object] = {}
        frames = self._gif_frames(self._gif) if self._gif is not None else self._animation_frames()
        for image, milliseconds in frames:
            yield self._frame(image, milliseconds, decisions)

    @cached_property
    def frame_count(self) -> int:
        """Count the frames; one for formats that contain pages instead of an animation.

        Raises:
            TaskError: `image-too-large` if there are more than the limit.
        """
        if self._gif is not None:
            for frame in self._gif.frames:
                self._check_canvas(frame.size)
            count = max(1, len(self._gif.frames))
            sizes = [self._gif.size, *(frame.size for frame in self._gif.frames)]
            area = max(sizes, key=lambda size: size[0] * size[1])
        else:
            count, area = self._count_by_pillow(), self.size
        pixels = count * area[0] * area[1] if count > 1 else 0
        if count > MAX_FRAMES or pixels > MAX_FRAME_PIXELS:
            raise too_large(
                f"The animation has {count} frames of {megapixels(pixels)} in all; the limits are {MAX_FRAMES} frames"
                f" and {megapixels(MAX_FRAME_PIXELS)}. Shorten it, or make it smaller."
            )
        if count > 1 and self.format.name == "PNG":
            try:
                deque(self._animation_frames(), maxlen=0)
            except TaskError:
                return 1  # as in a browser: its still picture is used if a frame cannot be decoded
        return count

    def count_pages(self) -> int:
        """Count the pages of a TIFF; one for every other format."""
        if self.format.name != "TIFF":
            return 1
        with self._reading():
            return int(getattr(self._open(), "n_frames", 1))

    def loop(self) -> int | None:
        """Return how often an animation loops: 0 is forever, None is once."""
        loop = self.info.get("loop")
        if self.format.name == "AVIF" or not (loop is None or isinstance(loop, int)):
            return 0
        # GIF counts repetitions after the first run, other formats count runs.
        once = loop is None if self.format.name == "GIF" else loop == 1
        return None if once else min(loop or 0, 65_535)

    def metadata(self, keep: bool | str) -> dict[str, bytes]:
        """Return the part of EXIF and XMP that `keep` selects."""
        xmp = self.info.get("xmp")
        return kept(keep, self.exif, xmp if isinstance(xmp, bytes) else b"")

    def _frame(
        self,
        image: Image.Image,
        milliseconds: float = 0,
        decisions: dict[object, object] | None = None,
        decode: Callable[[float], tuple[Image.Image, float]] | None = None,
    ) -> Frame:
        return Frame(
            image,
            self.size,
            self.orientation,
            self.profile,
            milliseconds,
            decode,
            reading=self._reading,
            _decisions={} if decisions is None else decisions,
        )

    def _reading(self) -> AbstractContextManager[None]:
        return reading(self.format, self._data)

    def _open(self) -> Image.Image:
        with self._reading():
            if self.format.name == "HEIF":
                import pillow_heif  # noqa: PLC0415 - no other format needs it

                pillow_heif.register_heif_opener(thumbnails=False, decode_threads=1)
            image = Image.open(io.BytesIO(self._data), formats=[self.format.name.upper()])
        if self.format.name == "PNG":
            _scale_transparency(image, depth=self._data[24])
        if self._page > 1:
            self._turn_to_page(image)
        return image

    def _decode(self, ratio: float) -> tuple[Image.Image, float]:
        """Decode the picture for a result that is `ratio` times smaller. Return it and how many times smaller it is."""
        image = self._open()
        if self.format.name == "JPEG":
            return image, jpeg.decode_coarsely(image, ratio)
        factor = averaged(ratio)
        decoded = vips.decoded(self._data, image, factor)
        return (image, 1) if decoded is None else (decoded, factor)

    def _turn_to_page(self, image: Image.Image) -> None:
        pages = int(getattr(image, "n_frames", 1)) if self.format.name == "TIFF" else 1
        if self._page > pages:
            number = f"{pages} page{'s' if pages > 1 else ''}"
            raise TaskError(
                "image-page-missing", f"The {self.format.name} has {number}; there is no page {self._page}."
            )
        with self._reading():
            image.seek(self._page - 1)

    def _read_gif(self) -> gif.Gif:
        with self._reading():
            read = gif.read(self._data)
        self._check_canvas(read.size)
        return read

    def _count_by_pillow(self) -> int:
        if self.format.name not in ("PNG", "WebP", "AVIF"):
            return 1
        image = self._image or self._open()
        with self._reading():
            count = int(getattr(image, "n_frames", 1)) if getattr(image, "is_animated", False) else 1
        # An APNG may begin with a fallback picture that is not part of the animation.
        return count - 1 if count > 1 and self.info.get("default_image") else count

    def _check_size(self, image: Image.Image) -> None:
        with self._reading():
            cost = self.format.cost(image)
        self.format.check(image.size, cost)

    def _check_canvas(self, size: Size) -> None:
        self.format.check(size, self.format.bytes_per_pixel[0])

    def _gif_frames(self, read: gif.Gif) -> Iterator[tuple[Image.Image, float]]:
        drawn = read.drawn()
        while True:
            with self._reading():
                frame = next(drawn, None)
            if frame is None:
                return
            yield frame

    def _animation_frames(self) -> Iterator[tuple[Image.Image, float]]:
        image = self._open()
        first = 1 if self.info.get("default_image") else 0
        for index in range(first, int(getattr(image, "n_frames", 1))):
            with self._reading():
                image.seek(index)
            self._check_size(image)
            with self._reading():
                frame = image.copy()
            yield frame, float(frame.info.get("duration") or 0)


def _read_exif(image: Image.Image) -> Image.Exif:
    """Read the EXIF data; empty if it is broken, which is not a reason to refuse the picture."""
    with ignoring_bad_metadata():
        # Not the PNG plugin's method: it decodes the picture, and an error in the pixels would be swallowed here.
        exif = Image.Image.getexif(image)
        exif.get(_ORIENTATION)
        return exif
    return Image.Exif()


def _scale_transparency(image: Image.Image, depth: int) -> None:
    """Convert a PNG's transparent color to eight bits, as Pillow converts 2, 4 or 16 bits per channel."""
    transparency = image.info.get("transparency")
    if isinstance(transparency, int) and image.mode == "L" and depth < 8:
        image.info["transparency"] = transparency * 255 // (2**depth - 1)
    elif isinstance(transparency, tuple) and depth == 16:
        image.info["transparency"] = tuple(value >> 8 for value in transparency)
