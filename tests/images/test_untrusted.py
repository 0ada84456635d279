"""An untrusted file can only end its own task, with an error type and a message."""

import random
import struct
import zlib

import pytest
from PIL import Image

from server.sdk.errors import TaskError
from server.tasks.images.tasks import TASKS, image_info
from tests.images.pictures import Desk, Sent, animation, apply, encoded, photo, plain

READ = ["JPEG", "PNG", "GIF", "WEBP", "AVIF", "TIFF", "BMP"]


def refused(data: bytes, task: str = "thumbnail", **values: object) -> TaskError:
    with pytest.raises(TaskError) as caught:
        apply(task, data, **values)
    return caught.value


def test_an_empty_file_is_unreadable() -> None:
    error = refused(b"")
    assert (error.type, error.detail) == ("image-unreadable", "The file is empty. Send the image's bytes.")


@pytest.mark.parametrize(
    "data",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"PK\x03\x04",
        b"\0\0\0\x0cjP  \r\n\x87\n",
        b"%!PS-Adobe-3.0 EPSF-3.0",
        b"8BPS\0\x01",
        b"x",
        bytes(1000),
    ],
)
def test_an_unsupported_format_is_refused_with_the_supported_ones(data: bytes) -> None:
    error = refused(data)
    assert error.type == "image-format-unsupported"
    assert "JPEG, PNG, GIF, WebP, AVIF, HEIF, TIFF, BMP" in error.detail


@pytest.mark.parametrize("format_name", ["PSD", "ICO", "PPM", "JPEG2000", "TGA", "EPS", "PCX"])
def test_other_formats_of_pillow_are_refused(format_name: str) -> None:
    data = encoded(plain(), format_name) if format_name != "PSD" else b"8BPS\0\x01" + bytes(60)
    assert refused(data).type == "image-format-unsupported"


def test_a_files_name_and_media_type_are_not_trusted() -> None:
    upload = Sent(encoded(plain(), "PNG"))
    upload.filename, upload.media_type = "picture.jpg", "image/jpeg"
    assert image_info(upload).format == "png"


@pytest.mark.parametrize("format_name", READ)
def test_half_a_file_is_unreadable(format_name: str) -> None:
    data = encoded(photo(320, 240), format_name)
    assert refused(data[: len(data) // 2]).type == "image-unreadable"


@pytest.mark.parametrize("format_name", READ)
def test_a_header_alone_is_unreadable(format_name: str) -> None:
    assert refused(encoded(photo(320, 240), format_name)[:20]).type == "image-unreadable"


def png_head(width: int, height: int) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def bmp_head(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, *[0] * 6)


@pytest.mark.parametrize("head", [png_head, bmp_head])
@pytest.mark.parametrize("size", [(10_000, 10_000), (30_000, 30_000), (2**31 - 1, 2**31 - 1), (2**31 - 1, 1)])
def test_a_declared_size_beyond_the_budget_is_refused_before_a_pixel_is_decoded(head, size) -> None:  # type: ignore[no-untyped-def]
    error = refused(head(*size))
    assert error.type == "image-too-large"


def test_the_error_names_the_budget_which_depends_on_the_format() -> None:
    size = (6000, 5000)
    assert (
        "WebP declares 6000x5000 pixels; the limit for one of this kind is 21.9 megapixels"
        in refused(encoded(plain(size), "WEBP")).detail
    )
    assert apply("thumbnail", encoded(plain(size), "JPEG")).size == (128, 107)


def test_an_image_too_large_to_process_may_still_be_scaled_down() -> None:
    data = encoded(plain((7000, 5000)), "JPEG")
    error = refused(data, "flip")
    assert (error.type, "the limit for this operation is 26.2 megapixels" in error.detail) == ("image-too-large", True)
    assert apply("resize", data, width=700).size == (700, 500)


def test_a_bomb_of_text_in_a_png_is_skipped() -> None:
    body = b"a\0\0" + zlib.compress(bytes(100_000_000))
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body + struct.pack(">I", zlib.crc32(b"zTXt" + body))
    data = encoded(plain(), "PNG")
    assert apply("thumbnail", data[:33] + chunk + data[33:]).size == (40, 30)


def test_a_gif_with_too_many_frames_is_refused() -> None:
    frame = b"\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0"
    data = b"GIF89a\x01\0\x01\0\x80\0\0" + bytes(6) + frame * 20_000 + b";"
    assert refused(data).type == "image-too-large"


def test_a_gif_with_frames_larger_than_declared_is_refused() -> None:
    small = b"\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0"
    large = b"\x2c\0\0\0\0\xff\xff\x98\x04\0\x02\x02\x44\x01\0"
    data = b"GIF89a\x01\0\x01\0\x80\0\0" + bytes(6) + small + large * 100 + b";"
    assert refused(data).type in ("image-too-large", "image-unreadable")


def test_a_broken_orientation_is_ignored() -> None:
    for exif in (b"Exif\0\0II*\0", b"Exif\0\0" + b"\xff" * 60, b"Exif\0\0II*\0\x08\0\0\0\xff\xff"):
        assert apply("thumbnail", encoded(plain((200, 100)), "JPEG", exif=exif), keep_metadata=True).size == (128, 64)


def test_no_error_message_names_an_object_or_a_path_of_the_process() -> None:
    for format_name in READ:
        data = encoded(photo(320, 240), format_name)
        for size in (12, 30, 60, len(data) // 2):
            detail = _detail(data[:size])
            assert "<" not in detail
            assert "/" not in detail


def _detail(data: bytes) -> str:
    try:
        apply("thumbnail", data)
    except TaskError as error:
        assert error.detail.endswith(".")
        return error.detail
    return ""


def samples() -> list[bytes]:
    small = photo(120, 90)
    files = [encoded(small, format_name) for format_name in READ]
    files += [encoded(small.convert("P"), "PNG"), encoded(small.convert("CMYK"), "JPEG", progressive=True)]
    files += [
        encoded(small, "TIFF", compression=compression) for compression in ("tiff_lzw", "jpeg", "tiff_adobe_deflate")
    ]
    files += [animation(format_name, 3) for format_name in ("GIF", "PNG", "WEBP", "AVIF")]
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    files += [encoded(small, "JPEG", exif=exif), encoded(small, "WEBP", exif=exif), encoded(small, "PNG", exif=exif)]
    return files


def survives(data: bytes) -> None:
    """Check that every task either succeeds or raises a `TaskError`."""
    for run in (
        lambda: TASKS["thumbnail"](Desk(), Sent(data), width=32, height=32, format="png", keep_metadata=True),
        lambda: TASKS["rotate"](Desk(), Sent(data), format="gif"),
        lambda: image_info(Sent(data)),
    ):
        try:
            run()
        except TaskError as error:
            assert error.type in ("image-unreadable", "image-too-large", "image-format-unsupported")


@pytest.mark.parametrize("number", range(len(samples())))
def test_truncated_files_raise_only_task_errors(number: int) -> None:
    data = samples()[number]
    for size in (*range(0, 64, 3), *range(64, len(data), max(1, len(data) // 40))):
        survives(data[:size])


@pytest.mark.parametrize("number", range(len(samples())))
def test_files_with_flipped_bits_raise_only_task_errors(number: int) -> None:
    original = samples()[number]
    chance = random.Random(number)
    for _ in range(60):
        data = bytearray(original)
        for _ in range(chance.choice((1, 1, 3, 20))):
            # Heads are where the interesting fields are.
            data[chance.randrange(len(data) if chance.random() < 0.4 else min(200, len(data)))] ^= (
                1 << chance.randrange(8)
            )
        survives(bytes(data))
