"""Pages at a URL: asked for conditionally, one after the other, tried again where it is worth it, all of it bounded."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urljoin

from server.sdk.context import Context
from server.sdk.errors import TaskError
from server.sdk.http import Answer, FetchError, Limits, request
from server.settings import MIB
from server.tasks.feeds import rows
from server.tasks.feeds.rows import Row

#: Bounds of one fetch, over all of its pages.
MAX_BYTES = 50 * MIB
MAX_PAGES = 1000
MAX_SECONDS = 600.0

#: Seconds before each further try of a page; a server's own Retry-After counts up to the bound.
_WAITS = (0.5, 1.0, 2.0, 4.0)
_LONGEST_WAIT = 30.0

_PAGE_SECONDS = 60.0

Format = Literal["json", "csv"]

_LINK = re.compile(r'<([^<>]*)>((?:\s*;\s*[\w*-]+\s*(?:=\s*(?:"[^"]*"|[^\s";,]+))?)*)')
_NEXT = re.compile(r';\s*rel\s*=\s*(?:"(?:[^"]*\s)?next(?:\s[^"]*)?"|next(?![^\s;]))', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Validators:
    """What a server said of the version that is stored (RFC 9110, section 8.8)."""

    etag: str = ""
    last_modified: str = ""

    def headers(self) -> dict[str, str]:
        """The condition: only if it has changed."""
        named = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in named.items() if value}


@dataclass(slots=True)
class Source:
    """A feed at its URL. After `pages` it knows what was read, and by which validators to ask the next time."""

    ctx: Context
    url: str
    format: Format | None
    items: str | None
    next_field: str | None
    validators: Validators
    not_modified: bool = False
    pages_read: int = 0
    bytes_read: int = 0
    _until: float = field(default_factory=lambda: time.monotonic() + MAX_SECONDS)

    def pages(self) -> Iterator[list[Row]]:
        """The rows of one page after the other.

        Raises:
            TaskError: `feed-unreachable`, `feed-unreadable`, `feed-too-large`.
            Canceled: let it pass.
        """
        url: str | None = self.url
        seen: set[str] = set()
        while url:
            if url in seen:
                raise TaskError("feed-unreadable", f"Page {self.pages_read} names a page as its next that was read.")
            if self.pages_read == MAX_PAGES:
                raise TaskError("feed-too-large", f"The feed has more than {MAX_PAGES} pages.")
            seen.add(url)
            self.ctx.progress(self.pages_read, self.pages_read + 1, f"fetching page {self.pages_read + 1}")
            page = self._page(url)
            if page is None:
                return
            found, url = page
            self.pages_read += 1
            yield found

    def _page(self, url: str) -> tuple[list[Row], str | None] | None:
        """A page's rows and the next page's URL; None where nothing has changed. Tried again where it is worth it."""
        for wait in (*_WAITS, None):
            try:
                return self._ask(url)
            except _Passing as trouble:
                pause = max(wait or 0.0, trouble.wait)
                if wait is None or time.monotonic() + pause > self._until:
                    raise TaskError("feed-unreachable", str(trouble)) from None
            self._sleep(pause)
        raise AssertionError("the last wait is None")

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.5))
            self.ctx.progress(self.pages_read, self.pages_read + 1, "waiting to try again")

    def _ask(self, url: str) -> tuple[list[Row], str | None] | None:
        first = self.pages_read == 0
        headers = {
            "Accept": "application/json, text/csv;q=0.9, */*;q=0.1",
            **(self.validators.headers() if first else {}),
        }
        seconds = min(_PAGE_SECONDS, self._until - time.monotonic())
        if seconds <= 0:
            raise TaskError("feed-too-large", f"The feed took more than {MAX_SECONDS:g} seconds.")
        limits = Limits(seconds=seconds, bytes=MAX_BYTES - self.bytes_read)
        try:
            allow_private = self.ctx.settings.allow_private_addresses
            with request("GET", url, headers=headers, limits=limits, allow_private=allow_private) as answer:
                return self._read(answer)
        except FetchError as error:
            if error.reason in ("unreachable", "timeout"):
                raise _Passing(str(error)) from None
            kind = "feed-too-large" if error.reason == "too-large" else "feed-unreachable"
            raise TaskError(kind, str(error)) from None

    def _read(self, answer: Answer) -> tuple[list[Row], str | None] | None:
        if answer.status == 304 and self.pages_read == 0 and self.validators.headers():
            self.not_modified = True
            return None
        if answer.status == 429 or answer.status >= 500:
            raise _Passing(f"The server answered {answer.status}.", _retry_after(answer))
        if answer.status != 200:
            raise TaskError("feed-unreachable", f"The server answered {answer.status}.")
        body = answer.read()
        self.bytes_read += len(body)
        following = _linked(answer)
        if (self.format or _format(answer)) == "csv":
            found = rows.from_csv(body)
        else:
            found, page = rows.from_json(body, self.items)
            if self.next_field:
                following = self._named(rows.at(page, self.next_field))
        # A later page may change while the first does not: only a feed of one page can be asked for conditionally.
        alone = self.pages_read == 0 and not following
        named = (answer.headers.get(name, "")[:500] for name in ("ETag", "Last-Modified"))
        self.validators = Validators(*named) if alone else Validators()
        return found, urljoin(str(answer.url), following) if following else None

    def _named(self, value: object) -> str:
        if value is None or isinstance(value, str):
            return value or ""
        raise TaskError("feed-unreadable", f"{self.next_field} is no URL.")


class _Passing(Exception):
    """Trouble that may have gone in a moment; `wait` is what the server asks for, in seconds."""

    def __init__(self, sentence: str, wait: float = 0.0) -> None:
        super().__init__(sentence)
        self.wait = wait


def _retry_after(answer: Answer) -> float:
    text = answer.headers.get("Retry-After", "")
    return min(float(text), _LONGEST_WAIT) if text.isascii() and text.isdecimal() else 0.0


def _format(answer: Answer) -> Format:
    media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return "csv" if media_type in ("text/csv", "application/csv", "text/tab-separated-values") else "json"


def _linked(answer: Answer) -> str:
    """The `Link` with the relation `next` (RFC 8288)."""
    links = _LINK.findall(", ".join(answer.headers.get_list("Link")))
    return next((target for target, parameters in links if _NEXT.search(parameters)), "")
