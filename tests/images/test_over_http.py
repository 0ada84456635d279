"""Pictures as clients send them: with wrong types and names, in forms and raw, with fonts, through a worker."""

import io
from typing import Any

import pytest
from harness import Service
from PIL import Image

from tests.images.pictures import corners, encoded, plain, quarters
from tests.images.test_watermark import BUNDLED, font_of

JPEG = encoded(corners(), "JPEG", quality=95)


def picture(service: Service, answer: Any) -> Image.Image:
    """Return the picture that a submit results in."""
    assert answer.status_code == 202, answer.text
    file = service.result(answer.json()["task_id"])
    return Image.open(io.BytesIO(service.http.get(file["href"]).content))


@pytest.mark.parametrize(
    "declared",
    ["image/jpg", "image/pjpeg", "binary/octet-stream", "image/heic", "application/pdf", "text/plain", "image/x-foo"],
)
def test_a_jpeg_of_any_declared_type_is_read(service: Service, declared: str) -> None:
    raw = service.http.post("/tasks/flip", content=JPEG, headers={"Content-Type": declared})
    assert quarters(picture(service, raw)) == "grwb"
    form = service.http.post("/tasks/flip", files={"image": ("x.bin", JPEG, declared)})
    assert quarters(picture(service, form)) == "grwb"


@pytest.mark.parametrize("name", ["x.HEIC", "x.pdf", "x.csv", "x", "x.tar.gz"])
def test_a_jpeg_of_any_name_is_read(service: Service, name: str) -> None:
    answer = service.http.post("/tasks/flip", files={"image": (name, JPEG, "application/octet-stream")})
    assert quarters(picture(service, answer)) == "grwb"


def test_a_file_that_is_not_a_picture_is_refused_by_the_type_that_it_declares(service: Service) -> None:
    answer = service.http.post("/tasks/flip", files={"image": ("x.csv", b"a,b\n1,2\n", "text/csv")})
    assert (answer.status_code, "image/jpeg" in answer.json()["detail"]) == (415, True)


def test_options_are_read_from_a_form(service: Service) -> None:
    values = {"keep_metadata": "no-location", "lenient": "true", "max_bytes": "5000", "format": "webp", "effort": "4"}
    answer = service.http.post("/tasks/thumbnail", files={"image": ("x.jpg", JPEG)}, data=values)
    assert picture(service, answer).format == "WEBP"


def test_a_lossless_jpeg_is_refused_when_it_is_submitted(service: Service) -> None:
    answer = service.http.post("/tasks/flip", files={"image": JPEG}, data={"format": "jpeg", "lossless": "true"})
    assert (answer.status_code, "webp or png" in answer.text) == (422, True)


def test_a_watermark_accepts_a_font_in_a_form(service: Service) -> None:
    ground = encoded(plain((200, 100), (90, 90, 90)), "PNG")
    for task, fields in (
        ("watermark", {"text": "東"}),
        ("image_pipeline", {"operations": '[{"op":"watermark","text":"東"}]'}),
    ):
        files = {"image": ("x.png", ground), "font": ("x.ttf", font_of("東"))}
        image = picture(service, service.http.post(f"/tasks/{task}", files=files, data=fields))
        assert len(image.getcolors(10_000)) > 1
    answer = service.http.post("/tasks/watermark", files={"image": ("x.png", ground)}, data={"text": "東"})
    ended = service.wait_for(answer.json()["task_id"])
    assert ended["error"]["type"] == "/problems/watermark-glyph-missing"
    assert ended["error"]["title"] == "The font lacks characters of the text"
    assert "東 (U+6771)" in ended["error"]["detail"]


def test_a_font_with_a_font_media_type_is_read(service: Service) -> None:
    files = {"image": ("x.jpg", JPEG, "image/jpeg"), "font": ("x.ttf", BUNDLED.read_bytes(), "font/ttf")}
    assert picture(service, service.http.post("/tasks/watermark", files=files, data={"text": "a"})).size == (64, 32)


def test_a_pdf_has_a_preview(service: Service) -> None:
    file = io.BytesIO()
    corners(200, 100).save(file, "PDF")
    answer = service.http.post(
        "/tasks/pdf_preview?width=100", content=file.getvalue(), headers={"Content-Type": "application/pdf"}
    )
    assert quarters(picture(service, answer)) == "rgbw"
