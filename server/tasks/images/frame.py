"""One picture that passes through the operations."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

from PIL import Image

from server.tasks.images.color import is_srgb, plain, to_srgb
from server.tasks.images.limits import check_processed_size, check_result_size
from server.tasks.images.reduction import reducing_gap

Size = tuple[int, int]
Box = tuple[float, float, float, float]

_T = TypeVar("_T")

#: EXIF's orientations, and the transposition that makes each upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

#: Pillow's default for thumbnails: a third cheaper than Lanczos, with a similarity of at least 0.99.
_FILTER = Image.Resampling.BICUBIC


@dataclass(frozen=True, slots=True)
class Frame:
    """A still picture, or one frame of an animation.

    `size` is that of the upright picture. Decoding, rotating it upright and converting its colors are delayed until
    pixels are needed: a picture that is scaled first is decoded no finer than necessary, and the other steps process
    only the remaining pixels.
    """

    image: Image.Image
    size: Size
    orientation: int = 1
    profile: bytes | None = None
    duration: float = 0  # the time for which it is shown, in milliseconds
    #: Decodes the file for a result that is so many times smaller. Returns the picture and its coarseness. None if the
    #: picture is already decoded, or if Pillow decodes `image` when its pixels are needed.
    decode: Callable[[float], tuple[Image.Image, float]] | None = None
    coarseness: float = 1  # the factor by which a side of `image` is smaller than that of `size`
    #: A context for all decoding: it separates errors in the file from errors in our code.
    reading: Callable[[], AbstractContextManager[None]] = nullcontext
    _decisions: dict[Hashable, Any] = field(default_factory=dict)

    def display(self) -> Image.Image:
        """Return the pixels, upright and in sRGB, as L, LA, RGB or RGBA."""
        decoded = self.coarse(self.size).image
        with self.reading():
            image = to_srgb(self._upright(plain(decoded)), self.profile)
            image.load()
        # Pillow's encoders write this data; `plain` has already applied its transparency.
        image.info = {}
        return image

    def palette(self) -> Image.Image | None:
        """Return the pixels, upright, as a palette in sRGB; None if the file has no palette."""
        if self.image.mode != "P" or not is_srgb(self.profile):
            return None
        with self.reading():
            self.image.load()
        image = self._upright(self.image)
        transparency = image.info.get("transparency")
        image.info = {} if transparency is None else {"transparency": transparency}
        return image

    def _upright(self, image: Image.Image) -> Image.Image:
        return image.transpose(_UPRIGHT[self.orientation]) if self.orientation in _UPRIGHT else image

    def pixels(self) -> Image.Image:
        """Return the pixels for an operation: RGB, or RGBA if some may be transparent.

        Raises:
            TaskError: `image-too-large` if there are more pixels than an operation supports.
        """
        check_processed_size(self.size)
        image = self.display()
        return image if image.mode in ("RGB", "RGBA") else image.convert("RGB" if image.mode == "L" else "RGBA")

    def moved(self, move: Callable[[Image.Image], Image.Image]) -> Frame:
        """Return this frame with its pixels moved and no new colors: a palette is kept.

        Raises:
            TaskError: as in `pixels`.
        """
        check_processed_size(self.size)
        palette = self.palette()
        return self.showing(move(self.pixels() if palette is None else palette))

    def showing(self, image: Image.Image) -> Frame:
        """Return this frame with other pixels, which are upright and in sRGB."""
        return replace(self, image=image, size=image.size, orientation=1, profile=None, decode=None, coarseness=1)

    def coarse(self, target: Size) -> Frame:
        """Return this frame decoded no finer than a result of the size `target` needs."""
        if self.decode is None:
            return self
        with self.reading():
            image, coarseness = self.decode(min(self.size[0] / target[0], self.size[1] / target[1]))
            image.load()
        return replace(self, image=image, decode=None, coarseness=coarseness)

    def scaled(self, size: Size, box: Box | None = None) -> Frame:
        """Return this frame, or the part of it in `box`, resampled to `size`.

        Raises:
            TaskError: `image-too-large`.
        """
        width, height = self.size
        if box is None and size == self.size:
            return self
        check_result_size(size)
        if box is None:
            return self.coarse(size)._resampled(size, (0, 0, width, height))
        left, top, right, bottom = box
        target = (int(size[0] * width / (right - left)), int(size[1] * height / (bottom - top)))
        frame = self.coarse((min(width, target[0]), min(height, target[1])))
        # A box is in upright coordinates, so the pixels must be.
        return replace(frame, image=frame.display(), orientation=1, profile=None)._resampled(size, box)

    def once(self, key: Hashable, decide: Callable[[], _T]) -> _T:
        """Return the decision for an animation's first frame; the other frames reuse it, to avoid flicker."""
        if key not in self._decisions:
            self._decisions[key] = decide()
        return cast(_T, self._decisions[key])

    def _resampled(self, size: Size, box: Box) -> Frame:
        with self.reading():
            image = plain(self.image)
            image.load()
        width, height = self._raw(image.size)
        # A coarsely decoded side is rounded up, so this only removes rounding errors.
        left, top, right, bottom = (edge / self.coarseness for edge in box)
        raw_box = (max(0.0, left), max(0.0, top), *self._raw((min(right, width), min(bottom, height))))
        gap = reducing_gap(min((right - left) / size[0], (bottom - top) / size[1]), self.coarseness)
        image = image.resize(self._raw(size), _FILTER, raw_box, gap)
        return replace(self, image=image, size=size, decode=None, coarseness=1)

    def _raw(self, pair: tuple[_T, _T]) -> tuple[_T, _T]:
        """Convert width and height of the upright picture to those in the file."""
        return (pair[1], pair[0]) if self.orientation >= 5 else pair
