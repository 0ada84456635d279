"""Files that were once read wrongly: each represents a type of file, with its correct result.

`cases/` has small files of our own; simple ones are created here.
"""

import io
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image, ImageCms

from server.sdk.errors import TaskError
from server.tasks.images.tasks import TASKS, image_info
from tests.images.pictures import (
    BLACK,
    BLUE,
    GREEN,
    RED,
    WHITE,
    Desk,
    Sent,
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
)

CASES = Path(__file__).parent / "cases"


def case(name: str) -> bytes:
    return (CASES / name).read_bytes()


def refused(data: bytes, task: str = "thumbnail", **values: object) -> TaskError:
    with pytest.raises(TaskError) as caught:
        TASKS[task](Desk(), Sent(data), **values)
    return caught.value


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return name and body of each chunk of a PNG."""
    parts, at = [], 8
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        parts.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return parts


def png_of(parts: list[tuple[bytes, bytes]], broken: bytes = b"") -> bytes:
    """Build a PNG of these chunks; those named in `broken` get a wrong checksum."""
    file = [b"\x89PNG\r\n\x1a\n"]
    for name, body in parts:
        checksum = zlib.crc32(name + body) ^ (name == broken)
        file.append(struct.pack(">I", len(body)) + name + body + struct.pack(">I", checksum))
    return b"".join(file)


# Damage


@pytest.mark.parametrize("name", ["idat_flip.png", "trunc_png.png"])
@pytest.mark.parametrize("task", ["thumbnail", "flip"])
def test_a_png_with_damaged_pixels_is_unreadable(name: str, task: str) -> None:
    assert refused(case(name), task).type == "image-unreadable"
    with pytest.raises(TaskError):
        image_info(Sent(case(name)))


@pytest.mark.parametrize("name", ["ztxt_2mb.png", "text_badcrc.png"])
def test_a_picture_with_an_unreadable_comment_is_read(name: str) -> None:
    image = apply("thumbnail", case(name))
    assert image.size == (128, 96)
    assert [high for _, high in image.getextrema()] == [254, 254, 253]


@pytest.mark.parametrize("name", [b"tEXt", b"gAMA", b"iCCP", b"eXIf", b"tIME", b"prVt"])
def test_a_damaged_optional_chunk_is_ignored(name: bytes) -> None:
    head, *rest = chunks(encoded(corners(), "PNG"))
    assert quarters(apply("flip", png_of([head, (name, b"\0" * 9), *rest], broken=name))) == "grwb"


@pytest.mark.parametrize("body", [b"", b"\0" * 5, b"\0" * 300])
def test_a_transparent_color_of_a_wrong_length_is_ignored(body: bytes) -> None:
    head, *rest = chunks(encoded(corners(), "PNG"))
    assert quarters(apply("thumbnail", png_of([head, (b"tRNS", body), *rest]))) == "rgbw"


def test_an_oversized_compressed_profile_is_ignored() -> None:
    head, *rest = chunks(encoded(corners(), "PNG"))
    bomb = b"a\0\0" + zlib.compress(bytes(50_000_000))
    assert quarters(apply("thumbnail", png_of([head, (b"iCCP", bomb), *rest]))) == "rgbw"


@pytest.mark.parametrize("name", [b"IHDR", b"IDAT", b"PLTE"])
def test_a_damaged_required_chunk_is_an_error_that_names_it(name: bytes) -> None:
    parts = chunks(encoded(corners().quantize(4), "PNG"))
    error = refused(png_of(parts, broken=name))
    assert (error.type, name.decode() in error.detail) == ("image-unreadable", True)


def test_a_png_without_its_end_chunk_is_complete() -> None:
    data = encoded(corners(), "PNG")
    assert quarters(apply("thumbnail", data[:-12])) == "rgbw"
    assert quarters(apply("thumbnail", data + b"junk")) == "rgbw"


def test_exif_after_the_pixels_is_read() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    *rest, end = chunks(encoded(corners(), "PNG"))
    assert apply("thumbnail", png_of([*rest, (b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")), end])).size == (
        32,
        64,
    )


def cut_jpeg() -> bytes:
    data = encoded(photo(640, 480), "JPEG", quality=90)
    return data[: len(data) * 2 // 3]


def test_a_truncated_jpeg_is_an_error_that_names_the_option_to_read_it() -> None:
    error = refused(cut_jpeg())
    assert (error.type, "`lenient`" in error.detail) == ("image-unreadable", True)


@pytest.mark.parametrize("width", [640, 128])
def test_a_lenient_task_keeps_the_readable_part_of_a_jpeg(width: int) -> None:
    image = apply("resize", cut_jpeg(), width=width, lenient=True)
    whole = Image.open(io.BytesIO(encoded(photo(640, 480), "JPEG", quality=90))).resize(image.size)
    assert near(image.getpixel((width // 2, width // 8)), whole.getpixel((width // 2, width // 8)), by=40)
    assert near(image.getpixel((width // 2, image.height - 2)), (128, 128, 128), by=8)


# Depth and transparency


def test_sixteen_bit_gray_with_a_transparent_shade_is_gray() -> None:
    image = apply("thumbnail", case("g16_trns.png"))
    row = [image.getpixel((x, 48))[0] for x in (2, 32, 64, 96, 125)]
    assert all(abs(shade - wanted) < 8 for shade, wanted in zip(row, (2, 65, 129, 193, 250), strict=True))


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_gray_of_every_depth_has_its_transparent_shade(depth: int) -> None:
    # Two pixels: the darkest and the brightest, of which the brightest is transparent.
    bright = 2**depth - 1
    row = b"\0" + ((0).to_bytes(2, "big") + bright.to_bytes(2, "big") if depth == 16 else bytes([0, bright]))
    if depth < 8:
        row = bytes([0, bright << (8 - 2 * depth)])
    head = struct.pack(">IIBBBBB", 2, 1, depth, 0, 0, 0, 0)
    parts = [(b"IHDR", head), (b"tRNS", bright.to_bytes(2, "big")), (b"IDAT", zlib.compress(row)), (b"IEND", b"")]
    image = apply("thumbnail", png_of(parts)).convert("RGBA")
    assert [image.getpixel((x, 0))[::3] for x in (0, 1)] == [(0, 255), (255, 0)]


def test_sixteen_bit_color_has_its_transparent_color() -> None:
    row = b"\0" + struct.pack(">6H", 65535, 0, 0, 0, 65535, 0)
    head = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    transparent = struct.pack(">3H", 65535, 0, 0)
    parts = [(b"IHDR", head), (b"tRNS", transparent), (b"IDAT", zlib.compress(row)), (b"IEND", b"")]
    image = apply("thumbnail", png_of(parts)).convert("RGBA")
    assert [image.getpixel((x, 0)) for x in (0, 1)] == [(255, 0, 0, 0), (0, 255, 0, 255)]


def floats(low: float, high: float) -> bytes:
    gray = Image.linear_gradient("L").convert("F").point(lambda value: value * ((high - low) / 255) + low)
    return encoded(gray, "TIFF")


@pytest.mark.parametrize("span", [(0, 1), (0, 255), (0, 65535), (-1, 1), (0, 4), (-500, 9000), (0.1, 0.9)])
def test_float_pixels_of_any_scale_are_read(span: tuple[float, float]) -> None:
    low, high = apply("thumbnail", floats(*span)).getextrema()
    assert low <= 30
    assert high >= 225


def test_float_pixels_from_zero_to_one_keep_their_brightness() -> None:
    image = apply("thumbnail", case("f32_unit.tif"))
    assert [image.getpixel((x, 48)) for x in (0, 64, 127)] == [1, 129, 255]


def test_a_picture_of_nan_pixels_is_refused_with_the_reason() -> None:
    gray = Image.new("F", (8, 8))
    gray.putpixel((3, 3), float("nan"))
    error = refused(encoded(gray, "TIFF"))
    assert (error.type, error.detail) == (
        "image-format-unsupported",
        "This kind of TIFF is not supported; save it as 8-bit RGB or gray.",
    )


# Unsupported variants


def twelve_bit_jpeg() -> bytes:
    data = bytearray(encoded(corners(), "JPEG"))
    data[data.index(b"\xff\xc0") + 4] = 12
    return bytes(data)


def arithmetic_jpeg() -> bytes:
    data = bytearray(encoded(corners(), "JPEG"))
    data[data.index(b"\xff\xc0") + 1] = 0xCB
    return bytes(data)


def float_color_tiff() -> bytes:
    data = bytearray(encoded(corners(), "TIFF"))
    at = data.index(struct.pack("<HH", 258, 3))
    offset = int.from_bytes(data[at + 8 : at + 12], "little")
    data[offset : offset + 6] = struct.pack("<3H", 32, 32, 32)
    return bytes(data)


def apple_png() -> bytes:
    return png_of([(b"CgBI", b"P\0 \x02"), *chunks(encoded(corners(), "PNG"))])


def odd_bmp() -> bytes:
    data = bytearray(encoded(corners(), "BMP"))
    data[30] = 4
    return bytes(data)


@pytest.mark.parametrize("data", [twelve_bit_jpeg, arithmetic_jpeg, float_color_tiff, apple_png, odd_bmp])
def test_an_unsupported_variant_of_a_format_is_refused_with_how_to_save_it(data) -> None:  # type: ignore[no-untyped-def]
    error = refused(data())
    assert error.type == "image-format-unsupported"
    assert error.detail.startswith("This kind of ")
    assert "; save it as " in error.detail


def test_a_pdf_is_refused_with_the_task_that_reads_it() -> None:
    error = refused(b"%PDF-1.7\n%")
    assert (error.type, "`pdf_preview`" in error.detail) == ("image-format-unsupported", True)


# Animations


def test_a_first_frame_that_is_smaller_than_a_gif_is_transparent_around() -> None:
    image = apply("thumbnail", case("gif_small_first.gif"), format="png")
    assert image.getpixel((1, 10)) == (0, 0, 0, 0)
    assert image.getpixel((10, 10)) == (255, 0, 0, 255)


def gif_of(*parts: tuple[tuple[int, int, int, int], int, int], size: tuple[int, int] = (20, 20)) -> bytes:
    """Build a GIF of frames of one color: each a box, an index into black, red, green, blue, and its disposal."""
    file = [b"GIF89a", struct.pack("<HHBBB", *size, 0x81, 0, 0), bytes((*BLACK, *RED, *GREEN, *BLUE))]
    for (left, top, right, bottom), color, disposal in parts:
        image = Image.new("P", (right - left, bottom - top), color)
        image.putpalette(bytes((*BLACK, *RED, *GREEN, *BLUE)))
        data = encoded(image, "GIF", optimize=False)
        at = data.index(b"\x2c", 13 + 3 * 2 ** ((data[10] & 7) + 1))
        local = b"" if not data[at + 9] & 0x80 else data[at + 10 : at + 10 + 3 * 2 ** ((data[at + 9] & 7) + 1)]
        pixels = data[at + 10 + len(local) : -1]
        file.append(b"!\xf9\x04" + bytes([disposal << 2, 5, 0, 0]) + b"\0")
        file.append(b"," + struct.pack("<HHHHB", left, top, right - left, bottom - top, 0) + pixels)
    return b"".join((*file, b";"))


def test_frames_of_a_gif_are_drawn_as_browsers_draw_them() -> None:
    whole, left, right = (0, 0, 20, 20), (0, 0, 10, 20), (10, 0, 20, 20)
    data = gif_of((whole, 1, 1), (left, 2, 2), (right, 3, 3), (left, 3, 1))
    file, image = run("flip", data, format="png")
    shown = []
    for number in range(4):
        image.seek(number)
        picture = image.convert("RGBA")
        shown.append([picture.getpixel((15, 10)), picture.getpixel((5, 10))])  # flipped: the left one first
    red, green, blue, nothing = (*RED, 255), (*GREEN, 255), (*BLUE, 255), (0, 0, 0, 0)
    # Kept; disposed of, which leaves nothing; undone, which leaves what was before.
    assert shown == [[red, red], [green, red], [nothing, blue], [blue, red]]
    assert file.frames == 4


def test_a_gif_with_frames_outside_its_canvas_is_clipped() -> None:
    image = apply("thumbnail", gif_of(((0, 0, 20, 20), 1, 1), ((10, 10, 40, 40), 3, 1)), format="png")
    assert image.size == (20, 20)
    image.seek(1)
    assert near(image.convert("RGB").getpixel((15, 15)), BLUE)


def test_frames_counts_the_frames_that_were_written() -> None:
    first, second, *_ = frames(2)
    data = encoded(first, "WEBP", save_all=True, append_images=[second, second, second], duration=50, lossless=True)
    for written in ("gif", "png", "webp", "avif"):
        file, image = run("thumbnail", data, format=written)
        assert file.frames == image.n_frames


def apng() -> list[tuple[bytes, bytes]]:
    return chunks(animation("PNG"))


def _without_frame_data(parts: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    last = max(at for at, (name, _) in enumerate(parts) if name == b"fdAT")
    return parts[:last] + parts[last + 1 :]


def _with_garbage(parts: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name, body[:4] + b"garbage" if name == b"fdAT" else body) for name, body in parts]


def _with_too_many_announced(parts: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name, b"\xff" * 4 + body[4:] if name == b"acTL" else body) for name, body in parts]


@pytest.mark.parametrize("breaking", [_without_frame_data, _with_garbage, _with_too_many_announced])
def test_an_apng_with_a_broken_animation_is_read_as_a_still(breaking) -> None:  # type: ignore[no-untyped-def]
    file, image = run("thumbnail", png_of(breaking(apng())))
    assert file.frames == 1
    assert near(image.convert("RGB").getpixel((3, 10)), RED)


def test_an_apng_with_a_damaged_frame_is_read_as_a_still() -> None:
    assert run("thumbnail", png_of(apng(), broken=b"fdAT"))[0].frames == 1


# Palettes


def palette_picture(**options: object) -> bytes:
    return encoded(corners(64, 32).quantize(4), "PNG", **options)


@pytest.mark.parametrize(
    ("task", "values"),
    [
        ("thumbnail", {}),
        ("flip", {}),
        ("rotate", {"angle": 90}),
        ("crop", {"width": 20, "height": 20}),
        ("crop", {"width": 20, "height": 20, "gravity": "smart"}),
        ("trim", {}),
    ],
)
@pytest.mark.parametrize("written", ["png", "gif"])
def test_a_palette_is_kept_when_no_color_is_new(task: str, values: dict[str, object], written: str) -> None:
    image = apply(task, palette_picture(), format=written, **values)
    assert image.mode == "P"
    assert {tuple(color) for _, color in image.convert("RGB").getcolors()} <= {RED, GREEN, BLUE, WHITE}


def test_a_palette_keeps_its_transparent_color() -> None:
    index = corners(64, 32).quantize(4).getpixel((0, 0))
    image = apply("flip", palette_picture(transparency=index))
    assert image.mode == "P"
    assert image.convert("RGBA").getpixel((60, 4))[3] == 0
    assert image.convert("RGBA").getpixel((4, 4)) == (*GREEN, 255)


# Colors


@pytest.mark.parametrize("name", ["icc_lin.jpg", "icc_lin.png"])
def test_a_color_profile_is_recognized_by_its_curves_and_not_by_its_name(name: str) -> None:
    red, green, blue = apply("thumbnail", case(name), format="png").getpixel((64, 48))
    # Linear light of one half is 188 in sRGB.
    assert (abs(red - 188) < 3, abs(green - 188) < 3, 130 < blue < 140) == (True, True, True)


def test_an_srgb_profile_changes_no_pixel() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = photo(64, 48)
    assert apply("thumbnail", encoded(picture, "PNG", icc_profile=profile)).tobytes() == picture.tobytes()


@pytest.mark.parametrize("format_name", ["JPEG", "TIFF"])
def test_print_colors_without_a_profile_look_as_printed(format_name: str) -> None:
    inks = {(255, 0, 0, 0): (0, 159, 227), (0, 255, 0, 0): (230, 0, 126), (0, 0, 255, 0): (255, 237, 0)}
    inks |= {(0, 0, 0, 0): WHITE, (0, 255, 255, 0): (228, 8, 25)}
    for ink, color in inks.items():
        data = encoded(Image.new("CMYK", (16, 16), ink), format_name)
        assert near(apply("thumbnail", data, format="png").getpixel((8, 8)), color, by=6)


# Other formats


def heif(image: Image.Image, **options: object) -> bytes:
    import pillow_heif

    pillow_heif.register_heif_opener()
    return encoded(image, "HEIF", quality=95, **options)


def test_heic_is_read_and_becomes_png() -> None:
    file, image = run("thumbnail", heif(corners(128, 64)), width=64, height=64)
    assert (file.media_type, image.size, quarters(image)) == ("image/png", (64, 32), "rgbw")
    assert image_info(Sent(heif(corners(128, 64)))).format == "heif"


def test_heic_of_a_turned_camera_is_upright_once() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = apply("flip", heif(corners(128, 64), exif=exif.tobytes()))
    assert image.size == (64, 128)
    assert quarters(image) == "rbgw"


def test_half_a_heic_is_unreadable() -> None:
    data = heif(photo(320, 240))
    assert refused(data[: len(data) // 2]).type == "image-unreadable"


def pages() -> bytes:
    file = io.BytesIO()
    plain((30, 20), RED).save(file, "TIFF", save_all=True, append_images=[plain((40, 50), BLUE)])
    return file.getvalue()


def test_a_page_of_a_tiff_is_chosen_by_its_number() -> None:
    image = apply("thumbnail", pages(), page=2)
    assert (image.size, near(image.getpixel((5, 5)), BLUE)) == ((40, 50), True)
    info = image_info(Sent(pages()), page=2)
    assert (info.pages, info.frames, info.width) == (2, 1, 40)


@pytest.mark.parametrize(("data", "count"), [(pages, "2 pages"), (lambda: encoded(corners(), "PNG"), "1 page;")])
def test_a_missing_page_is_an_error_with_the_page_count(data, count: str) -> None:  # type: ignore[no-untyped-def]
    error = refused(data(), page=3)
    assert (error.type, count in error.detail) == ("image-page-missing", True)
