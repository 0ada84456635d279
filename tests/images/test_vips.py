"""libvips and Pillow give the same pixels of a PNG, and the same errors.

If libvips averages the pixels of a picture that is scaled down, it rounds differently, and repeats the last pixel where
the last square is incomplete. Colors are compared multiplied by their alpha, because those of nearly transparent pixels
do not matter.
"""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import Any

import pytest
from PIL import ExifTags, Image, ImageChops, ImageStat

from server.sdk.errors import TaskError
from server.tasks.images.reading import vips
from server.tasks.images.reading.source import Source
from tests.images.pictures import Sent, apply, corners, encoded, near, photo, quarters, similarity, swapped_profile

pyvips = pytest.importorskip("pyvips")

SIZE = (900, 600)
ODD = (901, 599)
MODES = ("L", "LA", "RGB", "RGBA")

#: Differences of a scaled picture, in steps of brightness: the mean, any pixel's, and those in the last row and column.
MEAN, MAX_DIFFERENCE, MAX_DIFFERENCE_AT_EDGE = 0.6, 3, 15


@contextmanager
def pillow_alone() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vips, "_pyvips", lambda: None)
        yield


def picture(mode: str, size: tuple[int, int] = SIZE) -> Image.Image:
    image = photo(*size).convert(mode)
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.linear_gradient("L").resize(size))
    return image


def saved_by_vips(image: Image.Image, deep: bool = False, **options: Any) -> bytes:
    """A PNG in a variant that Pillow does not write."""
    raw = pyvips.Image.new_from_memory(image.tobytes(), *image.size, len(image.getbands()), "uchar")
    raw = raw.copy(interpretation="b-w" if image.mode == "L" else "srgb")
    data: bytes = ((raw * 257).cast("ushort").copy(interpretation="rgb16") if deep else raw).pngsave_buffer(**options)
    return data


def assert_alike(one: Image.Image, other: Image.Image) -> None:
    assert (one.mode, one.size) == (other.mode, other.size)
    if one.mode in ("LA", "RGBA"):
        pixels = (image.convert("RGBA").convert("RGBa").tobytes() for image in (one, other))
        one, other = (Image.frombytes("RGBA", one.size, each) for each in pixels)
    difference = ImageChops.difference(one.convert("RGBA"), other.convert("RGBA"))
    inside = difference.crop((0, 0, one.width - 1, one.height - 1))
    assert max(ImageStat.Stat(difference).mean) <= MEAN
    assert max(chain(*inside.getextrema())) <= MAX_DIFFERENCE
    assert max(chain(*difference.getextrema())) <= MAX_DIFFERENCE_AT_EDGE


@pytest.mark.parametrize("mode", MODES)
def test_every_pixel_is_identical(mode: str) -> None:
    data = encoded(picture(mode), "PNG")
    opened = Source(Sent(data))._open()
    assert vips.decodes(opened)
    fast = vips.decoded(data, opened)
    assert fast is not None
    assert (fast.mode, fast.tobytes()) == (mode, picture(mode).tobytes())


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(lambda: encoded(photo(*SIZE).quantize(50), "PNG"), id="palette"),
        pytest.param(lambda: encoded(photo(*SIZE), "PNG", transparency=(1, 2, 3)), id="transparent color"),
        pytest.param(lambda: encoded(photo(*SIZE).convert("L").convert("I;16"), "PNG"), id="sixteen bits"),
        pytest.param(lambda: encoded(photo(30, 20), "PNG"), id="small"),
    ],
)
def test_other_pictures_are_processed_by_pillow(data) -> None:  # type: ignore[no-untyped-def]
    assert not vips.decodes(Source(Sent(data()))._open())


