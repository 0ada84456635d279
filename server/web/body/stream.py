"""Read the bytes of a request's body as they arrive."""

from collections.abc import Iterator

from flask import g, request

from server.web.current import store
from server.web.errors import Problem

PIECE = 2**18  # bytes per read


def read_some(max_bytes: int = PIECE) -> bytes:
    """Read the next bytes, up to `max_bytes`; empty at the end.

    It reads from the WSGI server, because `request.stream` copies the bytes three times. Our Gunicorn worker hands on
    the pieces as it received them; another server copies them once more.

    Raises:
        Problem: `malformed-body` if the body breaks off, `too-large` if it is too long.
    """
    limit, announced = store().settings.max_upload_bytes, request.content_length or 0
    received = g.get("received", 0)
    if max(announced, received) > limit:
        raise _too_large(limit)
    if not request.environ.get("wsgi.input_terminated"):  # PEP 3333: reading past Content-Length may wait forever
        max_bytes = min(max_bytes, announced - received)
    source = request.environ["wsgi.input"]
    try:
        data: bytes = getattr(source, "read_piece", source.read)(max_bytes) if max_bytes > 0 else b""
    except Exception:  # WSGI servers have their own errors for a bad chunk and a lost client
        raise _broken_off() from None
    g.received = received + len(data)
    if g.received > limit:
        raise _too_large(limit)
    if g.received < announced and not data:
        raise _broken_off()
    return data


def _too_large(limit: int) -> Problem:
    return Problem("too-large", f"A request has {limit} bytes at most.", limit=limit)


def _broken_off() -> Problem:
    return Problem("malformed-body", "The body broke off, or its chunks are malformed.")


def read_all(max_bytes: int, advice: str) -> bytes:
    """Read the whole body. Raises the problem `too-large` above `max_bytes` bytes, or an error of `read_some`."""
    text, announced = b"", request.content_length
    if (announced or 0) <= max_bytes:
        while len(text) <= max_bytes and len(text) != announced and (chunk := read_some(max_bytes + 1 - len(text))):
            text += chunk
        if len(text) <= max_bytes:
            return text
    raise Problem("too-large", f"It has {max_bytes} bytes at most{advice}.", limit=max_bytes)


def chunks() -> Iterator[bytes]:
    while chunk := read_some():
        yield chunk
