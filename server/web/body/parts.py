"""The parts of a multipart form (RFC 7578), split as the bytes arrive.

Werkzeug's decoder copies each byte three times, and compiles two regular expressions for each form, whose boundary is
its own.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from werkzeug.http import parse_options_header

from server.web.errors import Problem

#: Maximum size of all fields of a form in bytes, and maximum number of its parts.
MAX_FIELD_BYTES = 2**20
MAX_PARTS = 200

#: Maximum bytes of the head of a part, and of the white space after a boundary.
MAX_HEAD = 2**14

_LINE_BREAK = re.compile(r"\r\n|\n|\r")
_BLANK_LINE = re.compile(rb"(\r\n|\n|\r)\1")
_FOLD = re.compile(rb"(?:\r\n|\n|\r)[ \t]+")
#: The bytes that may follow a boundary: the mark of the last one, the end of its line, or the beginning of one of them.
_AFTER = re.compile(rb"(?P<last>--)|[^\S\r\n]*(?P<line>\r\n|\n|\r(?!\n|\Z))|(?P<more>-?\Z|[^\S\r\n]*\r?\Z)")


class State(Enum):
    """The part of the form that comes next in the buffer."""

    HEAD = "head"
    DATA = "data"
    END = "end"


@dataclass(frozen=True, slots=True)
class Part:
    """The head of one part; only a file has a filename."""

    name: str
    filename: str | None
    media_type: str


class Parts:
    """A form that is read part by part. `read` returns its next bytes, none at the end.

    Methods raise the problem `malformed-body`, or `too-large` if there are more than `MAX_PARTS` parts.
    """

    def __init__(self, boundary: bytes, read: Callable[[], bytes]) -> None:
        self._mark = b"--" + boundary
        self._read = read
        self._buffer = b"\r\n"  # received and not passed on; the first boundary may have no line break before it
        self._skip = 0  # bytes at its beginning that are not data, because they end the head
        self._searched = 0  # bytes of it that contain no boundary
        self._state = State.DATA
        self._number = 0

    def next_part(self) -> Part | None:
        """Read the head of the next part; skip the rest of the current one. None at the end of the form."""
        for _ in self.data():
            pass
        if self._state is State.END:
            return None
        while (blank := _BLANK_LINE.search(self._buffer, 0, MAX_HEAD)) is None:
            if len(self._buffer) >= MAX_HEAD:
                raise _malformed()
            self._read_more()
        head, self._buffer = self._buffer[: blank.start()], self._buffer[blank.end(1) :]
        self._skip, self._state = len(blank[1]), State.DATA
        self._number += 1
        if self._number > MAX_PARTS:
            raise too_large()
        return _part(head)

    def data(self) -> Iterator[memoryview]:
        """Read the bytes of the current part, in the pieces in which they arrive."""
        while self._state is State.DATA:
            at = self._buffer.find(self._mark, self._searched)
            if at < 0:
                yield self._consume(self._possible_end())
                self._read_more()
                continue
            begin, after = self._line_break_before(at), _AFTER.match(self._buffer, at + len(self._mark))
            if begin is None or after is None:  # the text of a boundary, but no boundary
                self._searched = at + 1
            elif after["more"] is not None:
                yield self._consume(begin)
                if len(self._buffer) >= MAX_HEAD:
                    raise _malformed()
                self._read_more()
            else:
                end = after.end() - begin
                yield self._consume(begin)
                self._buffer = self._buffer[end:]
                self._state = State.END if after["last"] else State.HEAD

    def _consume(self, end: int) -> memoryview:
        """Remove the bytes up to `end` from the buffer, and return the data among them."""
        data, self._buffer = memoryview(self._buffer)[self._skip : end], self._buffer[end:]
        self._skip, self._searched = max(0, self._skip - end), 0
        return data

    def _read_more(self) -> None:
        piece = self._read()
        if not piece:
            raise _malformed()
        self._buffer = self._buffer + piece if self._buffer else piece

    def _possible_end(self) -> int:
        """Return where a boundary may begin of which only a part has arrived, or the end of the buffer."""
        buffer, first = self._buffer, max(0, len(self._buffer) - len(self._mark) - 1)
        last = max(buffer.rfind(b"\n", first), buffer.rfind(b"\r", first))
        if last < 0 or not self._mark.startswith(buffer[last + 1 :]):
            return len(buffer)
        return last - 1 if buffer[max(0, last - 1) : last + 1] == b"\r\n" else last

    def _line_break_before(self, at: int) -> int | None:
        if at >= 2 and self._buffer[at - 2 : at] == b"\r\n":
            return at - 2
        return at - 1 if at >= 1 and self._buffer[at - 1] in b"\r\n" else None


def _part(head: bytes) -> Part:
    try:
        text = _FOLD.sub(b" ", head).decode()
    except UnicodeDecodeError:
        raise _malformed() from None
    fields: dict[str, str] = {}
    for line in _LINE_BREAK.split(text):
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(" \t").lower(), value.strip(" \t"))
    if "content-disposition" not in fields:
        raise _malformed()
    options = parse_options_header(fields["content-disposition"])[1]
    return Part(options.get("name", ""), options.get("filename"), fields.get("content-type", ""))


def _malformed() -> Problem:
    return Problem("malformed-body", "The form is malformed, or ends too early.")


def too_large() -> Problem:
    """The problem of a form with too many parts, or too large fields."""
    return Problem("too-large", f"A form has {MAX_PARTS} parts and {MAX_FIELD_BYTES} bytes of fields at most.")
