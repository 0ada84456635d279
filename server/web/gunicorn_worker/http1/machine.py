"""One connection's side of HTTP/1.1, without a network: bytes in, requests out; answers in, bytes out.

    idle ── first byte ──> head ── no body ──────────────> answering ── answered, body read ──> idle
                             └── a body ──> body ── end ──────┘  └── else, or `close` ──> closing

The answer may begin, and even end, while the body is still being read.
"""

from enum import Enum
from typing import NamedTuple

from server.web.gunicorn_worker.http1 import head
from server.web.gunicorn_worker.http1.chunks import Chunks
from server.web.gunicorn_worker.http1.head import Head

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_WITHOUT_BODY = frozenset({"204", "304"})

#: Fields of the connection (RFC 9110, 7.6.1): the worker writes them, not the application.
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)


class State(Enum):
    """The state of a connection's reading half."""

    IDLE = "idle"
    HEAD = "head"
    BODY = "body"
    ANSWERING = "answering"
    CLOSING = "closing"


class Framing(NamedTuple):
    """How an answer's body ends: by its length, by chunks, or by closing. `empty`: there is no body."""

    length: int | None
    chunked: bool
    empty: bool


class Machine:
    """The state machine of one connection."""

    __slots__ = (
        *("_chunks", "_continued", "_left", "_searched", "_sent"),
        *("answered", "buffer", "framing", "head", "keep_alive", "state"),
    )

    def __init__(self) -> None:
        self.state = State.IDLE
        #: Bytes received and not yet parsed.
        self.buffer = b""
        self.head: Head | None = None
        self.framing: Framing | None = None
        self.keep_alive = True
        #: Whether the answer has ended; the request's body may not have.
        self.answered = False
        self._searched = 0
        self._left = 0
        self._chunks: Chunks | None = None
        self._continued = False
        self._sent = 0

    # -- reading

    def receive(self, data: bytes) -> None:
        """Add bytes from the client."""
        self.buffer = self.buffer + data if self.buffer else data
        if self.state is State.IDLE:
            self.state = State.HEAD

    def read_head(self) -> Head | None:
        """Return the next request once its head is complete.

        Raises:
            Refused: it is malformed; nothing more can be read from the connection.
        """
        if self.state is not State.HEAD:
            return None
        if self._searched == 0 and self.buffer.startswith(b"\r\n"):  # RFC 9112, 2.2: skip one empty line
            self.buffer = self.buffer[2:]
        end = head.find_end(self.buffer, self._searched)
        if end < 0:
            self._searched = len(self.buffer)
            return None
        text, self.buffer, self._searched = self.buffer[:end], self.buffer[end:], 0
        self.head = request = head.parse(text)
        self.keep_alive = request.keep_alive
        self.state = State.BODY if request.has_body else State.ANSWERING
        self._left = request.length or 0
        self._chunks = Chunks() if request.length is None else None
        return request

    def read_body(self) -> bytes:
        """Return the part of the body received so far; `state` tells whether that was the last of it.

        Raises:
            Refused: its chunks are malformed.
        """
        if self.state is not State.BODY:
            return b""
        if self._chunks is None:
            piece, self.buffer = self.buffer[: self._left], self.buffer[self._left :]
            self._left -= len(piece)
            ended = self._left == 0
        else:
            piece, self.buffer = self._chunks.decode(self.buffer)
            ended = self._chunks.ended
        if ended:
            self.state, self._chunks = State.ANSWERING, None
            if self.answered:
                self._next()
        return piece

    def ask_for_body(self) -> bytes:
        """Return the bytes that ask for the body: a client may wait for `100 Continue` before it sends one."""
        if not self._awaits_continue:
            return b""
        self._continued = True
        return b"" if self.buffer else _CONTINUE

    @property
    def _awaits_continue(self) -> bool:
        expects = self.head is not None and self.head.expects_continue
        return expects and self.state is State.BODY and not self._continued

    # -- answering

    def start_answer(self, status: str, fields: list[tuple[str, str]], date: str, whole: int | None = None) -> bytes:
        """Return the head of the answer. `whole` is the length of a complete body.

        Raises:
            ValueError: the application's status or fields would break the head.
        """
        assert self.head is not None
        if self._awaits_continue:
            self.keep_alive = False  # the client may or may not send that body later
        lines, length = [f"HTTP/1.1 {status}", f"Date: {date}"], None
        for name, value in fields:
            key = name.lower()
            if key in _HOP_BY_HOP:
                self.keep_alive = self.keep_alive and not (key == "connection" and "close" in value.lower())
                continue
            if key == "content-length" and length is None:
                length = int(value)
            lines.append(f"{name}: {value}")
        self.framing = self._frame(status[:3], length, whole)
        if length is None and self.framing.length is not None and not self.framing.empty:
            lines.append(f"Content-Length: {self.framing.length}")
        if self.framing.chunked:
            lines.append("Transfer-Encoding: chunked")
        if not self.keep_alive:
            lines.append("Connection: close")
        elif self.head.version == "1.0":
            lines.append("Connection: keep-alive")
        text = "\r\n".join(lines)
        if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1 or "\0" in text:
            raise ValueError("a line break in the head of an answer")
        self._sent = 0
        return text.encode("latin-1") + b"\r\n\r\n"

    def _frame(self, status: str, length: int | None, whole: int | None) -> Framing:
        assert self.head is not None
        if self.head.method == "HEAD" or status in _WITHOUT_BODY:
            return Framing(0, chunked=False, empty=True)
        length = whole if length is None else length
        if length is not None:
            return Framing(length, chunked=False, empty=False)
        if self.head.version == "1.1":
            return Framing(None, chunked=True, empty=False)
        self.keep_alive = False
        return Framing(None, chunked=False, empty=False)

    def frame(self, piece: bytes) -> bytes:
        """Return a piece of the answer's body as it is sent."""
        framing = self.framing
        assert framing is not None
        if framing.empty or not piece:
            return b""
        if framing.chunked:
            return b"%x\r\n%b\r\n" % (len(piece), piece)
        if framing.length is not None:
            piece = piece[: framing.length - self._sent]  # surplus bytes would be read as the next answer
        self._sent += len(piece)
        return piece

    def end_answer(self) -> bytes:
        """Return the end of the answer as it is sent; then `state` tells what comes next."""
        framing = self.framing
        assert framing is not None
        if framing.length is not None and not framing.empty and self._sent < framing.length:
            self.keep_alive = False  # closing early is the only way to report an incomplete body
        self.answered = True
        if not self.keep_alive:
            self.state = State.CLOSING
        elif self.state is State.ANSWERING:
            self._next()
        return b"0\r\n\r\n" if framing.chunked else b""

    def close(self) -> None:
        """Read no more requests from this connection."""
        self.keep_alive = False
        self.state, self.buffer, self._chunks = State.CLOSING, b"", None

    def _next(self) -> None:
        self.state = State.HEAD if self.buffer else State.IDLE
        self.head = self.framing = None
        self.answered = self._continued = False
