"""Pictures at the documented size limits can be processed within a worker's memory.

Each task runs in its own process with the limit of a worker's child, on a file made by another process, so that making
it leaves no memory behind.
"""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from harness import ROOT

from server.tasks.images.limits import MAX_PIXELS, MEMORY
from server.tasks.images.reading.formats import INPUT_FORMATS
from server.tasks.images.writing.codecs import CODECS
from server.tasks.images.writing.output import Output

pytestmark = pytest.mark.slow

MAKE = """
import json, sys
import pillow_heif
from PIL import Image
from tests.images.pictures import photo
pillow_heif.register_heif_opener()
path, format_name, width, height, alpha, options = json.loads(sys.argv[1])
image = photo(800, 600).resize((width, height))
if alpha:
    image.putalpha(Image.linear_gradient("L").resize((width, height)))
image.save(path, format_name, **options)
"""

RUN = """
import json, resource, sys
from pathlib import Path
from tests.images.pictures import Desk, Sent
from server.sdk.errors import TaskError
from server.tasks.images.tasks import TASKS
path, task, values = json.loads(sys.argv[1])
class Stored(Sent):
    def __init__(self): self.size = 0
    def read(self): return Path(path).read_bytes()
status = Path("/proc/self/status").read_text()
idle = next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, (idle + 512 * 2**20,) * 2)
file = TASKS[task](Desk(), Stored(), **values)
print(file.width, file.height)
"""

#: How each format is written quickly.
OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {},
    "PNG": {"compress_level": 1},
    "GIF": {},
    "WebP": {"method": 0},
    "AVIF": {"speed": 10},
    "HEIF": {"quality": 30},
    "TIFF": {"compression": "tiff_lzw"},
    "BMP": {},
}


def child(code: str, *values: Any) -> str:
    """Run the code in another process and return its output."""
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(values)],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-1000:]
    return done.stdout


def picture(
    folder: Path, format_name: str, pixels: float, alpha: bool = False, **options: Any
) -> tuple[Path, int, int]:
    """A picture of at most this many pixels, with proportions of four to three."""
    height = math.floor(math.sqrt(pixels * 3 / 4)) - 1
    width = height * 4 // 3
    path = folder / "picture"
    child(MAKE, str(path), format_name.upper(), width, height, alpha, OPTIONS[format_name] | options)
    return path, width, height


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("jpeg", {}),
        ("jpeg", {"progressive": True}),
        ("png", {}),
        ("webp", {}),
        ("webp", {"effort": 10}),
        ("webp", {"lossless": True, "effort": 1}),
        ("avif", {}),
        ("gif", {}),
    ],
)
@pytest.mark.parametrize("alpha", [False, True])
def test_a_result_of_the_largest_size_can_be_written(
    tmp_path: Path, name: str, options: dict[str, Any], alpha: bool
) -> None:
    limit = MEMORY / CODECS[name].cost(alpha, Output(**options))
    # Half again as large as a result may be is scaled down; here the size stays, so that nothing is freed.
    source = "PNG" if alpha else "JPEG"
    limit = min(limit, MEMORY / next(each.bytes_per_pixel[alpha] for each in INPUT_FORMATS if each.name == source))
    path, width, height = picture(tmp_path, source, limit, alpha)
    values = {"width": width, "height": height, "format": name, **options}
    assert child(RUN, str(path), "thumbnail", values).split() == [str(width), str(height)]


@pytest.mark.parametrize(
    ("task", "values"),
    [
        ("flip", {}),
        ("rotate", {"angle": 33, "expand": False}),
        ("filter", {"name": "blur"}),
        ("filter", {"name": "sepia"}),
        ("filter", {"name": "autocontrast"}),
        ("watermark", {"text": "draft", "tile": True, "angle": 30}),
        ("trim", {}),
        ("crop", {"width": 5000, "height": 4000, "gravity": "smart"}),
        ("resize", {"width": 5800, "height": 4500, "fit": "pad"}),
        ("resize", {"width": 5000, "height": 4500, "fit": "cover", "gravity": "smart"}),
    ],
)
@pytest.mark.parametrize("alpha", [False, True])
def test_an_operation_can_process_the_maximum_number_of_pixels(
    tmp_path: Path, task: str, values: dict[str, Any], alpha: bool
) -> None:
    limit = min(MAX_PIXELS, MEMORY / INPUT_FORMATS[1].bytes_per_pixel[1]) if alpha else MAX_PIXELS
    path, _, _ = picture(tmp_path, "PNG" if alpha else "JPEG", limit, alpha)
    assert child(RUN, str(path), task, values | {"format": "png" if alpha else "jpeg"})


@pytest.mark.parametrize("format_name", [each.name for each in INPUT_FORMATS])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("part", [0.05, 0.95])
def test_a_picture_of_the_largest_size_can_be_read_and_scaled_down(
    tmp_path: Path, format_name: str, alpha: bool, part: float
) -> None:
    if alpha and format_name in ("JPEG", "GIF", "BMP"):
        pytest.skip("this format has no alpha, or costs the same with it")
    limit = next(MEMORY / each.bytes_per_pixel[alpha] for each in INPUT_FORMATS if each.name == format_name)
    # An upload has at most 50 MiB, of which this format makes no more.
    limit = min(limit, 50 * 2**20 / 3) if format_name == "BMP" else limit
    path, width, height = picture(tmp_path, format_name, limit, alpha)
    part = min(part, math.sqrt(MAX_PIXELS / (width * height)) * 0.99)
    values = {"width": int(width * part), "height": int(height * part), "format": "jpeg"}
    assert child(RUN, str(path), "thumbnail", values)


def test_a_progressive_jpeg_of_the_largest_size_can_be_read(tmp_path: Path) -> None:
    for subsampling, samples in ((0, 3), (2, 1.5)):
        limit = MEMORY / (INPUT_FORMATS[0].bytes_per_pixel[0] + 2 * samples)
        path, width, height = picture(tmp_path, "JPEG", limit, progressive=True, subsampling=subsampling)
        part = min(0.95, math.sqrt(MAX_PIXELS / (width * height)) * 0.99)
        assert child(RUN, str(path), "thumbnail", {"width": int(width * part), "height": int(height * part)})
