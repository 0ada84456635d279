"""Input and output: formats, modes, orientation, colors, metadata, transparency, animations."""

import io
from typing import Any

import pytest
from PIL import ExifTags, Image, ImageDraw

from server.sdk.errors import TaskError
from server.tasks.images import limits
from tests.images.pictures import (
    BLUE,
    RED,
    WHITE,
    animation,
    apply,
    corners,
    encoded,
    frames,
    near,
    photo,
    plain,
    quarters,
    run,
    swapped_profile,
)

READ = ["JPEG", "PNG", "GIF", "WEBP", "AVIF", "TIFF", "BMP"]
WRITTEN = {"jpeg": "jpg", "png": "png", "webp": "webp", "avif": "avif", "gif": "gif"}


@pytest.mark.parametrize("read", READ)
@pytest.mark.parametrize("written", WRITTEN)
def test_every_format_that_is_read_becomes_every_format_that_is_written(read: str, written: str) -> None:
    file, image = run("thumbnail", encoded(corners(), read), width=32, height=32, format=written)
    assert (file.name, file.media_type) == (f"thumbnail.{WRITTEN[written]}", f"image/{written}")
    assert image.format == written.upper()
    assert quarters(image) == "rgbw"


@pytest.mark.parametrize("read", READ)
def test_the_default_is_the_inputs_format_or_else_png(read: str) -> None:
    image = apply("thumbnail", encoded(corners(), read))
    assert image.format == (read if read.lower() in WRITTEN else "PNG")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F", "LAB", "YCbCr"])
@pytest.mark.parametrize("written", WRITTEN)
def test_every_mode_is_read_and_written(mode: str, written: str) -> None:
    source = photo(80, 60).convert("L").convert(mode) if mode in ("I;16", "I", "F") else photo(80, 60)
    data = encoded(source.convert(mode), "PNG" if mode == "LA" else "TIFF")
    assert apply("thumbnail", data, width=40, height=40, format=written).size == (40, 30)


def test_sixteen_bits_keep_their_brightness() -> None:
    gray = Image.new("I;16", (20, 20), 32768)
    assert apply("thumbnail", encoded(gray, "PNG"), width=10, height=10).convert("L").getpixel((5, 5)) in (127, 128)


@pytest.mark.parametrize("format_name", ["JPEG", "WEBP", "PNG", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("task", [("thumbnail", {"width": 32, "height": 32}), ("flip", {}), ("cover", {})])
def test_orientation_is_applied(format_name: str, orientation: int, task: tuple[str, dict[str, Any]]) -> None:
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = corners(512, 256)
    stored = stored.transpose(turns[orientation]) if orientation in turns else stored
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    name, values = task
    if name == "cover":
        name, values = "resize", {"width": 64, "height": 32, "fit": "cover"}
    image = apply(name, encoded(stored, format_name, exif=exif.tobytes()), **values)
    assert quarters(image) == ("grwb" if name == "flip" else "rgbw")
    assert image.width == 2 * image.height


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_colours_of_a_profile_become_srgb(format_name: str) -> None:
    data = encoded(plain(colour=(0, 255, 0)), format_name, icc_profile=swapped_profile())
    image = apply("thumbnail", data, width=10, height=10)
    assert near(image.getpixel((5, 5)), RED, by=40)
    assert "icc_profile" not in image.info


def test_a_broken_color_profile_is_ignored() -> None:
    data = encoded(plain(colour=(0, 255, 0)), "PNG", icc_profile=swapped_profile()[:200])
    assert near(apply("thumbnail", data, width=10, height=10).getpixel((5, 5)), (0, 255, 0))


def test_a_color_profile_for_another_mode_is_ignored() -> None:
    picture = Image.new("CMYK", (20, 20), (255, 255, 0, 0))
    with_profile, without = encoded(picture, "JPEG", icc_profile=swapped_profile()), encoded(picture, "JPEG")
    assert apply("thumbnail", with_profile).tobytes() == apply("thumbnail", without).tobytes()


def exif_of_a_camera() -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Coatcheck"
    exif[ExifTags.Base.Orientation] = 6
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FNumber] = 2.8
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    return exif


@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize("task", ["thumbnail", "flip"])
def test_metadata_is_removed_unless_requested(written: str, task: str) -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6">secret</a></x:xmpmeta>'
    data = encoded(corners(), "JPEG", exif=exif_of_a_camera(), xmp=xmp, comment=b"secret", dpi=(300, 300))
    image = apply(task, data, format=written)
    assert not image.getexif()
    assert not {"exif", "xmp", "comment", "icc_profile"} & set(image.info)


@pytest.mark.parametrize("written", ["jpeg", "png", "webp", "avif"])
def test_requested_metadata_is_kept_without_the_orientation(written: str) -> None:
    image = apply("thumbnail", encoded(corners(), "JPEG", exif=exif_of_a_camera()), format=written, keep_metadata=True)
    exif = image.getexif()
    assert exif[ExifTags.Base.Make] == "Coatcheck"
    assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FNumber] == 2.8
    assert exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"
    assert ExifTags.Base.Orientation not in exif


