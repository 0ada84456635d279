"""Resolve a name, check its addresses, and connect to a checked address, within one time limit."""

import ipaddress
import math
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import certifi
import httpcore
import httpx

from server.sdk.http.urls import NOT_PUBLIC, FetchError, is_allowed

CONNECT_SECONDS = 5.0  # to resolve a name and connect to one of its addresses


class Clock:
    """The time limit that all steps of an exchange share."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self, maximum: float = math.inf) -> float:
        """Return the seconds for the next step; raises httpcore.TimeoutException if none are left."""
        left = min(maximum, self._end - time.monotonic())
        if left <= 0:
            raise httpcore.ReadTimeout
        return left


class Transport(httpx.BaseTransport):
    """An httpx transport with checked connections, for one exchange; its errors are `FetchError`s.

    `httpx.HTTPTransport` accepts no network backend, which is where httpcore allows a check of the address.
    """

    def __init__(self, clock: Clock, allow_private: bool) -> None:
        self._pool = httpcore.ConnectionPool(ssl_context=_tls(), network_backend=_CheckedBackend(clock, allow_private))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the body of the response is read later."""
        url = request.url
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        assert isinstance(request.stream, httpx.SyncByteStream)
        with _as_fetch_errors():
            response = self._pool.handle_request(
                httpcore.Request(request.method, target, headers=request.headers.raw, content=request.stream)
            )
        return httpx.Response(response.status, headers=response.headers, stream=_Body(response))

    def close(self) -> None:
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        with _as_fetch_errors():
            yield from self._response.iter_stream()

    def close(self) -> None:
        self._response.close()


class _CheckedBackend(httpcore.SyncBackend):
    """Connects to checked addresses only. TLS and `Host` still use the name."""

    def __init__(self, clock: Clock, allow_private: bool) -> None:
        self._clock = clock
        self._allow_private = allow_private

    def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> httpcore.NetworkStream:
        connect_clock = Clock(self._clock.left(CONNECT_SECONDS))
        resolved = _resolve(host, port, connect_clock)
        addresses = [each for each in resolved if is_allowed(ipaddress.ip_address(each), self._allow_private)]
        failure: Exception = FetchError("refused", NOT_PUBLIC)
        for tried, address in enumerate(addresses):
            try:
                share = connect_clock.left() / (len(addresses) - tried)  # leaves time for the next address
                return _TimedStream(super().connect_tcp(address, port, timeout=share), self._clock)
            except (httpcore.ConnectError, httpcore.TimeoutException) as error:
                failure = error
        raise failure


def _resolve(host: str, port: int, clock: Clock) -> list[str]:
    """Resolve a name. In a thread, because a resolver has no time limit and may need half a minute."""
    addresses: list[str] = []

    def resolve() -> None:
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return  # unknown and private names get the same message, which reveals no internal names
        addresses.extend(dict.fromkeys(str(entry[4][0]) for entry in entries))

    thread = threading.Thread(target=resolve, daemon=True)
    thread.start()
    thread.join(clock.left())
    if thread.is_alive():
        raise httpcore.ConnectTimeout
    return addresses


class _TimedStream(httpcore.NetworkStream):
    """A connection whose steps share the time limit of the exchange."""

    def __init__(self, stream: httpcore.NetworkStream, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._clock.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._clock.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            stream = self._stream.start_tls(ssl_context, server_hostname, self._clock.left())
        except httpcore.ConnectError as error:
            if isinstance(error.__cause__, ssl.SSLCertVerificationError):
                raise FetchError("unreachable", "The server's certificate is not valid for its name.") from None
            raise
        return _TimedStream(stream, self._clock)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """TLS with the system's certificates; with certifi's on slim images that have none."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


@contextmanager
def _as_fetch_errors() -> Iterator[None]:
    try:
        yield
    except httpcore.TimeoutException:
        raise FetchError("timeout", "The server took too long.") from None
    except httpcore.ConnectError:
        raise FetchError("unreachable", "The server cannot be reached.") from None
    except (httpcore.NetworkError, httpcore.ProtocolError):
        raise FetchError("unreachable", "The server's answer broke off, or is not HTTP.") from None
