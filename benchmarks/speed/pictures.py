"""Test images, the expected results, and the similarity of two images."""

import io
from functools import cache
from typing import Any

import numpy
from PIL import Image, ImageDraw, ImageFilter

MEGA = 1_000_000


@cache
def photo(width: int, height: int) -> Image.Image:
    """A synthetic photograph: coarse and fine structure, edges, grain."""
    chance = numpy.random.default_rng(7)
    image = Image.new("RGB", (width, height), (110, 120, 130))
    for octave, strength in ((4, 0.6), (16, 0.35), (64, 0.25), (256, 0.15), (1024, 0.08)):
        noise = Image.fromarray(chance.integers(0, 256, (octave, octave, 3), dtype=numpy.uint8))
        image = Image.blend(image, noise.resize(image.size, Image.Resampling.BICUBIC), strength)
    draw = ImageDraw.Draw(image)
    for _ in range(60):
        x, y, size = int(chance.integers(width)), int(chance.integers(height)), int(chance.integers(4, width // 10))
        draw.ellipse((x, y, x + size, y + size // 2), tuple(int(v) for v in chance.integers(0, 256, 3)))
        draw.line((x, y, int(chance.integers(width)), int(chance.integers(height))), (0, 0, 0), 3)
    return image.filter(ImageFilter.GaussianBlur(0.7))


def jpeg(width: int, height: int) -> bytes:
    """The test image as a JPEG file."""
    return encoded(photo(width, height), "JPEG", quality=90)


def png(width: int, height: int) -> bytes:
    """The test image as a PNG file."""
    return encoded(photo(width, height), "PNG", compress_level=6)


def jpeg_of(size: int) -> bytes:
    """A JPEG with at least `size` bytes."""
    width, image = 1000, b""
    while len(image) < size:
        width += 200
        image = jpeg(width, width * 3 // 4)
    return image


def encoded(image: Image.Image, image_format: str, **options: Any) -> bytes:
    """Encode an image as a file."""
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


def reference(data: bytes, size: tuple[int, int]) -> Image.Image:
    """Decode the whole image and resize it with the Lanczos filter."""
    return Image.open(io.BytesIO(data)).convert("RGB").resize(size, Image.Resampling.LANCZOS)


def similarity(one: Image.Image, other: Image.Image) -> float:
    """The mean structural similarity (SSIM) of two images' luminance, over all windows of 8 x 8 pixels."""
    a, b = (numpy.asarray(image.convert("L"), dtype=numpy.float64) for image in (one, other))
    if a.shape != b.shape:
        raise ValueError(f"{a.shape} is not {b.shape}")
    mean_a, mean_b = _means(a), _means(b)
    spread_a, spread_b = _means(a * a) - mean_a**2, _means(b * b) - mean_b**2
    shared = _means(a * b) - mean_a * mean_b
    c1, c2 = 2.55**2, 7.65**2
    above = (2 * mean_a * mean_b + c1) * (2 * shared + c2)
    return float((above / ((mean_a**2 + mean_b**2 + c1) * (spread_a + spread_b + c2))).mean())


def _means(values: "numpy.ndarray", size: int = 8) -> "numpy.ndarray":
    """The mean of each window."""
    total = numpy.pad(values.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    return (total[size:, size:] - total[:-size, size:] - total[size:, :-size] + total[:-size, :-size]) / size**2