@pytest.mark.parametrize("read", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "BMP", "GIF"])
@pytest.mark.parametrize("written", WRITTEN)
def test_metadata_may_be_requested_for_any_format(read: str, written: str) -> None:
    options = {} if read in ("BMP", "GIF") else {"exif": exif_of_a_camera().tobytes()}
    assert apply("thumbnail", encoded(corners(), read, **options), format=written, keep_metadata=True)


def test_metadata_that_no_format_can_store_is_omitted() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "x" * 70_000
    data = encoded(corners(), "PNG", exif=exif.tobytes())
    assert not apply("thumbnail", data, format="jpeg", keep_metadata=True).getexif()


def half_transparent() -> Image.Image:
    image = Image.new("RGBA", (40, 20), (255, 0, 0, 255))
    image.paste((0, 0, 0, 0), (20, 0, 40, 20))
    return image


@pytest.mark.parametrize("read", ["PNG", "WEBP", "AVIF", "GIF", "TIFF"])
@pytest.mark.parametrize("written", ["png", "webp", "avif", "gif"])
def test_transparency_survives_where_the_format_has_it(read: str, written: str) -> None:
    image = apply("flip", encoded(half_transparent(), read), format=written).convert("RGBA")
    assert image.getpixel((5, 10))[3] == 0
    assert near(image.getpixel((35, 10)), (255, 0, 0, 255))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_shows_the_background_in_a_jpeg(mode: str) -> None:
    data = encoded(half_transparent().convert(mode), "PNG")
    assert near(apply("thumbnail", data, format="jpeg", background="#0000ff").getpixel((35, 10)), BLUE)


def test_the_background_is_white_by_default() -> None:
    assert near(apply("thumbnail", encoded(half_transparent(), "PNG"), format="jpeg").getpixel((35, 10)), WHITE)


def test_a_transparent_colour_without_a_channel_survives() -> None:
    image = apply("thumbnail", encoded(corners(), "PNG", transparency=RED), width=32, height=32)
    assert image.convert("RGBA").getpixel((4, 4))[3] == 0


def test_higher_quality_is_larger() -> None:
    data = encoded(photo(400, 300), "PNG")
    for written in ("jpeg", "webp", "avif"):
        low, _ = run("thumbnail", data, width=400, height=400, format=written, quality=20)
        high, _ = run("thumbnail", data, width=400, height=400, format=written, quality=95)
        assert high.bytes > 2 * low.bytes


@pytest.mark.parametrize("read", ["GIF", "WEBP", "PNG", "AVIF"])
@pytest.mark.parametrize("written", ["gif", "webp", "png", "avif"])
def test_an_animation_keeps_its_frames_and_durations(read: str, written: str) -> None:
    options = {} if read != "AVIF" else {"quality": 90}
    file, image = run("resize", animation(read, **options), width=24, format=written)
    assert file.frames == image.n_frames == 4
    for number in range(4):
        image.seek(number)
        image.load()
        assert image.info["duration"] == 80
        pixels = image.convert("RGB")
        assert near(pixels.getpixel((4 * number + 2, 6)), RED, by=60)
        assert near(pixels.getpixel((4 * ((number + 2) % 4) + 2, 6)), WHITE, by=60)


@pytest.mark.parametrize("read", ["GIF", "WEBP", "PNG", "AVIF"])
def test_an_animation_as_jpeg_is_its_first_frame(read: str) -> None:
    file, image = run("thumbnail", animation(read), format="jpeg")
    assert file.frames == 1
    assert near(image.getpixel((3, 10)), RED, by=60)


