"""Marks and text on pictures: fonts, scripts, sizes, angles, tiles."""

import io
import struct
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageFont

from server.sdk.errors import TaskError
from server.settings import Settings, SettingsError
from server.tasks.images.operations.watermark import has_a_mark
from server.tasks.images.settings import ImageSettings
from server.tasks.images.text import fonts
from tests.images.pictures import BLACK, RED, WHITE, Desk, Sent, apply, encoded, near, photo, plain

BUNDLED = Path(fonts.__file__).parent / "noto" / "NotoSans-Regular-subset.ttf"
GLYPH_OF_A = 34  # its number in the bundled font
GROUND = encoded(plain((400, 200), (90, 90, 90)), "PNG")


def changed(image: Image.Image) -> tuple[int, int, int, int] | None:
    """Return the box of all pixels that differ from the background."""
    return ImageChops.difference(image.convert("RGB"), plain((400, 200), (90, 90, 90))).getbbox()


def font_of(*characters: str) -> bytes:
    """The bundled font with a character map (format 12) that only has these characters, all drawn as its letter A."""
    data = bytearray(BUNDLED.read_bytes())
    groups = b"".join(struct.pack(">III", ord(each), ord(each), GLYPH_OF_A) for each in sorted(characters))
    table = struct.pack(">HHHHI", 0, 1, 3, 10, 12) + struct.pack(">HHIII", 12, 0, 16 + len(groups), 0, len(characters))
    for at in range(12, 12 + 16 * int.from_bytes(data[4:6], "big"), 16):
        if data[at : at + 4] == b"cmap":
            data[at + 8 : at + 16] = struct.pack(">II", len(data), len(table + groups))
    return bytes(data) + table + groups


@pytest.mark.parametrize("text", ["Entwürf € 5 \u2013 №", "Ελληνικά Ὦ", "Кириллица ґ Ў", "Ærøskøbing ŵ ß ẞ", "x² ½"])
def test_latin_greek_and_cyrillic_are_in_the_bundled_font(text: str) -> None:
    assert changed(apply("watermark", GROUND, text=text, scale=0.8, opacity=1)) is not None
    assert all(fonts.bundled().has(character) for character in text)


def test_a_missing_glyph_is_an_error_that_names_the_characters() -> None:
    with pytest.raises(TaskError) as caught:
        apply("watermark", GROUND, text="Entwürf € 5 \u2013 東京東")
    assert caught.value.type == "watermark-glyph-missing"
    assert caught.value.detail.startswith("The font has no glyph for 東 (U+6771), 京 (U+4EAC). ")


def test_an_uploaded_font_has_characters_that_the_bundled_font_lacks() -> None:
    font = Sent(font_of("東"))
    image = changed(apply("watermark", GROUND, text="東", font=font, opacity=1, scale=0.8))
    same = changed(apply("watermark", GROUND, text="A", opacity=1, scale=0.8))
    assert image is not None
    assert same is not None
    # Not the same pixels: a font is fitted to the pixels by rules of each script.
    assert all(abs(one - other) <= 2 for one, other in zip(image, same, strict=True))
    assert changed(apply("watermark", GROUND, text="Entwürf \u2013 東京"[:-1], font=font)) is not None


def test_a_configured_font_has_characters_that_the_others_lack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "more.ttf").write_bytes(font_of("東"))
    monkeypatch.setenv("WATERMARK_FONTS", f"{tmp_path / 'more.ttf'}, {BUNDLED}")
    monkeypatch.setattr(Desk, "settings", Settings(redis_url="redis://127.0.0.1:1/0"))
    assert changed(apply("watermark", GROUND, text="Entw\u00fcrf 東", opacity=1)) is not None


@pytest.mark.parametrize(("content", "message"), [(None, "there is no file"), (b"GIF89a", "is not a TrueType")])
def test_an_invalid_configured_font_stops_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "x.ttf").write_bytes(content)
    monkeypatch.setenv("WATERMARK_FONTS", str(tmp_path / "x.ttf"))
    with pytest.raises(SettingsError, match=f"WATERMARK_FONTS.*{message}"):
        Settings(redis_url="redis://127.0.0.1:1/0").part(ImageSettings)


def test_invisible_characters_need_no_glyph() -> None:
    assert apply("watermark", GROUND, text="a\u200db\ufe0f\u00adc\u0007").size == (400, 200)


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\0\1\0\0" + bytes(40), BUNDLED.read_bytes()[:2000]])
def test_a_file_that_is_not_a_font_is_unreadable(data: bytes) -> None:
    with pytest.raises(TaskError) as caught:
        apply("watermark", GROUND, text="a", font=Sent(data))
    assert caught.value.type == "font-unreadable"


