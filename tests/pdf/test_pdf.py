"""Pictures of pages, and properties of documents, from valid and damaged files."""

import io
from typing import Any

import pytest
from PIL import Image

from server.sdk.errors import TaskError
from server.tasks.documents import pdf_info, pdf_preview
from server.tasks.documents.pdf import MAX_PIXELS
from tests.images.pictures import BLUE, RED, Desk, Sent, near, plain


def document(*pages: Image.Image, **options: Any) -> bytes:
    """A PDF with pictures as pages, at 72 pixels per inch."""
    file = io.BytesIO()
    pages[0].save(file, "PDF", save_all=True, append_images=pages[1:], **options)
    return file.getvalue()


TWO_PAGES = document(plain((200, 100), RED), plain((100, 300), BLUE), title="Two colors", author="Ada")


def refused(data: bytes, **values: Any) -> TaskError:
    with pytest.raises(TaskError) as caught:
        pdf_preview(Desk(), Sent(data), **values)
    return caught.value


@pytest.mark.parametrize(("format_name", "suffix"), [("png", "png"), ("jpeg", "jpg"), ("webp", "webp")])
def test_a_preview_shows_the_first_page_in_the_requested_format(format_name: str, suffix: str) -> None:
    desk = Desk()
    file = pdf_preview(desk, Sent(TWO_PAGES), width=400, format=format_name)
    image = desk.image(f"page-1.{suffix}")
    assert (file.width, file.height, file.pages, image.format) == (400, 200, 2, format_name.upper())
    assert near(image.convert("RGB").getpixel((200, 100)), RED)


def test_a_preview_shows_the_requested_page() -> None:
    desk = Desk()
    file = pdf_preview(desk, Sent(TWO_PAGES), page=2, width=50)
    assert (file.name, file.height) == ("page-2.png", 150)
    assert near(desk.image("page-2.png").getpixel((25, 75)), BLUE)


def test_the_error_for_a_missing_page_has_the_number_of_pages() -> None:
    error = refused(TWO_PAGES, page=3)
    assert (error.type, "has 2 pages" in error.detail) == ("pdf-page-missing", True)


def test_an_image_with_too_many_pixels_is_refused_before_rendering() -> None:
    error = refused(document(plain((10, 5000))), width=1000)
    assert (error.type, str(MAX_PIXELS) in error.detail) == ("pdf-too-large", True)


@pytest.mark.parametrize(("format_name", "length"), [("webp", 16_384), ("jpeg", 65_536)])
def test_a_page_that_is_too_long_for_the_format_is_refused(format_name: str, length: int) -> None:
    error = refused(document(plain((8, length // 8))), width=64, format=format_name)
    assert (error.type, f"64 x {length} pixels" in error.detail) == ("pdf-too-large", True)


def test_a_preview_has_exactly_the_requested_width() -> None:
    data = document(plain((595, 842), RED), resolution=71.97)  # 595.25 points
    assert {pdf_preview(Desk(), Sent(data), width=width).width - width for width in range(790, 830)} == {0}


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"%PDF-1.7\n", TWO_PAGES[:300], b"%PDF-1.4" + bytes(2000)])
def test_an_incomplete_pdf_is_unreadable(data: bytes) -> None:
    assert refused(data).type == "pdf-unreadable"
    with pytest.raises(TaskError):
        pdf_info(Sent(data))


def test_a_document_with_a_password_has_its_own_error() -> None:
    hidden = "<" + "41" * 32 + ">"
    encryption = f"/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O {hidden} /U {hidden} >> /ID [{hidden} {hidden}]"
    objects = ("<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [] /Count 0 >>")
    body = "".join(f"{number} 0 obj\n{each}\nendobj\n" for number, each in enumerate(objects, 1))
    data = f"%PDF-1.4\n{body}trailer\n<< /Size 3 /Root 1 0 R {encryption} >>\n%%EOF\n".encode()
    assert refused(data).type == "pdf-encrypted"


def test_bytes_before_the_header_are_ignored() -> None:
    assert pdf_info(Sent(b"\r\n" + TWO_PAGES)).pages == 2


def test_info_describes_the_document() -> None:
    info = pdf_info(Sent(TWO_PAGES))
    assert (info.pages, info.width_points, info.height_points) == (2, 200, 100)
    assert (info.title, info.author, info.subject, info.has_form) == ("Two colors", "Ada", None, False)
    assert info.version.startswith("1.")
