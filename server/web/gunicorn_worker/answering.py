"""The answering half of a connection: it writes at the pace of the client and never blocks a thread."""

import io
import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from server.logs import event
from server.web.gunicorn_worker.http1.head import Head, Refused
from server.web.gunicorn_worker.http1.machine import Machine, State
from server.web.gunicorn_worker.parking import Parking
from server.web.gunicorn_worker.slow_clients import MonitoredConnection
from server.web.gunicorn_worker.submits import PlainSubmit
from server.web.gunicorn_worker.wsgi.environ import address_of
from server.web.gunicorn_worker.wsgi.exchange import Exchange
from server.web.gunicorn_worker.wsgi.upload import Upload
from server.web.long_poll import ParkedRequest
from server.web.reply import Reply

if TYPE_CHECKING:
    from server.web.gunicorn_worker.server import Server

log = logging.getLogger(__name__)


class Answering(MonitoredConnection):
    """Writes answers. The loop calls all methods."""

    __slots__ = ("_eof", "_exchange", "_machine", "_parking", "_resume", "_upload")

    def __init__(self, server: "Server") -> None:
        super().__init__(server)
        self._machine = Machine()
        self._exchange: Exchange | PlainSubmit | None = None
        #: The body of the current request as a stream to its thread, if it is a large one.
        self._upload: Upload | None = None
        self._parking: Parking | None = None
        #: The call to make when the client has read enough.
        self._resume: Callable[[], None] | None = None
        #: Whether the client has sent its last byte.
        self._eof = False

    def _guarded(self, call: Callable[..., object], *args: Any) -> bool:
        """Make a call, then `_update_stage`; an error closes only this connection. Return whether it stays open."""
        try:
            call(*args)
            self._update_stage()
        except Refused as refused:
            self._refuse(refused.status)
        except Exception:
            event(log, "connection.failed", level=logging.ERROR, error=True)
            self._transport.abort()
        return not self._transport.is_closing()

    def pause_writing(self) -> None:
        """Stop writing, because the client reads too slowly."""
        self._paused = True

    def resume_writing(self) -> None:
        """Continue, because the client has read the waiting bytes."""
        self._paused = False
        self._guarded(self._continue)

    def _continue(self) -> None:
        call, self._resume = self._resume, None
        if call is not None:
            call()
        elif self._exchange is None:
            self._read_on()

    def _answer_plain(self, head: Head) -> bool:
        """Answer a request that needs no thread. Return whether it was one."""
        polls = self._server.polls
        reply = None if polls is None else polls.answer(head, self.client)
        if reply is None:
            return False
        self._send_reply(reply)
        self._server.requests += 1
        if self._machine.state is State.CLOSING:
            self._finish(unread=False)
        return True

    @property
    def client(self) -> str:
        """The address that the connection comes from."""
        return address_of(self._transport.get_extra_info("peername"))[0]

    def _send_reply(self, reply: Reply) -> None:
        text = self._answer_head(reply.status_line, list(reply.fields.items()), len(reply.body))
        self._send(text + self._machine.frame(reply.body) + self._machine.end_answer())

    def reply(self, submit: PlainSubmit) -> None:
        """Send the answer of a grouped submit, or let the application answer it."""
        if self._is_current(submit, last=True):
            self._guarded(self._reply, submit)

    def _reply(self, submit: PlainSubmit) -> None:
        if submit.reply is None:
            self._dispatch(io.BytesIO(submit.body))
            return
        self._send_reply(submit.reply)
        self._answered(unread=False)

    def _answer_head(self, status: str, fields: list[tuple[str, str]], whole: int | None) -> bytes:
        if not self._server.alive or (self._eof and not self._machine.buffer):
            self._machine.keep_alive = False
        return self._machine.start_answer(status, fields, self._server.date, whole)

    def answer(self, exchange: Exchange, status: str, fields: list[tuple[str, str]], first: bytes, last: bool) -> None:
        """Send the head of the answer and the first piece of its body."""
        if self._is_current(exchange, last):
            self._guarded(self._answer, exchange, status, fields, first, last)

    def _answer(self, exchange: Exchange, status: str, fields: list[tuple[str, str]], first: bytes, last: bool) -> None:
        text = self._answer_head(status, fields, len(first) if last else None)
        self._write(exchange, text + self._machine.frame(first), last)

    def write(self, exchange: Exchange, piece: bytes, last: bool) -> None:
        """Send another piece of the answer's body."""
        if self._is_current(exchange, last):
            self._guarded(self._write, exchange, self._machine.frame(piece), last)

    def _write(self, exchange: Exchange, data: bytes, last: bool) -> None:
        if last:
            unread = self._machine.state is State.BODY
            self._send(data + self._machine.end_answer())
            self._answered(unread)
        else:
            self._send(data)
            self._when_read(partial(self._server.downloads.submit, exchange.run))

    def abort(self, exchange: Exchange) -> None:
        """Close the connection in the middle of an answer."""
        if self._is_current(exchange, last=True):
            self._exchange = None
            self._transport.abort()

    def _is_current(self, exchange: Exchange | PlainSubmit, last: bool) -> bool:
        """Return whether the client is still waiting for this answer."""
        if exchange is self._exchange and not self._transport.is_closing():
            return True
        if not last:
            self._server.threads.submit(exchange.close)
        return False

    def _when_read(self, call: Callable[[], None]) -> None:
        """Make a call when the client has read enough of the bytes written so far."""
        if self._paused:
            self._resume = call
        else:
            call()

    def _answered(self, unread: bool) -> None:
        self._leave_parking()
        self._exchange = self._upload = None
        self._body_bytes = 0
        self._server.requests += 1
        if self._machine.state is State.CLOSING:
            self._finish(unread)
        else:
            self._read_on()

    def _finish(self, unread: bool) -> None:
        """Send the end of the stream, then wait for the client to close: closing first could discard the answer."""
        self._machine.close()
        with_eof = self._transport.can_write_eof()
        if self._eof or not (unread or with_eof):
            self._transport.close()
            return
        if with_eof:
            try:
                self._transport.write_eof()
            except OSError:  # the client has reset the connection
                self._transport.abort()
                return
        self._transport.resume_reading()

    def park(self, exchange: Exchange, parked: ParkedRequest, piece: bytes) -> None:
        """Let the request wait without a thread; `piece` is the next part of an answer that has begun."""
        if not self._is_current(exchange, last=True) or self._eof:
            parked.release()
            self._transport.close()
            return
        if piece:
            self._send(self._machine.frame(piece))
        if self._parking is None:
            self._parking = Parking(self._server, exchange, parked, self._when_read)
        self._parking.park()
        self._update_stage()

    def _leave_parking(self) -> None:
        parking, self._parking = self._parking, None
        if parking is not None:
            parking.close()

    def stop(self) -> None:
        """Answer the parked request, because the server stops."""
        if self._parking is not None:
            self._parking.wake()

    # -- the half that reads

    def _read_on(self) -> None:
        """Read the next request; some of it may be in the buffer."""
        raise NotImplementedError

    def _refuse(self, status: int) -> None:
        """Answer a malformed request, and close the connection."""
        raise NotImplementedError

    def _dispatch(self, body: Any) -> None:
        """Call the application, with the body as its input."""
        raise NotImplementedError
