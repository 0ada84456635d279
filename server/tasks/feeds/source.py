"""Downloads the pages of a URL in order, with conditional requests, retries and limits."""

import hashlib
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from email.message import Message
from typing import Any
from urllib.parse import urljoin

from server.sdk.context import Context
from server.sdk.errors import TaskError
from server.sdk.http import FetchError, RequestLimits, Response, request
from server.settings import MIB
from server.tasks.feeds import page_metadata, rows
from server.tasks.feeds.body import Format, charset_of, format_of, unpacked
from server.tasks.feeds.errors import unreadable
from server.tasks.feeds.headers import HeadersFor
from server.tasks.feeds.page_metadata import PageMetadata
from server.tasks.feeds.paging import Paging
from server.tasks.feeds.retries import TemporaryFailure, retry_delay, temporary_failure
from server.tasks.feeds.rows import Row, RowSelector, at

#: Limits of one fetch, over all of its pages.
MAX_BYTES = 50 * MIB
MAX_PAGES = 1000
MAX_SECONDS = 600.0

_PAGE_SECONDS = 60.0
_MAX_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)

_LINK = re.compile(r'<([^<>]*)>((?:\s*;\s*[\w*-]+\s*(?:=\s*(?:"[^"]*"|[^\s";,]+))?)*)')
_NEXT = re.compile(r';\s*rel\s*=\s*(?:"(?:[^"]*\s)?next(?:\s[^"]*)?"|next(?![^\s;]))', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Validators:
    """The validators of the stored version (RFC 9110, section 8.8)."""

    etag: str = ""
    last_modified: str = ""

    def headers(self) -> dict[str, str]:
        """Return the headers that request the feed only if it has changed."""
        named = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in named.items() if value}


@dataclass(frozen=True, slots=True)
class Way:
    """How a feed is read: as the client says; None means that it is detected."""

    format: Format | None
    encoding: str | None
    selector: RowSelector
    next_field: str | None
    paging: Paging | None
    allow_partial: bool


_Page = tuple[list[Row], str]  # the rows of a page, and the URL of the next one


