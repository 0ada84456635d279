"""A chunked body, decoded by llhttp, which never sees a byte after the body's end."""

import httptools

from server.web.gunicorn_worker.http1.head import Refused

#: Bytes between two pieces of a body: sizes, extensions and trailers.
_MAX_OVERHEAD = 16 * 1024

_HEAD = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


class Chunks:
    """The decoder of one body. It drops trailers, because nothing here uses a field from them (RFC 9110, 6.5)."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.ended = False
        self._overhead = 0
        self._last = b""
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(_HEAD)

    def on_body(self, piece: bytes) -> None:
        """Collect a piece of the body; called by the parser."""
        self._pieces.append(piece)
        self._overhead = 0

    def on_message_complete(self) -> None:
        """Note the end of the body; called by the parser."""
        self.ended = True

    def decode(self, data: bytes) -> tuple[bytes, bytes]:
        """Return the bytes of the body in `data`, and the bytes after the body's end.

        Raises:
            Refused: the chunks are malformed.
        """
        start = 0
        while start < len(data) and not self.ended:
            stop = self._possible_end(data, start)
            self._feed(data[start:stop])
            start = stop
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces), data[start:]

    def _possible_end(self, data: bytes, start: int) -> int:
        """Return the next position at which the body may end: at an empty line, which may be split between reads."""
        if start == 0 and self._last:
            across = (self._last + data[:3]).find(b"\r\n\r\n")
            if across >= 0:
                return across + 4 - len(self._last)
        empty_line = data.find(b"\r\n\r\n", start)
        return len(data) if empty_line < 0 else empty_line + 4

    def _feed(self, data: bytes) -> None:
        self._overhead += len(data)
        self._last = (self._last + data)[-3:]
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            raise Refused(400) from None
        if self._overhead > _MAX_OVERHEAD:
            raise Refused(400)
