"""Builds the URL of a feed's next page if no answer contains it."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from server.tasks.feeds.errors import unreadable
from server.tasks.feeds.page_metadata import PageMetadata
from server.tasks.feeds.rows import Row, at


class Paging(BaseModel):
    """The query parameter that selects a page, and its value.

    `page` counts pages from `first`, `offset` counts rows from `first`; `cursor` is a token at the path `field` of the
    previous answer, `last_row` the value at `field` of the last row. Paging ends when there are no more rows, no token,
    or when the answer says that there are no more.
    """

    model_config = ConfigDict(extra="forbid")

    by: Literal["page", "offset", "cursor", "last_row"]
    param: Annotated[str, Field(min_length=1, max_length=100, examples=["page", "offset", "cursor", "starting_after"])]
    field: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    first: Annotated[int, Field(ge=0, le=1_000_000)] | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> "Paging":
        if self.by in ("cursor", "last_row") and not self.field:
            raise ValueError(f"`field` says where the value of `{self.param}` is; give it for paging by `{self.by}`")
        return self

    @property
    def counts(self) -> bool:
        """Return whether to request pages until one has no rows, because no answer marks the last page."""
        return self.by in ("page", "offset")

    def next_url(self, url: str, page: Any, rows: list[Row], metadata: PageMetadata, pages: int, count: int) -> str:
        """Return the URL of the next page; empty after the last. `pages` and `count` (of rows) were read so far."""
        import httpx  # noqa: PLC0415 - the web process needs no client

        if metadata.more is False or not (rows or self.by == "cursor"):
            return ""
        if self.counts and metadata.total is not None and count >= metadata.total:
            return ""
        value = self._value(page, rows, pages, count)
        return str(httpx.URL(url).copy_set_param(self.param, value)) if value else ""

    def _value(self, page: Any, rows: list[Row], pages: int, count: int) -> str:
        if self.by == "page":
            return str((1 if self.first is None else self.first) + pages)
        if self.by == "offset":
            return str((self.first or 0) + count)
        value = at(page if self.by == "cursor" else rows[-1], self.field or "")
        if isinstance(value, bool | float | dict | list):
            raise unreadable(f"The value at {self.field!r} cannot be a `{self.param}`.")
        return str(value or "")
