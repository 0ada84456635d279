"""PNG decoded by libvips if `pyvips` is installed (the extra `images-fast`): the same pixels in less time.

Pillow reverses PNG's filters byte by byte, and decodes all pixels of a picture before it scales it down. Pillow still
handles pictures that libvips cannot read, and all errors.
"""

import functools
from types import ModuleType
from typing import Any, cast

from PIL import Image

#: Modes with eight bits per channel, which both libraries decode to the same bytes.
_BANDS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}
_MIN_PIXELS = 250_000  # below this size, starting libvips takes as long as it saves


@functools.cache
def _pyvips() -> ModuleType | None:
    try:
        import pyvips  # noqa: PLC0415 - optional, and the web process never needs it
    except (ImportError, OSError):
        return None
    # One thread, because the worker's other children need their cores. No cache: it would keep pictures of ended tasks.
    pyvips.concurrency_set(1)
    pyvips.cache_set_max(0)
    return cast(ModuleType, pyvips)


def decodes(opened: Image.Image) -> bool:
    """Return whether `decoded` may read a PNG that Pillow has opened but not decoded."""
    if opened.mode not in _BANDS or opened.width * opened.height < _MIN_PIXELS:
        return False
    return opened.info.get("transparency") is None and _pyvips() is not None


def decoded(data: bytes, opened: Image.Image, factor: int = 1) -> Image.Image | None:
    """Decode a PNG for which `decodes` is true, with `factor` pixels per side averaged; None if Pillow must decode it.

    Averaging during decoding keeps the pixels of a few rows in memory, which is cheaper than a copy of all.
    """
    vips = cast(ModuleType, _pyvips())
    try:
        image = vips.Image.new_from_buffer(data, "", access="sequential", fail_on="warning")
        if (image.bands, image.format, image.width, image.height) != (_BANDS[opened.mode], "uchar", *opened.size):
            return None
        if factor > 1:
            image = _averaged(image, factor)
        pixels = image.write_to_memory()
    except vips.Error:
        return None
    picture = Image.frombytes(opened.mode, (image.width, image.height), pixels)
    picture.info = dict(opened.info)
    return picture


def _averaged(image: Any, factor: int) -> Any:
    """Average squares of pixels. Colors are weighted by their alpha; a square at the edge repeats the last pixel."""
    if not image.hasalpha():
        return image.shrink(factor, factor, ceil=True)
    return image.premultiply().shrink(factor, factor, ceil=True).unpremultiply().rint().cast("uchar")
