"""The tasks as a whole: schemas, pipelines, variants, info, and making a task of an operation."""

import inspect
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from server.sdk.errors import Canceled, TaskError
from server.tasks.images.color import Color
from server.tasks.images.operations import IN_LISTS, OPERATIONS
from server.tasks.images.operations.base import Operation
from server.tasks.images.tasks import TASKS, image_info, image_pipeline, image_variants
from server.tasks.images.variants import Variant
from tests.images.pictures import (
    BLACK,
    RED,
    WHITE,
    Desk,
    Sent,
    animation,
    corners,
    encoded,
    near,
    plain,
    quarters,
)

WIDE = encoded(corners(400, 200), "PNG")


def operations(*entries: dict[str, Any]) -> list[Any]:
    """Validate entries as the endpoint does."""
    return TypeAdapter(inspect.signature(image_pipeline).parameters["operations"].annotation).validate_python(
        list(entries)
    )


def pipeline(data: bytes, *entries: dict[str, Any], **values: Any) -> Any:
    desk = Desk()
    file = image_pipeline(desk, Sent(data), operations=operations(*entries), **values)
    return desk.image(file.name)


def test_every_operation_is_a_task_with_flat_parameters() -> None:
    names = {"thumbnail", "resize", "crop", "trim", "filter", "rotate", "flip", "watermark"}
    assert set(TASKS) == names
    parameters = inspect.signature(TASKS["thumbnail"]).parameters
    writing = ["format", "quality", "lossless", "effort", "progressive", "max_bytes", "background", "keep_metadata"]
    assert list(parameters) == ["ctx", "image", "width", "height", *writing, "page", "lenient"]
    assert parameters["width"].default == 128


def test_a_pipeline_accepts_every_operation_and_filter() -> None:
    schema = TypeAdapter(inspect.signature(image_pipeline).parameters["operations"].annotation).json_schema()
    assert set(schema["items"]["discriminator"]["mapping"]) == set(IN_LISTS)
    assert {"blur", "sepia"} | {operation.name for operation in OPERATIONS} <= set(IN_LISTS)


def test_an_operation_is_one_function() -> None:
    def tint(frame: Any, strength: int = 3) -> Any:
        """Color everything."""

    operation = Operation.of(tint)
    assert (operation.name, operation.summary) == ("tint", "Color everything.")
    assert operation.model(op="tint").strength == 3


def test_a_pipeline_runs_its_operations_in_order() -> None:
    image = pipeline(WIDE, {"op": "rotate"}, {"op": "resize", "width": 50}, {"op": "flip"})
    assert image.size == (50, 100)
    assert quarters(image) == "rbgw"


def test_a_pipeline_accepts_filters_by_name() -> None:
    one = pipeline(WIDE, {"op": "blur", "amount": 4})
    other = pipeline(WIDE, {"op": "filter", "name": "blur", "amount": 4})
    assert one.tobytes() == other.tobytes()
    assert pipeline(WIDE, {"op": "blur"}).size == (400, 200)


def test_a_pipeline_accepts_a_mark_in_addition_to_its_steps() -> None:
    mark = Sent(encoded(plain((10, 10), BLACK), "PNG"))
    image = pipeline(WIDE, {"op": "thumbnail"}, {"op": "watermark", "opacity": 1, "gravity": "north"}, mark=mark)
    assert near(image.getpixel((64, 5)), BLACK)


def test_a_pipeline_reports_each_operation() -> None:
    desk = Desk()
    image_pipeline(desk, Sent(WIDE), operations=operations({"op": "flip"}, {"op": "blur"}))
    assert desk.reports == [(1, 2), (1, 1)]


def test_a_pipeline_keeps_an_animations_frames() -> None:
    assert pipeline(animation("GIF"), {"op": "thumbnail"}, {"op": "sepia"}).n_frames == 4


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [{"op": "flip"}] * 21,
        [{"op": "explode"}],
        [{"width": 3}],
        [{"op": "resize", "width": 0}],
        [{"op": "resize", "width": 10_001}],
        [{"op": "resize", "width": 5, "colour": "red"}],
        [{"op": "filter", "name": "none"}],
        [{"op": "blur", "amount": 1e9}],
        [{"op": "rotate", "angle": float("nan")}],
        [{"op": "crop", "width": 5}],
    ],
)
def test_an_invalid_list_is_refused_by_the_schema(entries: list[dict[str, Any]]) -> None:
    with pytest.raises(ValidationError):
        operations(*entries)


def test_a_cancellation_is_not_caught() -> None:
    desk = Desk()

    def stop(done: float, total: float, message: str = "") -> None:
        raise Canceled

    desk.progress = stop  # type: ignore[method-assign]
    with pytest.raises(Canceled):
        TASKS["flip"](desk, Sent(WIDE))