@pytest.mark.parametrize("size", [SIZE, ODD])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("width", [64, 200, 300, 800])
def test_a_smaller_picture_is_similar_from_either_library(mode: str, size: tuple[int, int], width: int) -> None:
    data = encoded(picture(mode, size), "PNG")
    fast = apply("thumbnail", data, width=width, height=width)
    with pillow_alone():
        assert_alike(fast, apply("thumbnail", data, width=width, height=width))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(lambda: saved_by_vips(picture("RGB"), interlace=True), id="interlaced"),
        pytest.param(lambda: saved_by_vips(picture("RGBA"), interlace=True), id="interlaced with alpha"),
        pytest.param(lambda: saved_by_vips(picture("RGB"), deep=True), id="sixteen bits"),
        pytest.param(lambda: saved_by_vips(picture("L"), bitdepth=4), id="four bits"),
        pytest.param(lambda: saved_by_vips(picture("L"), bitdepth=1), id="one bit"),
        pytest.param(lambda: encoded(photo(*SIZE).quantize(50), "PNG"), id="palette"),
        pytest.param(lambda: encoded(photo(*SIZE).convert("L").convert("I;16"), "PNG"), id="sixteen bits of gray"),
        pytest.param(lambda: encoded(photo(*SIZE), "PNG", icc_profile=swapped_profile()), id="profile"),
    ],
)
@pytest.mark.parametrize("task", ["thumbnail", "flip"])
def test_a_file_of_any_type_is_similar_from_either_library(data, task: str) -> None:  # type: ignore[no-untyped-def]
    file, values = data(), {"width": 300, "height": 300} if task == "thumbnail" else {}
    fast = apply(task, file, **values)
    with pillow_alone():
        assert_alike(fast, apply(task, file, **values))


@pytest.mark.parametrize(
    ("task", "values"),
    [
        ("resize", {"width": 150, "height": 200, "fit": "cover", "gravity": "smart"}),
        ("resize", {"width": 200, "height": 300, "fit": "pad", "pad_color": "red"}),
        ("trim", {}),
    ],
)
def test_other_operations_are_similar_with_either_library(task: str, values: dict[str, Any]) -> None:
    data = encoded(picture("RGB"), "PNG")
    fast = apply(task, data, **values)
    with pillow_alone():
        assert_alike(fast, apply(task, data, **values))


def test_a_crop_off_the_block_grid_is_similar_from_either_library() -> None:
    data, values = encoded(picture("RGB"), "PNG"), {"width": 200, "height": 200, "fit": "cover"}
    fast = apply("resize", data, **values)
    with pillow_alone():
        assert similarity(fast, apply("resize", data, **values)) >= 0.995


def test_a_picture_that_is_scaled_down_is_upright() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    image = apply("thumbnail", encoded(corners(*SIZE), "PNG", exif=exif), width=200, height=200)
    assert (image.size, quarters(image)) == ((133, 200), "brwg")


def test_a_transparent_color_does_not_spread() -> None:
    image = Image.new("RGBA", SIZE, (0, 0, 255, 255))
    image.paste((255, 0, 0, 0), (0, 0, 450, 600))
    small = apply("thumbnail", encoded(image, "PNG"), width=101, height=101)
    middle = small.getpixel((50, 30))
    assert near(middle, (0, 0, 255, 128), by=16)


def test_a_picture_is_decoded_no_finer_than_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    factors = []

    def spy(data: bytes, opened: Image.Image, factor: int = 1) -> None:
        factors.append(factor)

    monkeypatch.setattr(vips, "decoded", spy)
    data = encoded(picture("RGB"), "PNG")
    apply("thumbnail", data, width=200, height=200)
    apply("trim", data)
    assert factors == [3, 1]


def cut(data: bytes, share: float) -> bytes:
    return data[: int(len(data) * share)]


def spoiled(data: bytes) -> bytes:
    """Change a byte of the compressed pixels, with a correct checksum of the chunk."""
    start = data.index(b"IDAT")
    length = int.from_bytes(data[start - 4 : start], "big")
    body = bytearray(data[start : start + 4 + length])
    body[length // 2] ^= 255
    return data[:start] + body + zlib.crc32(body).to_bytes(4, "big") + data[start + 8 + length :]


@pytest.mark.parametrize("broken", [partial(cut, share=0.5), partial(cut, share=0.999), spoiled])
@pytest.mark.parametrize(("task", "values"), [("flip", {}), ("thumbnail", {"width": 100, "height": 100})])
def test_a_broken_picture_has_the_same_error_from_either_library(broken, task: str, values) -> None:  # type: ignore[no-untyped-def]
    data = broken(encoded(photo(*SIZE), "PNG"))
    with pytest.raises(TaskError) as caught:
        apply(task, data, **values)
    with pillow_alone(), pytest.raises(TaskError) as expected:
        apply(task, data, **values)
    assert caught.value.type == expected.value.type == "image-unreadable"
    assert caught.value.detail == expected.value.detail
