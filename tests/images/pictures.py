"""Pictures to test with, and a context that keeps a task's saved files in memory."""

import functools
import io
import random
from typing import Any

from PIL import Image, ImageCms, ImageDraw

from server.sdk.context import OutputFile
from server.settings import Settings
from server.tasks.images.tasks import TASKS

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 128, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


class Sent:
    """An upload with the parts that an image task uses."""

    filename, media_type = "picture.bin", "application/octet-stream"

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)

    def read(self) -> bytes:
        return self.data


class Desk:
    """A context that keeps files in memory, without Redis."""

    settings = Settings(redis_url="redis://127.0.0.1:1/0")

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.reports: list[tuple[float, float]] = []

    def progress(self, done: float, total: float, message: str = "") -> None:
        assert 0 <= done <= total
        self.reports.append((done, total))

    def save(self, name: str, data: bytes, media_type: str, **extra: Any) -> OutputFile:
        self.files[name] = data
        return OutputFile(name=name, media_type=media_type, bytes=len(data), sha256="", href=f"/{name}", **extra)

    def image(self, name: str) -> Image.Image:
        image = Image.open(io.BytesIO(self.files[name]))
        image.load()
        return image


def run(task: str, data: bytes, **values: Any) -> tuple[Any, Image.Image]:
    """Run a task with one file; return its result, and the image that it made."""
    desk = Desk()
    file = TASKS[task](desk, Sent(data), **values)
    assert len(desk.files[file.name]) == file.bytes
    image = desk.image(file.name)
    assert image.size == (file.width, file.height)
    return file, image


def apply(task: str, data: bytes, **values: Any) -> Image.Image:
    """Return the image that a task makes."""
    return run(task, data, **values)[1]


def encoded(image: Image.Image, format_name: str, **options: Any) -> bytes:
    """Encode the image as a file."""
    file = io.BytesIO()
    image.save(file, format_name, **options)
    return file.getvalue()


def plain(size: tuple[int, int] = (40, 30), colour: tuple[int, ...] = RED, mode: str = "RGB") -> Image.Image:
    """A picture of one color."""
    return Image.new(mode, size, colour)


def corners(width: int = 64, height: int = 32) -> Image.Image:
    """Four quarters of four colors: red and green above, blue and white below."""
    image = Image.new("RGB", (width, height), WHITE)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, width // 2 - 1, height // 2 - 1), RED)
    draw.rectangle((width // 2, 0, width, height // 2 - 1), GREEN)
    draw.rectangle((0, height // 2, width // 2 - 1, height), BLUE)
    return image


def quarters(image: Image.Image) -> str:
    """The colors of the four quarters as letters: `rgbw` for `corners()`."""
    image = image.convert("RGB")
    names = {"r": RED, "g": GREEN, "b": BLUE, "w": WHITE}
    letters = ""
    for x, y in ((0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)):
        pixel = image.getpixel((int(image.width * x), int(image.height * y)))
        letters += next((name for name, colour in names.items() if near(pixel, colour)), "?")
    return letters


def near(pixel: Any, colour: tuple[int, ...], by: int = 24) -> bool:
    """Return whether two colors are nearly equal."""
    return all(abs(one - other) <= by for one, other in zip(pixel, colour, strict=True))


@functools.cache
def photo(width: int = 1600, height: int = 1200) -> Image.Image:
    """A synthetic photograph: coarse and fine structure, edges, some noise."""
    chance = random.Random(7)
    image = Image.new("RGB", (width, height), (110, 120, 130))
    for octave, strength in ((4, 0.6), (16, 0.35), (64, 0.25), (256, 0.15)):
        noise = Image.frombytes("RGB", (octave, octave), chance.randbytes(3 * octave * octave))
        image = Image.blend(image, noise.resize(image.size, Image.Resampling.BICUBIC), strength)
    draw = ImageDraw.Draw(image)
    for _ in range(40):
        x, y, size = chance.randrange(width), chance.randrange(height), chance.randrange(4, max(5, width // 10))
        draw.ellipse((x, y, x + size, y + size // 2), tuple(chance.randbytes(3)))
        draw.line((x, y, chance.randrange(width), chance.randrange(height)), BLACK, 3)
    return image


def frames(count: int = 4, size: tuple[int, int] = (48, 24)) -> list[Image.Image]:
    """The frames of an animation: a bar that moves."""
    result = []
    for number in range(count):
        image = Image.new("RGB", size, WHITE)
        ImageDraw.Draw(image).rectangle((number * 8, 0, number * 8 + 7, size[1]), RED)
        result.append(image)
    return result


def animation(format_name: str, count: int = 4, size: tuple[int, int] = (48, 24), **options: Any) -> bytes:
    """An animated file that loops forever, 80 ms per frame."""
    first, *rest = frames(count, size)
    options = {"save_all": True, "append_images": rest, "duration": 80, "loop": 0} | options
    return encoded(first, format_name, **options)


def swapped_profile() -> bytes:
    """An ICC profile whose red is sRGB's green: unconverted pixels have the wrong color."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = {bytes(profile[at : at + 4]): at for at in range(132, 132 + 12 * profile[131], 12)}
    red, green = tags[b"rXYZ"], tags[b"gXYZ"]
    profile[red + 4 : red + 12], profile[green + 4 : green + 12] = (
        profile[green + 4 : green + 12],
        profile[red + 4 : red + 12],
    )
    at = int.from_bytes(profile[tags[b"desc"] + 4 : tags[b"desc"] + 8], "big")
    size = int.from_bytes(profile[tags[b"desc"] + 8 : tags[b"desc"] + 12], "big")
    profile[at : at + size] = (
        profile[at : at + size].replace(b"\0s\0R\0G\0B", b"\0S\0W\0A\0P").replace(b"sRGB", b"SWAP")
    )
    return bytes(profile)


def similarity(one: Image.Image, other: Image.Image) -> float:
    """The mean structural similarity of two pictures' brightness, over windows of 8 x 8 pixels, 4 apart."""
    assert one.size == other.size
    width, height = one.size
    first, second = one.convert("L").tobytes(), other.convert("L").tobytes()
    values = []
    for top in range(0, height - 7, 4):
        for left in range(0, width - 7, 4):
            rows = [row * width + left for row in range(top, top + 8)]
            a = b"".join(first[row : row + 8] for row in rows)
            b = b"".join(second[row : row + 8] for row in rows)
            values.append(_window(a, b))
    return sum(values) / len(values)


def _window(a: bytes, b: bytes) -> float:
    n = len(a)
    mean_a, mean_b = sum(a) / n, sum(b) / n
    spread_a = sum(v * v for v in a) / n - mean_a**2
    spread_b = sum(v * v for v in b) / n - mean_b**2
    shared = sum(v * w for v, w in zip(a, b, strict=True)) / n - mean_a * mean_b
    c1, c2 = 2.55**2, 7.65**2
    return ((2 * mean_a * mean_b + c1) * (2 * shared + c2)) / (
        (mean_a**2 + mean_b**2 + c1) * (spread_a + spread_b + c2)
    )
