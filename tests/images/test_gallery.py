"""The pictures in docs/images.md are results of the tasks. `UPDATE_GALLERY=1` creates them again."""

import inspect
import io
import os
import re
from pathlib import Path
from typing import Any

import pytest
from harness import ROOT
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageStat
from pydantic import TypeAdapter

from server.tasks.images.operations import OPERATIONS
from server.tasks.images.tasks import TASKS, image_pipeline
from tests.images.pictures import Desk, Sent, encoded

PICTURES = ROOT / "docs" / "pictures"
PAGE = ROOT / "docs" / "images.md"

#: The files in `docs/pictures/`: a task and its parameters. Operations of a pipeline are a list.
GALLERY: dict[str, tuple[str, dict[str, Any]]] = {
    "thumbnail": ("thumbnail", {"width": 96, "height": 96}),
    "resize-contain": ("resize", {"width": 120, "height": 120}),
    "resize-cover": ("resize", {"width": 120, "height": 120, "fit": "cover"}),
    "resize-smart": ("resize", {"width": 120, "height": 120, "fit": "cover", "gravity": "smart"}),
    "resize-fill": ("resize", {"width": 120, "height": 120, "fit": "fill"}),
    "resize-pad": ("resize", {"width": 120, "height": 120, "fit": "pad", "pad_color": "navy"}),
    "resize-outside": ("resize", {"width": 120, "height": 120, "fit": "outside"}),
    "crop": ("crop", {"width": 120, "height": 120, "gravity": "east"}),
    "trim": ("trim", {}),
    "filter-sepia": ("filter", {"name": "sepia"}),
    "filter-grayscale": ("filter", {"name": "grayscale"}),
    "filter-blur": ("filter", {"name": "blur", "amount": 4}),
    "filter-pixelate": ("filter", {"name": "pixelate", "amount": 8}),
    "rotate": ("rotate", {"angle": 20, "background": "#ffffff"}),
    "flip": ("flip", {"direction": "horizontal"}),
    "watermark": ("watermark", {"text": "© Coatcheck", "opacity": 0.9}),
    "watermark-tile": ("watermark", {"text": "ΠΡΟΒΑ", "tile": True, "angle": -30, "scale": 0.2}),
    "image_pipeline": (
        "image_pipeline",
        {"operations": [{"op": "crop", "width": 120, "height": 120}, {"op": "sepia"}]},
    ),
}


def landscape(margin: int = 0) -> Image.Image:
    """The picture for all examples: hills below a sun, in a frame of `margin` white pixels."""
    width, height = 240, 160
    sky = Image.linear_gradient("L").resize((width, height))
    image = Image.merge(
        "RGB", (sky.point(lambda v: 90 + v // 2), sky.point(lambda v: 150 + v // 4), sky.point(lambda v: 230 - v // 8))
    )
    draw = ImageDraw.Draw(image)
    draw.ellipse((170, 22, 208, 60), (255, 214, 92))
    for left, top, span, color in (
        (-60, 80, 200, (84, 120, 96)),
        (60, 70, 260, (62, 104, 82)),
        (-20, 112, 320, (44, 82, 62)),
    ):
        draw.ellipse((left, top, left + span, top + 160), color)
    for x, y in ((30, 112), (52, 120), (200, 108)):
        draw.polygon(((x, y - 28), (x - 9, y), (x + 9, y)), (24, 56, 44))
    image = image.filter(ImageFilter.SMOOTH)
    framed = Image.new("RGB", (width + 2 * margin, height + 2 * margin), "white")
    framed.paste(image, (margin, margin))
    return framed


def drawn(name: str) -> bytes:
    """Return the file that the task of a picture makes."""
    task, values = GALLERY[name]
    desk, image = Desk(), Sent(encoded(landscape(20 if task == "trim" else 0), "PNG"))
    values = values | {"format": "jpeg", "quality": 82}
    if task == "image_pipeline":
        annotation = inspect.signature(image_pipeline).parameters["operations"].annotation
        operations = TypeAdapter(annotation).validate_python(values.pop("operations"))
        image_pipeline(desk, image, operations=operations, **values)
    else:
        TASKS[task](desk, image, **values)
    return next(iter(desk.files.values()))


def originals() -> dict[str, bytes]:
    return {
        "original": encoded(landscape(), "JPEG", quality=82),
        "framed": encoded(landscape(20), "JPEG", quality=82),
    }


@pytest.mark.skipif("UPDATE_GALLERY" not in os.environ, reason="UPDATE_GALLERY=1 makes the pictures anew")
def test_the_gallery_is_generated_again() -> None:
    PICTURES.mkdir(exist_ok=True)
    for name, data in (originals() | {name: drawn(name) for name in GALLERY}).items():
        (PICTURES / f"{name}.jpg").write_bytes(data)


@pytest.mark.parametrize("name", GALLERY)
def test_a_picture_of_the_gallery_matches_the_tasks_output(name: str) -> None:
    stored, drawn_again = (
        Image.open(io.BytesIO(data)) for data in ((PICTURES / f"{name}.jpg").read_bytes(), drawn(name))
    )
    assert stored.size == drawn_again.size
    # Another build of libjpeg or FreeType rounds in another way.
    assert max(ImageStat.Stat(ImageChops.difference(stored, drawn_again)).mean) < 3


def test_every_picture_is_on_the_page_and_every_operation_has_one() -> None:
    shown = {Path(name).stem for name in re.findall(r"pictures/([\w-]+\.jpg)", PAGE.read_text())}
    assert shown == {path.stem for path in PICTURES.glob("*.jpg")} == GALLERY.keys() | originals().keys()
    missing = {operation.name for operation in OPERATIONS} - {task for task, _ in GALLERY.values()}
    assert not missing, "add them to GALLERY and docs/images.md, and run this file with UPDATE_GALLERY=1"
    assert sum(path.stat().st_size for path in PICTURES.iterdir()) < 200_000
