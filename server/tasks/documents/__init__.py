"""Tasks for PDF documents, with PDFium: a picture of a page, and a document's properties."""

from server.tasks.documents.tasks import pdf_info, pdf_preview

__all__ = ["pdf_info", "pdf_preview"]