def test_the_character_map_is_read_as_freetype_reads_it() -> None:
    font, drawn = (
        fonts.bundled(),
        ImageFont.truetype(io.BytesIO(BUNDLED.read_bytes()), 20, layout_engine=ImageFont.Layout.BASIC),
    )
    missing = bytes(drawn.getmask("\U0010fffd"))
    characters = [chr(code) for code in (*range(0x20, 0x600, 7), *range(0x2000, 0x2200, 5), 0x4E00, 0x1F600)]
    for character in characters:
        if not font.has(character):
            assert bytes(drawn.getmask(character)) == missing or not character.isprintable(), character
        else:
            assert bytes(drawn.getmask(character)) != missing, character


def test_text_size_is_in_pixels_for_any_picture_size() -> None:
    small = changed(apply("watermark", GROUND, text="H", size=20, opacity=1))
    large = changed(apply("watermark", GROUND, text="H", size=80, opacity=1))
    assert small is not None
    assert large is not None
    assert 12 <= small[3] - small[1] <= 20
    assert 55 <= large[3] - large[1] <= 75


def test_text_that_is_larger_than_the_picture_is_cut_off() -> None:
    assert apply("watermark", GROUND, text="W" * 200, size=2000, opacity=1).size == (400, 200)


def test_text_has_its_color_and_a_contrasting_outline() -> None:
    counts = {
        color: count
        for count, color in apply("watermark", GROUND, text="HHH", color="#ff0000", scale=0.8, opacity=1).getcolors(
            10_000
        )
    }
    assert counts[RED] > 1_000
    dark = apply("watermark", GROUND, text="HHH", color="black", scale=0.8, opacity=1)
    assert dark.getextrema()[0][1] > 120


def test_an_angle_turns_the_mark_clockwise() -> None:
    mark = Sent(encoded(plain((100, 10), BLACK), "PNG"))
    box = changed(apply("watermark", GROUND, mark=mark, scale=0.5, angle=90, opacity=1, gravity="center"))
    assert box is not None
    assert box[3] - box[1] > 3 * (box[2] - box[0])


@pytest.mark.parametrize("angle", [0, 30])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_tiles_cover_the_whole_picture(angle: float, mode: str) -> None:
    ground = encoded(plain((400, 200), (90, 90, 90)).convert(mode), "PNG")
    image = apply("watermark", ground, text="draft", tile=True, angle=angle, scale=0.1, opacity=1).convert("RGB")
    for left in range(0, 400, 100):
        for top in range(0, 200, 50):
            assert len(image.crop((left, top, left + 100, top + 50)).getcolors(10_000)) > 1


def test_a_tiled_mark_looks_the_same_with_and_without_transparency() -> None:
    mark = Sent(encoded(plain((40, 40), BLACK), "PNG"))
    values = {"mark": mark, "tile": True, "opacity": 0.5, "scale": 0.1, "angle": 20}
    one = apply("watermark", GROUND, **values)
    other = apply("watermark", encoded(plain((400, 200), (90, 90, 90)).convert("RGBA"), "PNG"), **values)
    assert all(high <= 2 for _, high in ImageChops.difference(one, other.convert("RGB")).getextrema())


@pytest.mark.parametrize("text", [None, "", " ", "\n"])
def test_a_watermark_without_content_is_refused_at_submission(text: str | None) -> None:
    with pytest.raises(ValueError, match="nothing to put"):
        has_a_mark(None, text)


def test_lines_are_written_below_each_other() -> None:
    one = changed(apply("watermark", GROUND, text="HH", size=30, opacity=1))
    two = changed(apply("watermark", GROUND, text="HH\nHH", size=30, opacity=1))
    assert one is not None
    assert two is not None
    assert two[3] - two[1] > 1.8 * (one[3] - one[1])


def test_a_mark_on_a_photograph_changes_only_its_corner() -> None:
    picture = photo(400, 300)
    image = apply("watermark", encoded(picture, "PNG"), text="Coatcheck", color="white", opacity=1)
    difference = ImageChops.difference(image, picture)
    assert difference.crop((0, 0, 250, 200)).getbbox() is None
    assert near(max(image.crop((280, 240, 400, 300)).get_flattened_data(), key=sum), WHITE)
