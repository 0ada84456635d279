"""The tasks for PDF documents."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from server.sdk.context import Context, OutputFile, Upload
from server.sdk.registry import task
from server.tasks.documents.pdf import drawn, is_pdf, opened, version_of, written

_OPTIONS: dict[str, Any] = {
    "soft_time_limit": 100,
    "time_limit": 120,
    "max_upload_bytes": 50 * 2**20,
    "accepts": ("application/pdf", "application/octet-stream"),
    "recognizes": is_pdf,
}


class PdfPreview(OutputFile):
    """A picture of one page of a document with `pages` pages."""

    width: int
    height: int
    pages: int


class PdfInfo(BaseModel):
    """The properties of a document. The author sets the texts; null means that the document has none."""

    pages: int
    version: str
    width_points: float = Field(description="Size of the first page; 72 points are an inch.")
    height_points: float
    title: str | None
    author: str | None
    subject: str | None
    keywords: str | None
    creator: str | None = Field(description="The program in which the document was written.")
    producer: str | None = Field(description="The program that created the PDF.")
    created: str | None = Field(description="In PDF's date format: D:20260131120000Z.")
    modified: str | None
    has_form: bool


@task(**_OPTIONS)
def pdf_preview(
    ctx: Context,
    document: Upload,
    page: Annotated[int, Field(ge=1, le=100_000)] = 1,
    width: Annotated[int, Field(ge=1, le=10_000, description="Pixels; the height follows from the page.")] = 800,
    format: Literal["png", "jpeg", "webp"] = "png",
    quality: Annotated[int, Field(ge=1, le=100, description="Quality of jpeg and webp.")] | None = None,
) -> PdfPreview:
    """Draw a page of a PDF as a picture."""
    with opened(document.read()) as pdf:
        ctx.progress(0, 2, f"drawing page {page}")
        image, pages = drawn(pdf, page, width), len(pdf)
    ctx.progress(1, 2, "saving")
    name = f"page-{page}.{'jpg' if format == 'jpeg' else format}"
    data = written(image, format, quality)
    saved = ctx.save(name, data, f"image/{format}", width=image.width, height=image.height, pages=pages)
    return PdfPreview.model_validate(saved.model_dump())


@task(**_OPTIONS)
def pdf_info(document: Upload) -> PdfInfo:
    """Describe a PDF: pages, size, title, author, dates, and the programs that created it."""
    data = document.read()
    with opened(data) as pdf:
        texts = {key: value.strip()[:1000] or None for key, value in pdf.get_metadata_dict().items()}
        width, height = pdf.get_page_size(0) if len(pdf) else (0.0, 0.0)
        return PdfInfo(
            pages=len(pdf),
            version=version_of(data),
            width_points=round(width, 2),
            height_points=round(height, 2),
            title=texts.get("Title"),
            author=texts.get("Author"),
            subject=texts.get("Subject"),
            keywords=texts.get("Keywords"),
            creator=texts.get("Creator"),
            producer=texts.get("Producer"),
            created=texts.get("CreationDate"),
            modified=texts.get("ModDate"),
            has_form=pdf.get_formtype() > 0,
        )