@pytest.mark.parametrize("colour", ["", "reddish", "#12", "rgba(0, 0, 0, 0)", "#00000080", "x" * 50, "hsl("])
def test_a_background_that_is_not_an_opaque_color_is_refused_by_the_schema(colour: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Color).validate_python(colour)


@pytest.mark.parametrize("colour", ["red", "#f00", "#ff0000", "rgb(255, 0, 0)", "hsl(0, 100%, 50%)", "#ff0000ff"])
def test_a_background_may_be_any_opaque_color(colour: str) -> None:
    assert TypeAdapter(Color).validate_python(colour) == "#ff0000"


def test_variants_have_their_name_size_and_format() -> None:
    desk = Desk()
    variants = {
        "large": Variant(width=300),
        "small": Variant(width=100, height=20, format="jpeg", quality=50),
        "same": Variant(width=300),
        "huge": Variant(width=9000, format="webp"),
    }
    result = image_variants(desk, Sent(WIDE), variants)
    assert list(result.variants) == list(variants)
    sizes = {name: (file.name, file.width, file.height) for name, file in result.variants.items()}
    assert sizes == {
        "large": ("large.png", 300, 150),
        "small": ("small.jpg", 40, 20),
        "same": ("same.png", 300, 150),
        "huge": ("huge.webp", 400, 200),
    }
    assert all(quarters(desk.image(name)) == "rgbw" for name in desk.files)


def test_a_still_variant_of_an_animation_is_its_first_frame() -> None:
    desk = Desk()
    variants = {"moving": Variant(width=24), "still": Variant(width=24, format="jpeg")}
    result = image_variants(desk, Sent(animation("GIF")), variants)
    assert (result.variants["moving"].frames, result.variants["still"].frames) == (4, 1)
    assert near(desk.image("still.jpg").getpixel((1, 6)), RED, by=60)


@pytest.mark.parametrize("variants", [{}, {"../x": {"width": 5}}, {"": {"width": 5}}, {"a": {}}, {"a": {"width": 0}}])
def test_invalid_variants_are_refused_by_the_schema(variants: dict[str, Any]) -> None:
    adapter = TypeAdapter(inspect.signature(image_variants).parameters["variants"].annotation)
    with pytest.raises(ValidationError):
        adapter.validate_python(variants)


def test_info_describes_the_file() -> None:
    info = image_info(Sent(WIDE))
    assert (info.format, info.width, info.height, info.mode, info.frames) == ("png", 400, 200, "RGB", 1)
    assert (info.transparent, info.orientation, info.colour_profile, info.duration_seconds) == (False, 1, None, None)


def test_info_names_exif_and_gives_the_upright_size() -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x010F], exif[0x0112], exif[0x0132] = "Coatcheck\0", 6, "2026:01:01 00:00:00"
    exif.get_ifd(0x8769)[0x829A] = 0.01
    info = image_info(Sent(encoded(corners(), "JPEG", exif=exif)))
    assert (info.width, info.height, info.orientation) == (32, 64, 6)
    assert info.exif == {
        "Make": "Coatcheck",
        "Orientation": 6,
        "DateTime": "2026:01:01 00:00:00",
        "ExposureTime": 0.01,
    }


def test_info_of_an_animation_counts_frames_and_seconds() -> None:
    for format_name in ("GIF", "WEBP", "PNG", "AVIF"):
        info = image_info(Sent(animation(format_name)))
        assert (info.frames, info.duration_seconds) == (4, 0.32)


def test_info_lists_dominant_colours_by_their_share() -> None:
    image = plain((100, 100), WHITE)
    image.paste(RED, (0, 0, 100, 30))
    first, second, *_ = image_info(Sent(encoded(image, "PNG"))).dominant_colours
    assert (first.colour, second.colour) == ("#ffffff", "#ff0000")
    assert (round(first.share, 1), round(second.share, 1)) == (0.7, 0.3)


def test_invisible_colors_are_not_counted() -> None:
    from PIL import Image

    image = Image.new("RGBA", (50, 50), (0, 255, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 20, 20))
    assert image_info(Sent(encoded(image, "PNG"))).dominant_colours[0].colour == "#ff0000"
    assert image_info(Sent(encoded(Image.new("RGBA", (5, 5)), "PNG"))).dominant_colours[0].colour == "#ffffff"


def test_the_placeholder_is_a_blurhash_of_the_picture() -> None:
    import blurhash

    info = image_info(Sent(encoded(plain((64, 64), (200, 30, 30)), "PNG")))
    assert near(blurhash.decode(info.blurhash, 4, 4)[2][2], (200, 30, 30))


def test_info_of_a_broken_file_fails_like_every_other_task() -> None:
    with pytest.raises(TaskError):
        image_info(Sent(b"GIF89a"))
