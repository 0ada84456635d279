"""The effect of each operation on a picture."""

import pytest
from PIL import Image, ImageDraw

from server.sdk.errors import TaskError
from server.tasks.images.operations.filters import FILTERS
from tests.images.pictures import (
    BLACK,
    BLUE,
    RED,
    WHITE,
    Sent,
    apply,
    corners,
    encoded,
    near,
    photo,
    plain,
    quarters,
    run,
)

WIDE = encoded(corners(400, 200), "PNG")


def test_a_thumbnail_fits_within_128_by_128_by_default() -> None:
    file, image = run("thumbnail", WIDE)
    assert image.size == (128, 64)
    assert file.name == "thumbnail.png"


def test_a_thumbnail_fits_within_the_tighter_side() -> None:
    assert apply("thumbnail", WIDE, width=300, height=50).size == (100, 50)


def test_a_thumbnail_is_never_enlarged() -> None:
    assert apply("thumbnail", WIDE, width=5000, height=5000).size == (400, 200)


def test_a_thumbnail_of_a_strip_keeps_at_least_a_pixel() -> None:
    assert apply("thumbnail", encoded(plain((2000, 2)), "PNG"), width=10, height=10).size == (10, 1)


@pytest.mark.parametrize(
    ("values", "size"),
    [
        ({"width": 100, "height": 100}, (100, 50)),
        ({"width": 100, "height": 100, "fit": "cover"}, (100, 100)),
        ({"width": 100, "height": 100, "fit": "fill"}, (100, 100)),
        ({"width": 100}, (100, 50)),
        ({"height": 100}, (200, 100)),
        ({}, (400, 200)),
        ({"enlarge": True}, (400, 200)),
        ({"width": 800, "height": 800}, (400, 200)),
        ({"width": 800, "height": 800, "enlarge": True}, (800, 400)),
        ({"width": 800, "height": 400, "fit": "cover"}, (400, 200)),
        ({"width": 800, "height": 800, "fit": "cover"}, (200, 200)),
        ({"width": 800, "height": 800, "fit": "cover", "enlarge": True}, (800, 800)),
        ({"width": 800, "height": 50, "fit": "fill"}, (400, 50)),
        ({"width": 800, "enlarge": True}, (800, 400)),
    ],
)
def test_fit_and_enlarge_determine_the_size(values: dict[str, object], size: tuple[int, int]) -> None:
    assert apply("resize", WIDE, **values).size == size


def test_cover_crops_both_sides_equally() -> None:
    image = plain((300, 100), WHITE)
    image.paste(RED, (0, 0, 100, 100))
    image.paste(BLUE, (200, 0, 300, 100))
    assert near(
        apply("resize", encoded(image, "PNG"), width=90, height=90, fit="cover").resize((1, 1)).getpixel((0, 0)), WHITE
    )


STRIPES = plain((300, 100), WHITE)
STRIPES.paste(RED, (0, 0, 100, 100))
STRIPES.paste(BLUE, (200, 0, 300, 100))


@pytest.mark.parametrize(("gravity", "color"), [("west", RED), ("center", WHITE), ("northeast", BLUE)])
def test_cover_keeps_the_part_that_gravity_selects(gravity: str, color: tuple[int, int, int]) -> None:
    image = apply("resize", encoded(STRIPES, "PNG"), width=50, height=50, fit="cover", gravity=gravity)
    assert near(image.getpixel((25, 25)), color)


def test_a_smart_cover_keeps_the_only_object() -> None:
    image = plain((600, 200), (120, 120, 120))
    ImageDraw.Draw(image).ellipse((480, 60, 560, 140), (250, 40, 40))
    cut = apply("resize", encoded(image, "PNG"), width=100, height=100, fit="cover", gravity="smart")
    red = [pixel for pixel in cut.get_flattened_data() if near(pixel, (250, 40, 40))]
    assert len(red) > 1_100


def test_outside_fills_the_box_and_cuts_nothing() -> None:
    assert apply("resize", WIDE, width=100, height=100, fit="outside").size == (200, 100)
    assert apply("resize", WIDE, width=800, height=100, fit="outside").size == (400, 200)
    assert apply("resize", WIDE, width=800, height=100, fit="outside", enlarge=True).size == (800, 400)