@dataclass(slots=True)
class Source:
    """A feed at its URL, with the validators of the stored version; after `pages`, with those for the next fetch."""

    ctx: Context
    url: str
    way: Way
    headers_for: HeadersFor
    validators: Validators = field(default_factory=Validators)
    not_modified: bool = False
    partial: bool = False
    pages_read: int = 0
    rows_read: int = 0
    bytes_read: int = 0
    _last: PageMetadata = field(default_factory=PageMetadata)
    _digest: bytes = b""
    _until: float = field(default_factory=lambda: time.monotonic() + MAX_SECONDS)

    def pages(self) -> Iterator[list[Row]]:
        """Yield the rows of each page.

        Raises:
            TaskError: `feed-unreachable`, `feed-unreadable`, `feed-incomplete`, `feed-too-large`.
            RetryLater: the server asks for a longer wait than a task should make.
            Canceled: do not catch it.
        """
        url = self.url
        visited: set[str] = set()
        while url:
            if url in visited:
                raise unreadable(f"Page {self.pages_read} names as its next page one that was read already.")
            if self.pages_read == MAX_PAGES:
                raise TaskError("feed-too-large", f"The feed has more than {MAX_PAGES} pages.")
            visited.add(url)
            self.ctx.progress(self.pages_read, self.pages_read + 1, f"fetching page {self.pages_read + 1}")
            page_rows, url = self._page(url)
            yield page_rows
        self._check_whole()

    def _check_whole(self) -> None:
        reason = "" if self.not_modified else self._last.missing(self.rows_read, self.pages_read)
        if reason and not self.way.allow_partial:
            one = self.rows_read == 1 and self.way.selector.shape is None
            raise TaskError(
                "feed-incomplete",
                f"{self.rows_read} rows were read, but the feed is not whole: {reason}. Say in `paging` or "
                "`next_field` how to get the next page, or give `allow_partial=true`"
                + (", or `shape=object` if the answer is one row." if one else "."),
            )
        self.partial = bool(reason)

    def _page(self, url: str) -> _Page:
        """Download a page, with retries; an empty one if there is none, or if nothing has changed."""
        tried = 0
        while True:
            try:
                return self._ask(url)
            except TemporaryFailure as failure:
                pause = retry_delay(self.ctx, failure, tried, self._until - time.monotonic())
            tried += 1
            self._sleep(pause)

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.5))
            self.ctx.progress(self.pages_read, self.pages_read + 1, "waiting to try again")

    def _ask(self, url: str) -> _Page:
        condition = self.validators.headers() if self.pages_read == 0 else {}
        target, allow_private = url, self.ctx.settings.allow_private_addresses
        try:
            for _ in range(_MAX_REDIRECTS + 1):
                headers, limits = self._sent(target, condition), self._limits()
                with request("GET", target, headers=headers, limits=limits, allow_private=allow_private) as response:
                    moved = response.headers.get("Location") if response.status in _REDIRECTS else None
                    if not moved:
                        return self._read(response, url)
                    target = urljoin(target, moved)  # so that no secret is sent to another host
        except FetchError as error:
            if error.reason in ("unreachable", "timeout"):
                raise TemporaryFailure(str(error)) from None
            error_type = "feed-too-large" if error.reason == "too-large" else "feed-unreachable"
            raise TaskError(error_type, str(error)) from None
        raise TaskError("feed-unreachable", f"The URL redirects more than {_MAX_REDIRECTS} times.")

    def _sent(self, url: str, condition: dict[str, str]) -> dict[str, str]:
        accepted = "application/json, application/x-ndjson;q=0.9, text/csv;q=0.9, */*;q=0.1"
        headers = self.headers_for(url)
        return ({} if any(name.lower() == "accept" for name in headers) else {"Accept": accepted}) | condition | headers

    def _limits(self) -> RequestLimits:
        seconds = min(_PAGE_SECONDS, self._until - time.monotonic())
        if seconds <= 0:
            raise TaskError("feed-too-large", f"The feed took more than {MAX_SECONDS:g} seconds.")
        return RequestLimits(seconds=seconds, bytes=MAX_BYTES - self.bytes_read, redirects=0)

    def _read(self, response: Response, url: str) -> _Page:
        if response.status == 304 and self.pages_read == 0 and self.validators.headers():
            self.not_modified = True
            return [], ""
        if failure := temporary_failure(response):
            raise failure
        if self._ends_with(response.status):
            return [], ""
        if response.status != 200:
            raise TaskError("feed-unreachable", f"The server answered {response.status}.")
        body = unpacked(response.read(), MAX_BYTES - self.bytes_read)
        self.bytes_read += len(body)
        page_rows, page = self._rows(body, response)
        self.pages_read += 1
        self.rows_read += len(page_rows)
        metadata = page_metadata.read(None if self.way.selector.takes_all else page, response.headers)
        self._last = replace(metadata, total=self._last.total if metadata.total is None else metadata.total)
        following = self._following(response, url, page, page_rows)
        self._check_new(body, page_rows)
        # A later page may change while the first does not: only a feed of one page can be requested conditionally.
        alone = self.pages_read == 1 and not following
        named = (response.headers.get(name, "")[:500] for name in ("ETag", "Last-Modified"))
        self.validators = Validators(*named) if alone else Validators()
        return page_rows, following

    def _ends_with(self, status: int) -> bool:
        """Return whether this error follows the last page: some servers return one instead of an empty page."""
        if not (self.pages_read and self.way.paging and self.way.paging.counts):
            return False
        announced = self._last.pages
        return status == 404 or (400 <= status <= 499 and announced is not None and self.pages_read >= announced)

    def _rows(self, body: bytes, response: Response) -> tuple[list[Row], Any]:
        header = Message()
        header["Content-Type"] = response.headers.get("Content-Type", "")
        charset = self.way.encoding or charset_of(header)
        format = self.way.format or format_of(header, str(response.url))
        if format == "csv":
            return rows.from_csv(body, charset), None
        if format == "ndjson":
            return rows.from_lines(body, charset), None
        return rows.from_json(body, charset, self.way.selector)

    def _following(self, response: Response, url: str, page: Any, page_rows: list[Row]) -> str:
        if self.way.paging:
            return self.way.paging.next_url(url, page, page_rows, self._last, self.pages_read, self.rows_read)
        if self.way.next_field:
            following = self._named(at(page, self.way.next_field))
        else:
            following = _linked(response) or self._last.url
        return urljoin(str(response.url), following) if following else ""

    def _named(self, value: object) -> str:
        if isinstance(value, dict):  # links in HAL and JSON:API
            value = value.get("href")
        if value is None or isinstance(value, str):
            return value or ""
        raise unreadable(f"`{self.way.next_field}` is not a URL. For a token or a number, see `paging`.")

    def _check_new(self, body: bytes, page_rows: list[Row]) -> None:
        """Refuse a page equal to the previous one: the server ignores the paging parameter."""
        digest = hashlib.sha256(body).digest()
        if self.way.paging and page_rows and digest == self._digest:
            raise unreadable(
                f"Page {self.pages_read} is the same as the one before. Does the server know the parameter "
                f"`{self.way.paging.param}`?"
            )
        self._digest = digest


def _linked(response: Response) -> str:
    """Return the URL of the `Link` with the relation `next` (RFC 8288)."""
    links = _LINK.findall(", ".join(response.headers.get_list("Link")))
    return next((target for target, parameters in links if _NEXT.search(parameters)), "")
