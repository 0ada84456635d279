"""Paging metadata in an answer: it shows that there are more rows, so that no incomplete feed ends as a success."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

#: Names in lower case without underscores.
#: Objects in which APIs put this metadata, in addition to the answer itself.
_CONTAINERS = ("meta", "metadata", "pagination", "paging", "page", "pageinfo", "links", "responsemetadata", "cursors")
_MORE = ("hasmore", "hasnext", "hasnextpage", "istruncated", "incompleteresults")
_TOTAL = ("total", "totalcount", "@odata.count", "odata.count", "totalresults", "totalitems", "totalrows",
          "totalelements", "totalrecords", "count", "totalsize")  # fmt: skip
#: These contain a URL, even a relative one; `next` may contain a URL, a token or a number.
_LINKS = ("nexturl", "nextlink", "@odata.nextlink", "odata.nextlink", "@nextlink", "nextpageurl", "nexthref")
_NEXT = ("next", *_LINKS)
_TOKENS = ("nextcursor", "nextpagetoken", "nexttoken", "nextpage", "continuationtoken", "endcursor", "nextoffset")
_PAGES = ("totalpages", "pagecount", "numpages", "lastpage")
_TOTAL_HEADERS = ("X-Total-Count", "X-Total")


@dataclass(frozen=True, slots=True)
class PageMetadata:
    """The paging metadata of one answer: the next page's URL or token, whether more rows follow, and their number."""

    url: str = ""
    token: str = ""
    more: bool | None = None
    total: int | None = None
    pages: int | None = None

    def missing(self, rows: int, pages: int) -> str:
        """Return why a feed with these rows and pages is incomplete, by its last answer; "" if it seems complete."""
        if self.url:
            return "it names a next page"
        if self.more:
            return "it says that there is more"
        if self.token and self.more is None:
            return f"it names a next page by {self.token}"
        if self.total is not None and self.total > rows:
            return f"it announces {self.total} rows"
        if self.pages is not None and self.pages > pages:
            return f"it announces {self.pages} pages"
        return ""


def read(page: Any, headers: Mapping[str, str]) -> PageMetadata:
    url = token = ""
    more: bool | None = None
    pages: int | None = None
    total = next((int(text) for name in _TOTAL_HEADERS if (text := headers.get(name, "")).isdecimal()), None)
    for name, value in _fields(page):
        plain = _plain(name)
        if plain in _NEXT:
            url = url or _url(value, certain=plain in _LINKS)
        elif plain in _MORE and isinstance(value, bool):
            more = more or value
        elif plain in _TOTAL and type(value) is int:
            total = value if total is None else max(total, value)
        elif plain in _PAGES and type(value) is int:
            pages = value
        if plain in (*_TOKENS, *_NEXT) and not url and type(value) in (str, int) and value:
            token = token or f"`{name}`"
    return PageMetadata(url, token, more, total, pages)


def _fields(page: Any, levels: int = 2) -> Iterator[tuple[str, Any]]:
    """Yield the fields of an answer, and of the paging objects in it."""
    if not isinstance(page, dict):
        return
    yield from page.items()
    if levels:
        for name, value in page.items():
            if _plain(name) in _CONTAINERS:
                yield from _fields(value, levels - 1)


def _plain(name: str) -> str:
    return name.lower().replace("_", "")


def _url(value: Any, *, certain: bool) -> str:
    """Return a link's URL: a text, or an object with `href`, as in HAL and JSON:API."""
    if isinstance(value, dict):
        value = value.get("href")
    if isinstance(value, str) and (certain or value.startswith(("http://", "https://", "/", "?"))):
        return value
    return ""