def test_pad_has_the_size_of_the_box_and_bars_that_are_transparent() -> None:
    image = apply("resize", WIDE, width=100, height=100, fit="pad")
    assert image.size == (100, 100)
    assert image.getpixel((50, 10))[3] == image.getpixel((50, 90))[3] == 0
    assert quarters(image.crop((0, 25, 100, 75))) == "rgbw"


def test_the_bars_of_pad_show_the_background_where_the_format_has_no_transparency() -> None:
    image = apply("resize", WIDE, width=100, height=100, fit="pad", format="jpeg", background="#0000ff")
    assert near(image.getpixel((50, 10)), BLUE)


def test_pad_bars_have_the_requested_color_and_gravity_positions_the_image() -> None:
    image = apply("resize", WIDE, width=100, height=100, fit="pad", pad_color="black", gravity="north")
    assert quarters(image.crop((0, 0, 100, 50))) == "rgbw"
    assert image.convert("RGB").getpixel((50, 90)) == BLACK


def test_trim_removes_the_border() -> None:
    image = plain((200, 100), WHITE)
    image.paste(RED, (30, 20, 90, 70))
    assert apply("trim", encoded(image, "PNG")).size == (60, 50)
    assert apply("trim", encoded(image, "JPEG", quality=95), tolerance=40).size == (60, 50)


def test_trim_removes_transparent_borders_of_any_color() -> None:
    image = Image.new("RGBA", (200, 100), (0, 255, 0, 0))
    image.paste((255, 255, 255, 0), (0, 0, 100, 100))
    image.paste((*RED, 255), (30, 20, 90, 70))
    assert apply("trim", encoded(image, "PNG")).size == (60, 50)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
def test_trim_does_not_change_an_image_of_one_color(mode: str) -> None:
    assert apply("trim", encoded(plain((30, 20)).convert(mode), "PNG")).size == (30, 20)


def test_crop_keeps_the_center_by_default() -> None:
    assert quarters(apply("crop", WIDE, width=100, height=100)) == "rgbw"


def test_crop_keeps_the_corner_that_gravity_selects() -> None:
    assert quarters(apply("crop", WIDE, width=100, height=50, gravity="southwest")) == "bbbb"


def test_left_and_top_override_gravity() -> None:
    assert quarters(apply("crop", WIDE, width=100, height=50, left=250, top=0, gravity="southwest")) == "gggg"


def test_a_crop_outside_the_image_is_moved_inside_and_clipped() -> None:
    image = apply("crop", WIDE, width=1000, height=50, left=390, top=190)
    assert image.size == (400, 50)


def test_a_smart_crop_keeps_the_only_object() -> None:
    image = plain((600, 200), (120, 120, 120))
    draw = ImageDraw.Draw(image)
    for step in range(0, 80, 8):
        draw.rectangle((450 + step, 60, 453 + step, 140), (250, 40, 40))
    cut = apply("crop", encoded(image, "PNG"), width=150, height=150, gravity="smart")
    assert len([p for p in cut.get_flattened_data() if near(p, (250, 40, 40))]) == 10 * 4 * 81


def test_a_smart_crop_of_a_uniform_picture_is_its_center() -> None:
    image = plain((90, 30), WHITE)
    assert apply("crop", encoded(image, "PNG"), width=30, height=30, gravity="smart").size == (30, 30)


@pytest.mark.parametrize("name", sorted(FILTERS))
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
@pytest.mark.parametrize("amount", [None, 0, 0.5, 100])
def test_every_filter_keeps_size_and_transparency(name: str, mode: str, amount: float | None) -> None:
    source = photo(160, 120).convert(mode)
    if mode == "RGBA":
        source.putalpha(128)
    image = apply("filter", encoded(source, "PNG"), name=name, amount=amount)
    assert image.size == source.size
    assert image.has_transparency_data == (mode == "RGBA")


def test_grayscale_removes_colors() -> None:
    red, green, blue = apply("filter", WIDE, name="grayscale").convert("RGB").getpixel((10, 10))
    assert red == green == blue


def test_half_a_grayscale_keeps_half_the_color() -> None:
    red, green, _ = apply("filter", WIDE, name="grayscale", amount=0.5).getpixel((10, 10))
    assert 90 < red - green < 160


def test_brightness_above_one_is_brighter() -> None:
    gray = encoded(plain(colour=(100, 100, 100)), "PNG")
    assert apply("filter", gray, name="brightness", amount=1.5).getpixel((0, 0)) == (150, 150, 150)


