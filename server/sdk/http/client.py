"""A request with its redirects and its response, with limits for time and size.

httpx is imported by the first request: that costs 50 ms and 4 MB, and most processes send none.
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.sdk.http.urls import FetchError, check_url
from server.settings import MIB

if TYPE_CHECKING:
    import httpx

CHUNK = 2**16  # bytes per chunk, and the size to which compressed bytes may grow before the limit is checked again
_GZIP = 31  # zlib's `wbits` for it


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Limits of one exchange: `seconds` in total, including DNS and body; `bytes` of the decompressed body.

    With `redirects=0`, a redirect is returned as an ordinary response.
    """

    seconds: float = 60.0
    bytes: int = 50 * MIB
    redirects: int = 5


class Response:
    """A server's response. The body can be read once, in chunks or as a whole."""

    def __init__(self, response: "httpx.Response", limit: int) -> None:
        self._response = response
        self._limit = limit

    @property
    def status(self) -> int:
        return self._response.status_code

    @property
    def headers(self) -> "httpx.Headers":
        return self._response.headers

    @property
    def url(self) -> "httpx.URL":
        """The URL of the response, after all redirects."""
        return self._response.request.url

    def chunks(self) -> Iterator[bytes]:
        """Read the body, decompressed; raises FetchError if it is too large, late or broken off."""
        declared = self.headers.get("Content-Length", "")
        if declared.isdecimal() and int(declared) > self._limit:
            raise self._too_large()
        encoding = self.headers.get("Content-Encoding", "").strip().lower() or "identity"
        if encoding not in ("identity", "gzip", "x-gzip"):
            raise FetchError("unreachable", "The server used a compression that was not requested.")
        raw = self._bounded(self._response.iter_raw(CHUNK))
        yield from raw if encoding == "identity" else self._bounded(_gunzip(raw))

    def read(self) -> bytes:
        """Read the whole body; raises the same errors as `chunks`."""
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
    """Decompress `CHUNK` bytes at a time, so that a zip bomb reaches the limit before it fills memory."""
    stream = zlib.decompressobj(_GZIP)
    try:
        for data in chunks:
            while True:
                out = stream.decompress(data, CHUNK)
                yield out
                data = stream.unused_data or stream.unconsumed_tail  # noqa: PLW2901 - the remaining compressed bytes
                if stream.unused_data:  # a gzip file may have several members
                    stream = zlib.decompressobj(_GZIP)
                elif not data and len(out) < CHUNK:
                    break
    except zlib.error:
        raise FetchError("unreachable", "The server's answer is not valid gzip.") from None
    if not stream.eof:
        raise FetchError("unreachable", "The server's answer broke off.")


@contextmanager
def request(
    method: str,
    url: str,
    *,
    limits: RequestLimits,
    allow_private: bool,
    headers: Mapping[str, str] | None = None,
    content: bytes | None = None,
) -> Iterator[Response]:
    """Send a request, or raise FetchError; read the body in the block. `allow_private` permits private addresses."""
    import httpx  # noqa: PLC0415

    from server.sdk.http.connection import Clock, Transport  # noqa: PLC0415

    first = check_url(url, allow_private=allow_private)
    sent = {"User-Agent": "coatcheck", "Accept-Encoding": "gzip", **(headers or {})}
    transport = Transport(Clock(limits.seconds), allow_private)
    with httpx.Client(transport=transport, trust_env=False) as client:
        response = _send(client, client.build_request(method, first, headers=sent, content=content))
        try:
            for _ in range(limits.redirects):
                if response.next_request is None:
                    break
                response.close()  # httpx reads the bodies of redirects without a limit when it follows them itself
                check_url(str(response.next_request.url), allow_private=allow_private)
                response = _send(client, response.next_request)
            if limits.redirects and response.next_request is not None:
                raise FetchError("unreachable", f"The URL redirects more than {limits.redirects} times.")
            yield Response(response, limits.bytes)
        finally:
            response.close()


def _send(client: "httpx.Client", outgoing: "httpx.Request") -> "httpx.Response":
    import httpx  # noqa: PLC0415

    try:
        return client.send(outgoing, stream=True)
    except (httpx.HTTPError, httpx.InvalidURL):  # for example a redirect to an invalid URL
        raise FetchError("unreachable", "The server's answer is not valid HTTP.") from None