@pytest.mark.parametrize(("read", "once"), [("GIF", {}), ("WEBP", {"loop": 1}), ("PNG", {"loop": 1})])
def test_an_animation_that_runs_once_runs_once_in_every_format(read: str, once: dict[str, int]) -> None:
    first, *rest = frames()
    data = encoded(first, read, save_all=True, append_images=rest, duration=80, **once)
    assert "loop" not in apply("thumbnail", data, format="gif").info
    assert apply("thumbnail", data, format="webp").info["loop"] == 1
    assert apply("thumbnail", data, format="png").info["loop"] == 1


def test_the_fallback_picture_of_an_apng_is_not_in_its_animation() -> None:
    first, *rest = frames()
    data = encoded(plain((48, 24), BLUE), "PNG", save_all=True, append_images=[first, *rest], default_image=True)
    file, image = run("thumbnail", data)
    assert file.frames == 4
    assert near(image.convert("RGB").getpixel((3, 10)), RED)


def test_a_transparent_animation_leaves_no_trail() -> None:
    images = []
    for number in range(3):
        image = Image.new("RGBA", (60, 20), (0, 0, 0, 0))
        # A disc: of a box libwebp stores no transparent pixel, and Pillow then reads the rest as black.
        ImageDraw.Draw(image).ellipse((number * 20, 0, number * 20 + 19, 19), (255, 0, 0, 255))
        images.append(image)
    data = encoded(images[0], "GIF", save_all=True, append_images=images[1:], duration=50, disposal=2)
    for written in ("gif", "webp", "png", "avif"):
        image = apply("flip", data, format=written)
        image.seek(2)
        last = image.convert("RGBA")
        assert last.getpixel((50, 10))[3] == last.getpixel((30, 10))[3] == 0
        assert near(last.getpixel((10, 10)), (255, 0, 0, 255))


def test_a_smart_crop_stays_where_it_is_for_all_frames() -> None:
    image = apply("crop", animation("GIF", 5, (120, 24)), width=40, height=24, gravity="smart")
    bars = []
    for number in range(5):
        image.seek(number)
        row = [x for x in range(40) if near(image.convert("RGB").getpixel((x, 10)), RED)]
        bars.append(row[0] if row else None)
    assert bars == [8 * number for number in range(5)]


def test_too_many_frames_are_refused_with_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.tasks.images.reading.source.MAX_FRAMES", 3)
    with pytest.raises(TaskError, match="the limits are 3 frames") as caught:
        apply("thumbnail", animation("GIF"))
    assert caught.value.type == "image-too-large"


def test_a_still_of_too_many_frames_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.tasks.images.reading.source.MAX_FRAMES", 3)
    assert apply("thumbnail", animation("GIF"), format="jpeg")


def test_an_animation_that_grows_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.tasks.images.writing.codecs.MEMORY", 10_000_000)
    with pytest.raises(TaskError, match="over all its frames"):
        apply("resize", animation("GIF"), width=480, enlarge=True)


@pytest.mark.parametrize(("written", "limit"), [("webp", 16_383), ("gif", 65_535)])
def test_a_side_over_the_formats_maximum_is_refused(written: str, limit: int) -> None:
    with pytest.raises(TaskError, match=f"at most {limit}") as caught:
        apply("flip", encoded(plain((70_000, 2)), "PNG"), format=written)
    assert caught.value.type == "image-too-large"


def test_a_result_that_would_be_too_large_is_refused_before_it_is_drawn() -> None:
    with pytest.raises(TaskError, match=f"the limit is {limits.megapixels(limits.MAX_PIXELS)}") as caught:
        apply("resize", encoded(plain(), "PNG"), width=10_000, height=10_000, fit="fill", enlarge=True)
    assert caught.value.type == "image-too-large"


def test_a_jpeg_of_several_pictures_is_its_first() -> None:
    data = io.BytesIO()
    corners().save(data, "MPO", save_all=True, append_images=[plain((64, 32), BLUE)])
    file, image = run("thumbnail", data.getvalue())
    assert file.media_type == "image/jpeg"
    assert quarters(image) == "rgbw"
