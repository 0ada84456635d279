"""A request, its redirects, its answer: all of it bounded."""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from server.sdk.http.connection import Clock, Transport
from server.sdk.http.urls import FetchError, check_url
from server.settings import MIB

#: Bytes that are handed on at a time, and that compressed ones may become before the limit is looked at again.
CHUNK = 2**16

_ACCEPTED = "gzip"
_GZIP = 31  # zlib's `wbits` for it


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one exchange: `seconds` of all of it, lookup and body included; `bytes` of the body as it is read.

    Without `redirects`, an answer that redirects is an answer like any other.
    """

    seconds: float = 60.0
    connect_seconds: float = 5.0
    bytes: int = 50 * MIB
    redirects: int = 5


class Answer:
    """What a server answered. The body is read once, in chunks or whole."""

    def __init__(self, response: httpx.Response, limit: int) -> None:
        self._response = response
        self._limit = limit

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._response.status_code

    @property
    def headers(self) -> httpx.Headers:
        """The header fields, by names of any case."""
        return self._response.headers

    @property
    def url(self) -> httpx.URL:
        """Where the answer came from, after all redirects."""
        return self._response.request.url

    def chunks(self) -> Iterator[bytes]:
        """The body, decompressed.

        Raises:
            FetchError: `too-large`, `timeout`, or `unreachable` where it broke off.
        """
        declared = self.headers.get("Content-Length", "")
        if declared.isdecimal() and int(declared) > self._limit:
            raise self._too_large()
        encoding = self.headers.get("Content-Encoding", "").strip().lower() or "identity"
        if encoding not in ("identity", "gzip", "x-gzip"):
            raise FetchError("unreachable", "The server's answer is compressed in a way that was not asked for.")
        raw = self._bounded(self._response.iter_raw(CHUNK))
        yield from raw if encoding == "identity" else self._bounded(_gunzip(raw))

    def read(self) -> bytes:
        """The whole body; raises what `chunks` does."""
        return b"".join(self.chunks())

    def _bounded(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        size = 0
        for chunk in chunks:
            size += len(chunk)
            if size > self._limit:
                raise self._too_large()
            yield chunk

    def _too_large(self) -> FetchError:
        return FetchError("too-large", f"The server's answer has more than {self._limit} bytes.")


def _gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Decompress `CHUNK` bytes at a time, so that a bomb meets the limit before it fills the memory."""
    stream = zlib.decompressobj(_GZIP)
    try:
        for data in chunks:
            while True:
                out = stream.decompress(data, CHUNK)
                yield out
                data = stream.unused_data or stream.unconsumed_tail  # noqa: PLW2901 - what is left of it
                if stream.unused_data:  # a gzip file may have several members
                    stream = zlib.decompressobj(_GZIP)
                elif not data and len(out) < CHUNK:
                    break
    except zlib.error:
        raise FetchError("unreachable", "The server's answer is not the gzip that it says it is.") from None
    if not stream.eof:
        raise FetchError("unreachable", "The server's answer broke off.")


@contextmanager
def request(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    content: bytes | None = None,
    limits: Limits | None = None,
    allow_private: bool = False,
) -> Iterator[Answer]:
    """Call a URL; the body is read inside the block. `allow_private`: private addresses may be reached.

    Raises:
        FetchError: the URL is refused, nobody answers, or a limit is reached.
    """
    bounds = limits or Limits()
    first = check_url(url, allow_private=allow_private)
    sent = {"User-Agent": "coatcheck", "Accept-Encoding": _ACCEPTED, **(headers or {})}
    transport = Transport(Clock(bounds.seconds), bounds.connect_seconds, allow_private)
    with httpx.Client(transport=transport, trust_env=False) as client:
        response = _send(client, client.build_request(method, first, headers=sent, content=content))
        try:
            for _ in range(bounds.redirects):
                if response.next_request is None:
                    break
                response.close()  # httpx's own way to follow reads the bodies of redirects, without a limit
                check_url(str(response.next_request.url), allow_private=allow_private)
                response = _send(client, response.next_request)
            if bounds.redirects and response.next_request is not None:
                raise FetchError("unreachable", f"The URL redirects more than {bounds.redirects} times.")
            yield Answer(response, bounds.bytes)
        finally:
            response.close()


def _send(client: httpx.Client, made: httpx.Request) -> httpx.Response:
    try:
        return client.send(made, stream=True)
    except (httpx.HTTPError, httpx.InvalidURL):  # a redirect to what is no URL, say
        raise FetchError("unreachable", "The server's answer is not good HTTP.") from None