def test_autocontrast_stretches_to_the_whole_range() -> None:
    flat = Image.linear_gradient("L").point(lambda value: 100 + value // 8).convert("RGB")
    assert apply("filter", encoded(flat, "PNG"), name="autocontrast").getextrema() == ((0, 255),) * 3


def test_pixelate_draws_squares_of_one_color() -> None:
    image = apply("filter", encoded(photo(160, 120), "PNG"), name="pixelate", amount=20)
    assert len(image.crop((20, 20, 40, 40)).getcolors()) == 1
    assert len(image.getcolors(10_000)) > 10


def test_blur_does_not_mix_in_invisible_colors() -> None:
    image = Image.new("RGBA", (60, 60), (0, 255, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 30, 60))
    assert apply("filter", encoded(image, "PNG"), name="blur", amount=5).getpixel((30, 30))[1] < 20


def test_rotate_turns_clockwise_by_a_quarter_by_default() -> None:
    image = apply("rotate", WIDE)
    assert image.size == (200, 400)
    assert quarters(image) == "brwg"


@pytest.mark.parametrize(("angle", "order"), [(180, "wbgr"), (270, "gwrb"), (-90, "gwrb"), (360, "rgbw"), (0, "rgbw")])
def test_rotate_by_whole_quarters_moves_pixels_and_blurs_none(angle: float, order: str) -> None:
    image = apply("rotate", WIDE, angle=angle)
    assert quarters(image) == order
    assert len(image.getcolors()) == 4


def test_rotate_without_expand_keeps_the_size() -> None:
    assert apply("rotate", WIDE, angle=90, expand=False).size == (400, 200)


def test_new_corners_are_transparent_where_the_format_allows_it() -> None:
    assert apply("rotate", WIDE, angle=45).getpixel((0, 0))[3] == 0


def test_new_corners_show_the_background_where_the_format_has_no_transparency() -> None:
    image = apply("rotate", WIDE, angle=45, format="jpeg", background="#0000ff")
    assert near(image.getpixel((2, 2)), BLUE)


@pytest.mark.parametrize(("direction", "order"), [("horizontal", "grwb"), ("vertical", "bwrg")])
def test_flip_mirrors_the_image(direction: str, order: str) -> None:
    assert quarters(apply("flip", WIDE, direction=direction)) == order


def test_an_image_watermark_is_in_the_corner() -> None:
    mark = Sent(encoded(plain((50, 50), BLACK), "PNG"))
    image = apply("watermark", encoded(plain((400, 400), WHITE), "PNG"), mark=mark, opacity=1)
    assert image.getpixel((380, 380)) == BLACK
    assert image.getpixel((200, 200)) == WHITE


def test_a_watermarks_opacity_mixes_it_with_the_image() -> None:
    mark = Sent(encoded(plain((50, 50), BLACK), "PNG"))
    image = apply("watermark", encoded(plain((400, 400), WHITE), "PNG"), mark=mark, opacity=0.5, gravity="center")
    assert near(image.getpixel((200, 200)), (127, 127, 127))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
def test_a_text_watermark_is_visible_in_every_mode(mode: str) -> None:
    source = Image.new("RGB", (300, 200), (90, 90, 90))
    source = source.quantize(4) if mode == "P" else source.convert(mode)
    image = apply("watermark", encoded(source, "PNG"), text="© Coatcheck", opacity=1, scale=0.5).convert("RGB")
    assert image.crop((150, 150, 300, 200)).getextrema()[0][1] > 230
    assert image.crop((0, 0, 150, 100)).getextrema() == ((90, 90),) * 3


@pytest.mark.parametrize("text", ["a\nb", " ", "\0\t", "e\u0301", "Ελληνικά", "Кириллица", "W" * 200, ".", "\u202eabc"])
@pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3), (120, 90)])
def test_any_text_fits_on_any_size(text: str, size: tuple[int, int]) -> None:
    assert apply("watermark", encoded(plain(size), "PNG"), text=text, scale=1).size == size


def test_a_mark_that_is_not_an_image_fails_like_the_image() -> None:
    with pytest.raises(TaskError) as caught:
        apply("watermark", WIDE, mark=Sent(b"%PDF-1.7"))
    assert caught.value.type == "image-format-unsupported"
