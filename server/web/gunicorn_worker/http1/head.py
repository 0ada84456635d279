"""Strict parsing of a request's head: it refuses everything that two servers could read differently (RFC 9112).

llhttp, through httptools, reads the fields. It refuses a bare LF, folded lines, spaces before a colon, control
characters, more than one Content-Length, and Content-Length with Transfer-Encoding. The request line is read here,
because llhttp knows a fixed list of methods and accepts two spaces in a row, HTTP/0.9 and RTSP. The other rules below
are those that llhttp leaves to its caller.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import httptools

#: Maximum bytes of a request line, of one field, and of a whole head; and the maximum number of fields.
MAX_REQUEST_LINE = 8190
MAX_FIELD = 8190
MAX_HEAD = 64 * 1024
MAX_FIELDS = 100

#: Maximum bytes of a head that is cached.
_MAX_CACHED = 1024

_METHOD_AND_TARGET = re.compile(rb"([A-Z][A-Z0-9_-]{0,31}) ([\x21-\x22\x24-\x7e]+) HTTP/1\.([01])")
_OTHER_VERSION = re.compile(rb"[A-Z]+ \S+ HTTP/(?!1\.[01])\d\.\d")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_END = b"\r\n\r\n"

#: Fields that make the request ambiguous when they appear twice.
_SINGLE = ("host", "content-type", "authorization")


class Refused(Exception):
    """A malformed request: it gets this error status, and then the connection is closed."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(slots=True, eq=False)
class Head:
    """A request's head. `length` is None for a chunked body; `derived` caches what its reader derived from it."""

    method: str
    target: str
    version: str
    fields: tuple[tuple[str, str], ...]
    length: int | None
    keep_alive: bool
    expects_continue: bool
    derived: Any = None

    @property
    def has_body(self) -> bool:
        """Return whether a body follows."""
        return self.length != 0


class _Fields:
    """Collects the fields that httptools reports."""

    def __init__(self) -> None:
        self.fields: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))


def find_end(buffer: bytes, searched: int) -> int:
    """Return where the head ends (after its empty line), or -1 if it is incomplete; `searched` bytes do not end it.

    Raises:
        Refused: the head is too long, or can no longer end.
    """
    end = buffer.find(_END, max(0, searched - 3))
    if end >= 0:
        return end + 4
    if _BARE_LF.search(buffer, searched):
        raise Refused(400)
    if len(buffer) > MAX_REQUEST_LINE and b"\r\n" not in buffer[: MAX_REQUEST_LINE + 2]:
        raise Refused(414)
    if len(buffer) > MAX_HEAD:
        raise Refused(431)
    return -1


def parse(text: bytes) -> Head:
    """Parse a whole head, including its empty line. The result is cached, because a polling client repeats its head.

    Raises:
        Refused: with the status that names the error.
    """
    return _parse_again(text) if len(text) <= _MAX_CACHED else _parse(text)


def _parse(text: bytes) -> Head:
    line, _, rest = text.partition(b"\r\n")
    method, target, minor = _request_line(line)
    collected = _Fields()
    try:
        httptools.HttpRequestParser(collected).feed_data(b"POST / HTTP/1.%b\r\n%b" % (minor, rest))
    except httptools.HttpParserUpgrade:
        pass  # an offer that this server declines (RFC 9110, 7.8)
    except httptools.HttpParserError:
        raise Refused(400) from None
    fields = tuple((name.decode("latin-1"), value.rstrip(b" \t").decode("latin-1")) for name, value in collected.fields)
    _check_size(collected.fields, len(text))
    return _head(method.decode(), target.decode(), f"1.{minor.decode()}", fields)


_parse_again = lru_cache(maxsize=512)(_parse)


def _request_line(line: bytes) -> tuple[bytes, bytes, bytes]:
    if len(line) > MAX_REQUEST_LINE:
        raise Refused(414)
    match = _METHOD_AND_TARGET.fullmatch(line)
    if match is None:
        raise Refused(505 if _OTHER_VERSION.fullmatch(line) else 400)
    method, target, minor = match.groups()
    if method == b"CONNECT":
        raise Refused(501)
    if not target.startswith((b"/", b"http://", b"https://")) and not (target == b"*" and method == b"OPTIONS"):
        raise Refused(400)
    return method, target, minor


def _check_size(fields: list[tuple[bytes, bytes]], total: int) -> None:
    if len(fields) > MAX_FIELDS or total > MAX_HEAD:
        raise Refused(431)
    if total > MAX_FIELD and any(len(name) + len(value) + 4 > MAX_FIELD for name, value in fields):
        raise Refused(431)


def _head(method: str, target: str, version: str, fields: tuple[tuple[str, str], ...]) -> Head:
    by_name: dict[str, str] = {}
    for name, value in fields:
        key = name.lower()
        if key in by_name and key in _SINGLE:
            raise Refused(400)
        by_name[key] = f"{by_name[key]},{value}" if key in by_name else value
    if "host" not in by_name and version == "1.1":
        raise Refused(400)
    options = {option.strip().lower() for option in by_name["connection"].split(",")} if "connection" in by_name else ()
    keep_alive = "close" not in options and (version == "1.1" or "keep-alive" in options)
    return Head(method, target, version, fields, _length(by_name, version), keep_alive, _expects(by_name, version))


def _length(by_name: dict[str, str], version: str) -> int | None:
    coding = by_name.get("transfer-encoding")
    if coding is None:
        return int(by_name.get("content-length", 0))  # llhttp accepts only digits
    if version == "1.0":
        raise Refused(400)
    if coding.lower() != "chunked":
        raise Refused(501)
    return None


def _expects(by_name: dict[str, str], version: str) -> bool:
    expected = by_name.get("expect")
    if expected is None:
        return False
    if expected.lower() != "100-continue":
        raise Refused(417)
    return version == "1.1"  # RFC 9110, 10.1.1: ignored in an HTTP/1.0 request
