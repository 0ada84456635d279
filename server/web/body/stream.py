"""The bytes of a request's body, as they arrive."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from flask import g, request

from server.web.current import store
from server.web.errors import Problem

#: Bytes that are read at once; `gunicorn.conf.py` sees to it that Gunicorn asks the socket for no more.
PIECE = 2**18

#: Seconds without a byte after which a client that sends a body is given up: it holds a thread.
STALLED = 30.0

#: Seconds, and bytes, for which a refused body is read all the same. A connection that is closed before is reset, and
#: with it may go the answer that says what was wrong (RFC 9112, 9.6).
_DRAIN_SECONDS = 2.0
_DRAIN_BYTES = 2**28


def read_some(most: int = PIECE) -> bytes:
    """The next bytes, `most` at most; empty at the end.

    From the WSGI server itself, whose pieces `request.stream` would copy three times.

    Raises:
        Problem: `malformed-body` where the body breaks off, `too-large` where it goes on for too long.
    """
    limit, announced = store().settings.max_upload_bytes, request.content_length or 0
    received = g.get("received", 0)
    if max(announced, received) > limit:
        raise _too_large(limit)
    try:
        with _patience(STALLED):
            data: bytes = request.environ["wsgi.input"].read(most)
    except Exception:  # the WSGI server has names of its own for a bad chunk and a client that went away
        raise _broken_off() from None
    g.received = received + len(data)
    if g.received > limit:
        raise _too_large(limit)
    if g.received < announced and len(data) < most:
        raise _broken_off()
    return data


def _too_large(limit: int) -> Problem:
    return Problem("too-large", f"A request has {limit} bytes at most.", limit=limit)


def _broken_off() -> Problem:
    return Problem("malformed-body", "The body broke off, or its chunks are not well made.")


def read_all(most: int, advice: str) -> bytes:
    """The whole body.

    Raises:
        Problem: `too-large` where it has more than `most` bytes, or one of `read_some`.
    """
    text, announced = b"", request.content_length
    if (announced or 0) <= most:
        while len(text) <= most and len(text) != announced and (chunk := read_some(most + 1 - len(text))):
            text += chunk
        if len(text) <= most:
            return text
    raise Problem("too-large", f"It has {most} bytes at most{advice}.", limit=most)


def chunks() -> Iterator[bytes]:
    """The body, piece by piece."""
    while chunk := read_some():
        yield chunk


def drain() -> None:
    """Read the rest of a body that nobody wants."""
    source, left = request.environ["wsgi.input"], _DRAIN_BYTES
    until = time.monotonic() + _DRAIN_SECONDS
    with suppress(Exception), _patience(_DRAIN_SECONDS):
        while left > 0 and time.monotonic() < until and (chunk := source.read(PIECE)):
            left -= len(chunk)


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """Let no single read from the client take longer, where the WSGI server shows its socket."""
    connection = request.environ.get("gunicorn.socket")
    if connection is None:
        yield
        return
    connection.settimeout(seconds)
    try:
        yield
    finally:
        connection.settimeout(None)
