"""One picture that passes through the operations."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

from PIL import Image

from server.tasks.images.color import is_srgb, plain, to_srgb
from server.tasks.images.limits import check_made, check_worked_on

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

#: libjpeg's scales for coarse decoding, in eighths of a side, and the divisor that Pillow passes for each. Pillow's own
#: `draft` lacks 3/8, which saves 7 of 60 ms from 12 megapixels to 1024 pixels.
_SCALES = {1: 8, 2: 4, 3: 3, 4: 2}

#: Below this ratio, blocks are visible: a thumbnail from a picture 2.6 times its size had a similarity of 0.976 with
#: reducing, and 0.996 without.
_LEAST_ROOM = 1.4


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
    #: Opens the picture again, undecoded; None if it is already decoded, or cannot be decoded coarsely.
    reopen: Callable[[], Image.Image] | None = None
    coarseness: float = 1  # the factor by which a side of `image` is smaller than that of `size`
    #: A context for all decoding: it separates errors in the file from errors in our code.
    reading: Callable[[], AbstractContextManager[None]] = nullcontext
    _decisions: dict[Hashable, Any] = field(default_factory=dict)

    def display(self) -> Image.Image:
        """Return the pixels, upright and in sRGB, as L, LA, RGB or RGBA."""
        with self.reading():
            image = to_srgb(self._upright(plain(self.image)), self.profile)
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
        check_worked_on(self.size)
        image = self.display()
        return image if image.mode in ("RGB", "RGBA") else image.convert("RGB" if image.mode == "L" else "RGBA")

    def moved(self, move: Callable[[Image.Image], Image.Image]) -> Frame:
        """Return this frame with its pixels moved and no new colors: a palette is kept.

        Raises:
            TaskError: as in `pixels`.
        """
        check_worked_on(self.size)
        palette = self.palette()
        return self.showing(move(self.pixels() if palette is None else palette))

    def showing(self, image: Image.Image) -> Frame:
        """Return this frame with other pixels, which are upright and in sRGB."""
        return replace(self, image=image, size=image.size, orientation=1, profile=None, reopen=None, coarseness=1)

    def coarse(self, least: Size) -> Frame:
        """Return this frame decoded no finer than a result of `least` needs: at one to four eighths for JPEG."""
        if self.reopen is None:
            return self
        ratio = min(self.size[0] / least[0], self.size[1] / least[1])
        with self.reading():
            image = self.reopen()
            coarseness = _decode_coarsely(image, ratio)
            image.load()
        return replace(self, image=image, reopen=None, coarseness=coarseness)

    def scaled(self, size: Size, box: Box | None = None) -> Frame:
        """Return this frame, or the part of it in `box`, resampled to `size`.

        Raises:
            TaskError: `image-too-large`.
        """
        width, height = self.size
        if box is None and size == self.size:
            return self
        check_made(size)
        if box is None:
            return self.coarse(size)._resampled(size, (0, 0, width, height))
        left, top, right, bottom = box
        least = (int(size[0] * width / (right - left)), int(size[1] * height / (bottom - top)))
        frame = self.coarse((min(width, least[0]), min(height, least[1])))
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
        gap = _reducing_gap(min((right - left) / size[0], (bottom - top) / size[1]), self.coarseness)
        image = image.resize(self._raw(size), _FILTER, raw_box, gap)
        return replace(self, image=image, size=size, reopen=None, coarseness=1)

    def _raw(self, pair: tuple[_T, _T]) -> tuple[_T, _T]:
        """Convert width and height of the upright picture to those in the file."""
        return (pair[1], pair[0]) if self.orientation >= 5 else pair


def _room(coarseness: float) -> float:
    """Return the ratio to leave for the filter after averaging `coarseness` pixels per side.

    Averaging blurs and causes aliasing: the coarser it is, the more must be left to the filter. With these ratios, text
    and line art have a similarity of 0.98 to Lanczos on all pixels, from a hundred pixels on; photographs 0.99.
    """
    return min(2.5, 1 + coarseness / 11)


def _decode_coarsely(image: Any, ratio: float) -> float:
    """Decode a JPEG that will be `ratio` times smaller at a part of its size. Return the reduction."""
    eighths = next((each for each in _SCALES if ratio >= 8 / each * _room(8 / each)), 8)
    if eighths == 8 or len(image.tile) != 1:
        return 1
    width, height = (-(-side * eighths // 8) for side in image.size)
    # As in `JpegImageFile.draft`.
    image._size = width, height
    image.tile = [image.tile[0]._replace(extents=(0, 0, width, height))]
    image.decoderconfig = _SCALES[eighths], 0
    return 8 / eighths


def _reducing_gap(ratio: float, coarseness: float) -> float:
    """Return Pillow's `reducing_gap`: it averages the picture as far as `_room` permits, and resamples the rest."""

    def leaves_room(factor: int) -> bool:
        # Averaging two or three pixels looks worse than libjpeg's scaling by the same factor.
        return ratio / factor >= max(_LEAST_ROOM, _room(coarseness * factor))

    factor = next(filter(leaves_room, range(int(ratio), 1, -1)), 1)
    return max(1.0, ratio / (factor + 0.5))
