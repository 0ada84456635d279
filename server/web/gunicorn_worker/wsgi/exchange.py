"""Passes one request through the application: in a thread of the pool, a step at a time.

A step ends when a piece of the answer is ready; the next step starts when the client has read enough. A slow reader
therefore occupies no thread.
"""

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from server.logs import event
from server.web.gunicorn_worker.wsgi.environ import Environ
from server.web.long_poll import PARKED, Parked, ParkedRequest

if TYPE_CHECKING:
    from server.web.gunicorn_worker.connection import Connection

Application = Callable[..., Iterable[bytes]]

log = logging.getLogger(__name__)


class Exchange:
    """A request and its answer. `post` makes the loop call the connection."""

    def __init__(
        self, application: Application, environ: Environ, connection: "Connection", post: Callable[..., None]
    ) -> None:
        self.environ = environ
        self._application = application
        self._connection = connection
        self._post = post
        self._status = ""
        self._fields: list[tuple[str, str]] = []
        self._begun = False
        self._written: list[bytes] = []
        self._result: Iterable[bytes] = ()
        self._body: Iterator[bytes] | None = None
        self._announced: int | None = None
        self._sent_bytes = 0

    # -- in a thread

    def run(self) -> None:
        """Send the next piece of the answer; the first time, call the application."""
        try:
            if self._body is None:
                self._result = self._application(self.environ, self._start_response)
                self._body = iter(self._result)
                self._announced = self._content_length()
            self._step()
        except Parked as parked:
            self._park(parked.request)
        except Exception:
            self._failed()

    def resume(self, parked: ParkedRequest) -> None:
        """Continue after a wait: with the same request, or with the body of an answer that has begun."""
        if parked.body is None:
            if parked.still_waits():  # a pass through the application costs five times as much
                self._park(parked)
                return
            self.environ[PARKED] = parked
            self.run()
            return
        try:
            piece = parked.body.more()
        except Exception:
            self._failed()
            return
        if parked.body.ended or parked.over:
            self._send(piece, last=True)
        else:
            self._park(parked, piece)

    def close(self) -> None:
        """Close the answer that no client reads any more."""
        with contextlib.suppress(Exception):
            self._close()

    def _step(self) -> None:
        piece = b"".join(self._written)
        self._written.clear()
        last = False
        while not piece and not last:
            piece, last = self._next()
        self._sent_bytes += len(piece)
        last = last or self._sent_bytes == self._announced
        if last:
            self._close()
        self._send(piece, last)

    def _next(self) -> tuple[bytes, bool]:
        assert self._body is not None
        try:
            return next(self._body), False
        except StopIteration:
            return b"", True

    def _send(self, piece: bytes, last: bool) -> None:
        if self._begun:
            self._post(self._connection.write, self, piece, last)
            return
        self._begun = True
        self._post(self._connection.answer, self, self._status, self._fields, piece, last)

    def _content_length(self) -> int | None:
        if self.environ["REQUEST_METHOD"] == "HEAD" or self._status[:3] in ("204", "304"):
            return 0
        lengths = (value for name, value in self._fields if name.lower() == "content-length")
        return next((int(value) for value in lengths), None)

    def _park(self, parked: ParkedRequest, piece: bytes = b"") -> None:
        self._post(self._connection.park, self, parked, piece)

    def _failed(self) -> None:
        event(log, "request.failed", level=logging.ERROR, error=True, path=self.environ.get("PATH_INFO"))
        self.close()
        if self._begun:  # closing early is the only way to report the error now
            self._post(self._connection.abort, self)
            return
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        self._begun = True
        fields = [("Connection", "close")]
        self._post(self._connection.answer, self, f"{status.value} {status.phrase}", fields, b"", True)

    def _close(self) -> None:
        result, self._result, self._body = self._result, (), iter(())
        if (close := getattr(result, "close", None)) is not None:
            close()

    def _start_response(
        self, status: str, fields: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        if exc_info and self._begun:
            raise exc_info[1].with_traceback(exc_info[2])
        if self._status and not exc_info:
            raise RuntimeError("start_response was called twice")
        self._status, self._fields = status, list(fields)
        return self._written.append
