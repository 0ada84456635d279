"""Finds every address in the answers of a server, and follows each."""

import html
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

import httpx

#: Members of JSON objects whose texts are addresses.
_MEMBERS = frozenset({"href", "next", "status", "result", "events", "cancel", "self", "submit", "run", "rows", "type"})
_FIELDS = ("Location", "Operation-Location", "Link")
_ATTRIBUTE = re.compile(r'\s(?:href|src|action|data-(?:live|events|result|submit|retry))="([^"]*)"')
_IN_STYLE = re.compile(r"url\(\s*[\"']?([^\"')]+)")
_IMPORT = re.compile(r"(?:from|import)\s*\(?\s*\"(\./[^\"]+)\"")
#: A text of a script that would be an address without the prefix.
_BARE = re.compile(r"[\"'`]/[a-z]")


def in_headers(answer: httpx.Response) -> Iterator[str]:
    """Return the addresses in header fields: of a `Link`, what is between angle brackets."""
    for name in _FIELDS:
        for value in answer.headers.get_list(name):
            yield from re.findall("<([^>]*)>", value) if name == "Link" else [value]


def in_json(value: Any) -> Iterator[str]:
    """Return the addresses in a JSON value: texts of known members that begin with a slash."""
    if isinstance(value, dict):
        for name, each in value.items():
            if isinstance(each, str) and name in _MEMBERS and each.startswith("/"):
                yield each
            elif isinstance(each, str) and name == "html":  # a part of a live page
                yield from map(html.unescape, _ATTRIBUTE.findall(each))
            elif not name.endswith("schema"):
                yield from in_json(each)
    elif isinstance(value, list):
        for each in value:
            yield from in_json(each)


def in_body(answer: httpx.Response) -> Iterator[str]:
    """Return the addresses in a body, by its type."""
    media_type, text = answer.headers.get("Content-Type", "").partition(";")[0], answer.text
    if media_type.endswith("json"):
        body = json.loads(text)
        yield from (
            [each["url"].rstrip("/") + "/health/live" for each in body["servers"]]
            if "openapi" in body
            else in_json(body)
        )
    elif media_type == "text/html":
        yield from (html.unescape(each) for each in _ATTRIBUTE.findall(text))
    elif media_type == "text/css":
        yield from _IN_STYLE.findall(text)
    elif media_type == "text/javascript":
        assert not _BARE.search(text), f"{answer.url} has an address without the prefix: {_BARE.findall(text)}"
        yield from _IMPORT.findall(text)
    elif media_type == "text/event-stream":
        for line in text.rpartition("\n\n")[0].splitlines():
            yield from in_json(json.loads(line[6:])) if line.startswith("data: ") else ()


class Crawl:
    """A walk from the given addresses over all that their answers name, below `base`."""

    def __init__(self, client: httpx.Client, base: str) -> None:
        self._client = client
        self._base = base
        self._origin = re.match(r"https?://[^/]+", base)[0]  # type: ignore[index]
        self.answers_by_pattern: dict[str, httpx.Response] = {}

    def walk(self, *starts: str, max_pages: int = 400) -> None:
        """Follow up to `max_pages` addresses; each must be of our application and below the base."""
        waiting = [(start, "the test") for start in starts]
        while waiting and len(self.answers_by_pattern) < max_pages:
            address, source = waiting.pop(0)
            if self._pattern(address) in self.answers_by_pattern:
                continue
            answer = self.answers_by_pattern[self._pattern(address)] = self._get(address, source)
            waiting += [(each, address) for each in self.named(answer)]

    def named(self, answer: httpx.Response) -> Iterator[str]:
        """Return the absolute form of the addresses that an answer names."""
        for each in in_headers(answer):
            assert each.startswith(f"{self._base}/"), f"{answer.url}: {each} is not an absolute URL below {self._base}"
            yield each
        for each in in_body(answer):
            if each.startswith(("#", "data:", "blob:", "mailto:")):
                continue
            address = urljoin(str(answer.url), each)
            if address.startswith(self._origin):
                assert f"{address}/".startswith((f"{self._base}/", f"{self._base}?")), f"{answer.url} names {each}"
                yield address.partition("#")[0]

    def _get(self, address: str, source: str) -> httpx.Response:
        with self._client.stream("GET", address, headers={"Accept": "*/*"}) as response:
            if response.headers.get("Content-Type", "").startswith("text/event-stream"):  # it may not end
                first = next(response.iter_bytes(), b"")
                answer = httpx.Response(
                    response.status_code, headers=response.headers, content=first, request=response.request
                )
            else:
                response.read()
                answer = response
        request = f"{address} in {source}: {answer.status_code}"
        # 405 and 409: an address to post to, and the result of a task that failed.
        assert answer.status_code < 400 or answer.status_code in (405, 409), f"{request} {answer.text[:200]}"
        assert "X-Request-ID" in answer.headers, f"{request} is not of our application"
        return answer

    @staticmethod
    def _pattern(address: str) -> str:
        """Return the address without ids, names and query values: pages with the same pattern are visited once."""
        pattern = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", address)
        return re.sub(r"=[^&]*", "", re.sub(r"(/ui/run|/catalog|/problems|/jobs/tasks)/[a-z_-]+", r"\1/NAME", pattern))
