"""A reduced picture is similar to one that Lanczos's filter makes of all pixels."""

import functools
import io
import random
from collections.abc import Callable

import pytest
from PIL import Image, ImageChops, ImageDraw, ImageFont

from server.tasks.images.color import to_srgb
from server.tasks.images.tasks import image_variants
from server.tasks.images.variants import Variant
from tests.images.pictures import WHITE, Desk, Sent, apply, encoded, photo, run, similarity

SIZE = (1600, 1200)


def smooth() -> Image.Image:
    """Smooth gradients of colors."""
    return photo(12, 9).resize(SIZE, Image.Resampling.BICUBIC)


def text() -> Image.Image:
    """A printed page."""
    image, chance = Image.new("RGB", SIZE, WHITE), random.Random(1)
    draw, top = ImageDraw.Draw(image), 10
    while top < SIZE[1]:
        size = chance.choice((12, 16, 22, 32, 48, 80))
        text = " ".join("".join(chance.choices("aeilnorst", k=chance.randrange(2, 9))) for _ in range(50))
        draw.text((10, top), text, (chance.randrange(90),) * 3, ImageFont.load_default(size))
        top += int(size * 1.3)
    return image


def lines() -> Image.Image:
    """A drawing, with lines of one to seven pixels."""
    image, chance = Image.new("RGB", SIZE, WHITE), random.Random(2)
    draw = ImageDraw.Draw(image)
    for _ in range(200):
        ends = [(chance.randrange(SIZE[0]), chance.randrange(SIZE[1])) for _ in range(2)]
        draw.line(ends, tuple(chance.choices(range(200), k=3)), chance.randrange(1, 8))
    return image


def grain() -> Image.Image:
    """A photograph taken in low light."""
    return ImageChops.add(photo(), Image.effect_noise(SIZE, 16).convert("RGB"), 1, -128)


DRAWN = {each.__name__: functools.cache(each) for each in (photo, smooth, text, lines, grain)}


@functools.cache
def sent(name: str, format_name: str) -> bytes:
    """Encode a picture as a file."""
    return encoded(DRAWN[name](), format_name, **({"quality": 90} if format_name == "JPEG" else {"compress_level": 1}))


def likeness(image: Image.Image, data: bytes) -> float:
    """Return the similarity of a result and its source, which is shown on white and resized by Lanczos's filter."""
    source = Image.open(io.BytesIO(data))
    if source.mode == "CMYK":
        source = to_srgb(source, None)
    wanted = source.convert("RGBA" if source.has_transparency_data else "RGB").resize(image.size, 1)
    return similarity(*(_on_white(each) for each in (image, wanted)))


def _on_white(image: Image.Image) -> Image.Image:
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("format_name", ["JPEG", "PNG"])
@pytest.mark.parametrize("width", [100, 280, 400])
def test_the_output_is_similar_to_any_source_picture(name: str, format_name: str, width: int) -> None:
    data = sent(name, format_name)
    assert likeness(apply("thumbnail", data, width=width, height=width, format="png"), data) >= 0.98


@pytest.mark.parametrize("name", ["photo", "text", "lines"])
@pytest.mark.parametrize("format_name", ["JPEG", "PNG"])
@pytest.mark.parametrize("widths", [(150, 300, 450, 768, 1024), (128, 168, 220, 290, 380, 500, 650, 850)])
def test_a_variant_of_a_variant_is_similar_to_the_source(name: str, format_name: str, widths: tuple[int, ...]) -> None:
    desk, data = Desk(), sent(name, format_name)
    variants = {f"w{width}": Variant(width=width, height=width, format="png") for width in widths}
    image_variants(desk, Sent(data), variants)
    for width in widths[:3]:
        assert likeness(desk.image(f"w{width}.png"), data) >= 0.98


def _transparent() -> bytes:
    image = photo().copy()
    image.putalpha(Image.linear_gradient("L").resize(SIZE))
    return encoded(image, "PNG", compress_level=1)


def _sixteen_bits() -> bytes:
    return encoded(photo().convert("L").convert("I").point(lambda value: value * 257).convert("I;16"), "PNG")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(_transparent, id="transparent PNG"),
        pytest.param(lambda: encoded(photo().quantize(64), "PNG"), id="palette PNG"),
        pytest.param(lambda: encoded(photo().convert("LA"), "PNG"), id="gray PNG with alpha"),
        pytest.param(lambda: encoded(photo().convert("CMYK"), "JPEG", quality=90), id="CMYK JPEG"),
        pytest.param(lambda: encoded(photo().convert("L"), "JPEG", quality=90), id="gray JPEG"),
        pytest.param(lambda: encoded(photo(), "JPEG", quality=90, progressive=True), id="progressive JPEG"),
        pytest.param(lambda: encoded(photo(1601, 1203), "JPEG", quality=90), id="JPEG of odd sides"),
        pytest.param(lambda: encoded(photo(), "WEBP", quality=90, method=0), id="WebP"),
        pytest.param(lambda: encoded(photo(), "BMP"), id="BMP"),
    ],
)
@pytest.mark.parametrize("width", [128, 300])
def test_the_output_is_similar_to_a_source_of_any_format(data: Callable[[], bytes], width: int) -> None:
    picture = data()
    assert likeness(apply("thumbnail", picture, width=width, height=width, format="png"), picture) >= 0.98


def test_sixteen_bit_pictures_look_like_their_eight_bit_source() -> None:
    image = apply("thumbnail", _sixteen_bits(), width=256, height=256, format="png")
    assert likeness(image, encoded(photo().convert("L"), "PNG")) >= 0.98


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("width", [400, SIZE[0]])
def test_a_png_is_little_larger_than_with_the_fastest_deflate(name: str, width: int) -> None:
    file, image = run("thumbnail", sent(name, "PNG"), width=width, height=width)
    assert file.bytes <= 1.06 * len(encoded(image, "PNG", compress_level=1))
