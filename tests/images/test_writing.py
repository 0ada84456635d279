"""Output options: lossless, effort, progressive, a maximum of bytes, and metadata."""

import io
from typing import Any

import pytest
from PIL import ExifTags, Image
from pydantic import TypeAdapter, ValidationError

from server.sdk.errors import TaskError
from server.tasks.images.tasks import TASKS, image_info, image_variants
from server.tasks.images.variants import Variant, check_variants
from server.tasks.images.writing.output import Output, check_lossless
from tests.images.pictures import Desk, Sent, apply, corners, encoded, photo, run

PHOTO = encoded(photo(400, 300), "PNG")


def test_lossless_webp_keeps_every_pixel() -> None:
    image = apply("flip", PHOTO, format="webp", lossless=True).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert image.tobytes() == photo(400, 300).tobytes()


@pytest.mark.parametrize("format_name", ["jpeg", "avif", "gif"])
def test_lossless_is_refused_for_formats_without_it(format_name: str) -> None:
    with pytest.raises(ValueError, match=f"{format_name} cannot be `lossless`"):
        check_lossless(format_name, True)
    with pytest.raises(ValueError, match="cannot be"):
        check_variants({"a": Variant(width=5, format=format_name, lossless=True)})


def test_lossless_is_refused_by_the_worker_when_the_input_decides_the_format() -> None:
    with pytest.raises(TaskError, match="jpeg cannot be `lossless`") as caught:
        apply("thumbnail", encoded(corners(), "JPEG"), lossless=True)
    assert caught.value.type == "image-format-unsupported"


@pytest.mark.parametrize("format_name", ["jpeg", "png", "webp", "avif"])
def test_more_effort_does_not_enlarge_files(format_name: str) -> None:
    little, _ = run("thumbnail", PHOTO, format=format_name, width=200, height=200, effort=1)
    much, image = run("thumbnail", PHOTO, format=format_name, width=200, height=200, effort=10)
    assert much.bytes <= little.bytes
    assert image.size == (200, 150)


def test_the_progressive_option_writes_a_progressive_jpeg() -> None:
    assert apply("thumbnail", PHOTO, format="jpeg", progressive=True).info.get("progressive")
    assert not apply("thumbnail", PHOTO, format="jpeg").info.get("progressive")


@pytest.mark.parametrize("format_name", ["jpeg", "webp", "avif"])
@pytest.mark.parametrize("limit", [5_000, 8_000, 20_000])
def test_a_file_is_close_to_and_at_most_max_bytes(format_name: str, limit: int) -> None:
    values = {"format": format_name, "width": 300, "height": 300}
    full, _ = run("thumbnail", PHOTO, quality=95, **values)
    file, image = run("thumbnail", PHOTO, quality=95, max_bytes=limit, **values)
    assert full.bytes > limit >= file.bytes > limit / 2
    assert image.size == (300, 225)


def test_a_sufficient_max_bytes_changes_nothing() -> None:
    assert run("thumbnail", PHOTO, max_bytes=10**6)[0] == run("thumbnail", PHOTO)[0]


@pytest.mark.parametrize("format_name", ["jpeg", "png", "gif"])
def test_an_unreachable_max_bytes_is_an_error_with_both_numbers(format_name: str) -> None:
    with pytest.raises(TaskError, match=r"has \d+ bytes as .*`max_bytes` is 200") as caught:
        apply("resize", PHOTO, format=format_name, max_bytes=200)
    assert caught.value.type == "image-too-many-bytes"


def test_each_variant_has_its_own_output_options() -> None:
    desk = Desk()
    variants = {
        "small": Variant(width=200, format="jpeg", max_bytes=3_000),
        "exact": Variant(width=400, format="webp", lossless=True),
        "shown": Variant(width=200, format="jpeg", progressive=True, effort=6),
    }
    files = image_variants(desk, Sent(PHOTO), variants).variants
    assert files["small"].bytes <= 3_000
    assert desk.image("exact.webp").tobytes() == photo(400, 300).tobytes()
    assert desk.image("shown.jpg").info.get("progressive")


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description dc:title="Cat"%s/></x:xmpmeta>'


def tagged(place_in_xmp: bool = False) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Artist], exif[ExifTags.Base.Copyright] = "Ada", "(c) Ada"
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Orientation] = "Coatcheck", 6
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FNumber] = 2.8
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    return encoded(corners(), "JPEG", exif=exif, xmp=XMP % (b' exif:GPSLatitude="51"' if place_in_xmp else b""))


def kept(keep: bool | str, place_in_xmp: bool = False) -> tuple[set[str], bool]:
    """Return the names of a result's tags and directories, and whether it has XMP."""
    image = apply("thumbnail", tagged(place_in_xmp), keep_metadata=keep)
    exif = image.getexif()
    parts = ((ExifTags.TAGS, exif), (ExifTags.TAGS, exif.get_ifd(0x8769)), (ExifTags.GPSTAGS, exif.get_ifd(0x8825)))
    return {names[tag] for names, part in parts for tag in part} - {"ExifOffset", "GPSInfo"}, "xmp" in image.info


def test_only_the_requested_metadata_is_kept() -> None:
    rights, rest = {"Artist", "Copyright"}, {"Make", "FNumber"}
    assert kept(False) == (set(), False)
    assert kept("copyright") == (rights, False)
    assert kept("no-location") == (rights | rest, True)
    assert kept("all") == kept(True) == (rights | rest | {"GPSLatitudeRef"}, True)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
@pytest.mark.parametrize("written", ["jpeg", "png", "webp", "avif"])
def test_a_name_in_exif_keeps_its_letters(encoding: str, written: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Copyright] = exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.CameraOwnerName] = "x" * 16
    name = "© 2026 Jürgen".encode(encoding).ljust(16)
    data = encoded(corners(), "JPEG", exif=exif.tobytes().replace(b"x" * 16, name))
    desk = Desk()
    file = TASKS["thumbnail"](desk, Sent(data), format=written, keep_metadata="no-location")
    assert desk.files[file.name].count(name) == 2
    assert image_info(Sent(data)).exif["Copyright"] == "© 2026 Jürgen"


def test_xmp_with_a_location_is_removed_unless_location_is_kept() -> None:
    assert kept("no-location", place_in_xmp=True)[1] is False
    assert kept("all", place_in_xmp=True)[1] is True


@pytest.mark.parametrize(("sent", "read"), [("true", True), ("false", False), (True, True), ("copyright", "copyright")])
def test_keep_metadata_is_read_from_forms_as_from_json(sent: Any, read: Any) -> None:
    assert TypeAdapter(Output).validate_python({"keep_metadata": sent}).keep_metadata == read
    with pytest.raises(ValidationError):
        TypeAdapter(Output).validate_python({"keep_metadata": "some"})


def test_every_task_with_one_file_has_all_output_options() -> None:
    for name, task in TASKS.items():
        assert set(Output.__dataclass_fields__) <= set(task.__annotations__), name


def test_a_file_of_a_task_can_be_read_by_another() -> None:
    desk = Desk()
    TASKS["thumbnail"](desk, Sent(PHOTO), format="avif", width=100, height=100)
    assert Image.open(io.BytesIO(desk.files["thumbnail.avif"])).size == (100, 75)
