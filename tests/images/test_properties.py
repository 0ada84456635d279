"""Properties that every picture and every box must have, checked on many reproducible examples."""

import math
import random
from collections.abc import Iterator

import pytest
from PIL import Image

from server.tasks.images.frame import Frame
from server.tasks.images.geometry import align, fit_around, fit_within, part_of
from server.tasks.images.operations.sizes import resize, thumbnail
from tests.images.pictures import apply, encoded, photo

GRAVITIES = ("northwest", "north", "northeast", "west", "center", "east", "southwest", "south", "southeast")
FITS = ("contain", "cover", "fill", "pad", "outside")

Size = tuple[int, int]


def pairs(count: int, seed: int, max_side: int = 10_000) -> Iterator[tuple[Size, Size]]:
    """Sizes of pictures and of boxes, half of them small."""
    chance = random.Random(seed)

    def side() -> int:
        return int(math.exp(chance.uniform(0, math.log(max_side))))

    for _ in range(count):
        yield (side(), side()), (side(), side())


@pytest.mark.parametrize("gravity", GRAVITIES)
def test_a_crop_stays_inside_the_picture_and_has_the_requested_proportions(gravity) -> None:  # type: ignore[no-untyped-def]
    for size, box in pairs(5_000, 1):
        left, top, right, bottom = part_of(size, box, gravity)
        assert 0 <= left < right <= size[0], (size, box)
        assert 0 <= top < bottom <= size[1], (size, box)
        assert math.isclose((right - left) * box[1], (bottom - top) * box[0], rel_tol=1e-9), (size, box)


def test_fitted_sizes_are_within_or_around_the_box() -> None:
    for size, box in pairs(20_000, 2):
        within, around = fit_within(size, box), fit_around(size, box)
        assert within[0] <= min(size[0], box[0]) and within[1] <= min(size[1], box[1]), (size, box)
        assert all(1 <= side <= whole for side, whole in zip(around, size, strict=True)), (size, box)
        if box[0] <= size[0] and box[1] <= size[1]:
            assert around[0] >= box[0] and around[1] >= box[1], (size, box)
        larger = fit_around(size, box, enlarge=True)
        assert larger[0] >= box[0] and larger[1] >= box[1], (size, box)


@pytest.mark.parametrize("gravity", GRAVITIES)
def test_a_positioned_box_is_inside_the_picture(gravity) -> None:  # type: ignore[no-untyped-def]
    for size, box in pairs(2_000, 3):
        inner = fit_within(size, box)
        left, top = align(inner, box, gravity)
        assert 0 <= left <= box[0] - inner[0] and 0 <= top <= box[1] - inner[1]


def promised(size: Size, box: Size, fit: str, enlarge: bool) -> Size:
    """The size according to the documentation."""
    if fit == "contain":
        return fit_within(size, box, enlarge=enlarge)
    if fit == "outside":
        return fit_around(size, box, enlarge=enlarge)
    if fit == "pad" or enlarge:
        return box
    if fit == "fill":
        return min(size[0], box[0]), min(size[1], box[1])
    scale = min(1.0, size[0] / box[0], size[1] / box[1])
    return max(1, round(box[0] * scale)), max(1, round(box[1] * scale))


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("enlarge", [False, True])
def test_resize_returns_the_documented_size_for_every_box(fit, enlarge: bool) -> None:  # type: ignore[no-untyped-def]
    chance = random.Random(4)
    for size, box in pairs(150, 5, max_side=400):
        gravity = chance.choice((*GRAVITIES, "smart"))
        frame = Frame(Image.new(chance.choice(("RGB", "RGBA", "L")), size), size)
        result = resize(frame, *box, fit=fit, enlarge=enlarge, gravity=gravity)
        wanted = promised(size, box, fit, enlarge)
        assert result.size == result.display().size == wanted, (size, box, gravity)


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_coarsely_decoded_jpeg_has_the_documented_size_for_every_box(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    chance = random.Random(6)
    for _ in range(60):
        size = chance.randrange(30, 900), chance.randrange(30, 900)
        box = chance.randrange(1, 240), chance.randrange(1, 240)
        data = encoded(photo(900, 900).crop((0, 0, *size)), "JPEG", exif=exif.tobytes())
        upright = size if orientation == 1 else size[::-1]
        image = apply("resize", data, width=box[0], height=box[1], fit="cover", gravity=chance.choice(GRAVITIES))
        assert image.size == promised(upright, box, "cover", False), (size, box)
        assert apply("thumbnail", data, width=box[0], height=box[1]).size == fit_within(upright, box)


def test_boxes_that_once_exceeded_the_picture_fit() -> None:
    data = encoded(photo(400, 300).resize((4000, 3000)), "JPEG")
    for box in ((240, 120), (120, 60), (120, 90)):
        assert apply("resize", data, width=box[0], height=box[1], fit="cover").size == box


def test_a_thumbnail_is_never_larger_than_its_box_or_its_source() -> None:
    for size, box in pairs(300, 7, max_side=600):
        image = thumbnail(Frame(Image.new("RGB", size), size), *box).display()
        assert all(side <= min(limits) for side, *limits in zip(image.size, size, box, strict=True)), (size, box)
