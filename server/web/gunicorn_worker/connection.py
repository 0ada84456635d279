"""One client's connection, held by the loop: it reads requests, has them answered, and waits for slow clients."""

import io
import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from server.logs import event
from server.web.gunicorn_worker.deadlines import Stage
from server.web.gunicorn_worker.http1.head import Head, Refused
from server.web.gunicorn_worker.http1.machine import Machine, State
from server.web.gunicorn_worker.pace import Paced
from server.web.gunicorn_worker.parking import Parking
from server.web.gunicorn_worker.wsgi.exchange import Exchange
from server.web.gunicorn_worker.wsgi.upload import Upload
from server.web.long_poll import ParkedRequest
from server.web.responses import OFFER

if TYPE_CHECKING:
    from server.web.gunicorn_worker.server import Server

#: Bytes of a body that the loop reads before a thread begins; a larger one streams.
SMALL = 64 * 1024

#: Bytes of later requests that are read while one is answered.
_READ_AHEAD = 64 * 1024

#: Bytes of an unwanted body that are read all the same. A connection that is closed before is reset, and with it may go
#: the answer that says what was wrong (RFC 9112, 9.6).
_UNWANTED = 2**28

log = logging.getLogger(__name__)


class Connection(Paced):
    """The protocol of one connection. All methods are called by the loop."""

    __slots__ = ("_eof", "_exchange", "_machine", "_parking", "_resume", "_small", "_upload")

    def __init__(self, server: "Server") -> None:
        super().__init__(server)
        self._machine = Machine()
        self._exchange: Exchange | None = None
        self._small: list[bytes] | None = None
        self._upload: Upload | None = None
        self._parking: Parking | None = None
        #: What goes on when the client has read enough.
        self._resume: Callable[[], None] | None = None
        #: Whether the client has sent its last byte.
        self._eof = False

    # -- the transport

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go: one buffer serves all, since they are copied from it in the same turn."""
        return self._server.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have come."""
        self._guarded(self._received, bytes(self._server.buffer[:nbytes]))

    def eof_received(self) -> bool:
        """The client sends no more; what it has asked for is still answered."""
        self._eof = True
        return self._guarded(self._ended) and self._transport.get_extra_info("sslcontext") is None

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        self._paused = True

    def resume_writing(self) -> None:
        """The client has read."""
        self._paused = False
        self._guarded(self._go_on)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._enter(None)
        self._server.closed(self)
        self._machine.close()
        self._leave_parking()
        if self._upload is not None:
            self._upload.fail(ConnectionError("the client has gone"))
        if self._exchange is not None:
            self._server.threads.submit(self._exchange.close)
        self._exchange = self._upload = self._resume = None

    def _guarded(self, call: Callable[..., object], *args: Any) -> bool:
        """Make a call, after which `_settle`; a fault ends this connection alone. Whether it stays open."""
        try:
            call(*args)
            self._settle()
        except Refused as refused:
            self._refuse(refused.status)
        except Exception:
            event(log, "connection.failed", level=logging.ERROR, error=True)
            self._transport.abort()
        return not self._transport.is_closing()

    # -- reading

    def _received(self, data: bytes) -> None:
        if self._stage is Stage.IDLE:
            self._enter(None)
        if self._unwanted:
            self._discard(len(data))
        elif self._upload is not None:
            self._moved += len(data)
        self._machine.receive(data)
        self._advance()

    @property
    def _unwanted(self) -> bool:
        """Whether what comes is read for nothing but to leave the connection in order."""
        return self._machine.answered or (self._machine.state is State.CLOSING and self._exchange is None)

    def _discard(self, count: int) -> None:
        self._moved += count
        if self._moved > _UNWANTED:
            self._transport.close()

    def _advance(self) -> None:
        """Go as far as the bytes that are there allow."""
        machine = self._machine
        while machine.state in (State.HEAD, State.BODY):
            if machine.state is State.BODY:
                self._take_body()
                if machine.state is State.BODY:
                    return
            elif self._paused or (head := machine.read_head()) is None:
                break
            else:
                self._begin(head)
        if machine.state is State.CLOSING:
            machine.buffer = b""
        if len(machine.buffer) > _READ_AHEAD:
            self._transport.pause_reading()

    def _begin(self, head: Head) -> None:
        """A request has begun: read its body, or hand it to a thread."""
        self._enter(None)
        if not head.has_body:
            if not self._answer_plain(head):
                self._dispatch(io.BytesIO())
        elif head.expects_continue or (head.length or 0) > SMALL:
            self._stream()
        else:
            self._small = []

    def _take_body(self) -> None:
        piece = self._machine.read_body()
        ended = self._machine.state is not State.BODY
        if self._small is not None:
            self._small.append(piece)
            if ended:
                body, self._small = b"".join(self._small), None
                self._dispatch(io.BytesIO(body))
            elif sum(map(len, self._small)) > SMALL:
                whole, self._small = b"".join(self._small), None
                self._stream().feed(whole, ended=False)
        elif self._upload is not None and (piece or ended):
            self._upload.feed(piece, ended=ended)
            if self._upload.full:
                self._transport.pause_reading()

    def _stream(self) -> Upload:
        upload = Upload(partial(self._server.post, self._wanted))
        self._mark = self._moved = 0
        self._dispatch(io.BufferedReader(upload, SMALL))
        self._upload = upload
        return upload

    def _wanted(self) -> None:
        """The thread begins to read the body, or has room for more of it."""
        if self._transport.is_closing():
            return
        self._send(self._machine.ask_for_body())
        if not self._eof:
            self._transport.resume_reading()

    def _ended(self) -> None:
        """The client has sent its last byte."""
        state = self._machine.state
        if state is State.BODY and self._small is not None:
            raise Refused(400)
        if state is State.BODY and self._upload is not None:
            self._upload.fail(ConnectionError("the body broke off"))
            self._machine.close()
        elif self._parking is not None or self._exchange is None:
            self._transport.close()

    # -- answering

    def _answer_plain(self, head: Head) -> bool:
        """Answer a request that needs no thread. Whether it was one."""
        polls = self._server.polls
        reply = None if polls is None else polls.answer(head)
        if reply is None:
            return False
        text = self._answer_head(reply.status_line, list(reply.fields.items()), len(reply.body))
        self._send(text + self._machine.frame(reply.body) + self._machine.end_answer())
        self._server.count_request()
        if self._machine.state is State.CLOSING:
            self._finish(unread=False)
        return True

    def _answer_head(self, status: str, fields: list[tuple[str, str]], whole: int | None) -> bytes:
        if self._eof or not self._server.alive:
            self._machine.keep_alive = False
        return self._machine.start_answer(status, fields, self._server.date, whole)

    def _dispatch(self, body: Any) -> None:
        server, transport, head = self._server, self._transport, self._machine.head
        assert head is not None
        peer, own = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        environ = server.environs.make(head, peer, own, body)
        environ.update(server.extra)
        if server.polls is not None:
            environ[OFFER] = server.polls.offer(head)
        self._exchange = Exchange(server.application, environ, self, server.post)
        pool = server.threads if isinstance(body, io.BytesIO) else server.uploads
        pool.submit(self._exchange.start)

    def answer(self, exchange: Exchange, status: str, fields: list[tuple[str, str]], first: bytes, last: bool) -> None:
        """The head of the answer, and what there is of its body."""
        if self._is_current(exchange, last):
            self._guarded(self._answer, exchange, status, fields, first, last)

    def _answer(self, exchange: Exchange, status: str, fields: list[tuple[str, str]], first: bytes, last: bool) -> None:
        text = self._answer_head(status, fields, len(first) if last else None)
        self._write(exchange, text + self._machine.frame(first), last)

    def write(self, exchange: Exchange, piece: bytes, last: bool) -> None:
        """More of the answer's body."""
        if self._is_current(exchange, last):
            self._guarded(self._write, exchange, self._machine.frame(piece), last)

    def _write(self, exchange: Exchange, data: bytes, last: bool) -> None:
        if last:
            unread = self._machine.state is State.BODY
            self._send(data + self._machine.end_answer())
            self._answered(unread)
        else:
            self._send(data)
            self._when_read(partial(self._server.downloads.submit, exchange.more))

    def abort(self, exchange: Exchange) -> None:
        """The answer breaks off."""
        if self._is_current(exchange, last=True):
            self._exchange = None
            self._transport.abort()

    def _is_current(self, exchange: Exchange, last: bool) -> bool:
        """Whether the client is still there for this answer."""
        if exchange is self._exchange and not self._transport.is_closing():
            return True
        if not last:
            self._server.threads.submit(exchange.close)
        return False

    def _when_read(self, call: Callable[[], None]) -> None:
        """Make a call when the client has read enough of what was written."""
        if self._paused:
            self._resume = call
        else:
            call()

    def _go_on(self) -> None:
        call, self._resume = self._resume, None
        if call is not None:
            call()
        elif self._exchange is None:
            self._read_on()

    def _answered(self, unread: bool) -> None:
        self._leave_parking()
        self._exchange = self._upload = None
        self._moved = 0
        self._server.count_request()
        if self._machine.state is State.CLOSING:
            self._finish(unread)
        else:
            self._read_on()

    def _read_on(self) -> None:
        """Read the next request, some of which may have come already."""
        if not self._eof:
            self._transport.resume_reading()
        self._advance()
        if self._eof and self._exchange is None:
            self._transport.close()

    def _refuse(self, status: int) -> None:
        """Answer a request that cannot be read, and close the connection."""
        if self._machine.answered:  # it is in the rest of a body that nobody wanted
            self._transport.close()
            return
        event(log, "request.refused", status=status)
        if self._upload is not None:  # a thread reads it, and will answer
            self._upload.fail(ConnectionError("malformed chunks"))
            self._machine.close()
            return
        self._small = None
        self._machine.close()
        self._send(self._server.refusal(status))
        self._finish(unread=True)
        self._settle()

    def _finish(self, unread: bool) -> None:
        """Say that this was all, then wait for the client to close: to close first could take the answer from it."""
        self._machine.close()
        with_eof = self._transport.can_write_eof()
        if self._eof or not (unread or with_eof):
            self._transport.close()
            return
        if with_eof:
            self._transport.write_eof()
        self._transport.resume_reading()

    def park(self, exchange: Exchange, parked: ParkedRequest, piece: bytes) -> None:
        """The request waits for something; `piece` is more of its answer, where that has begun."""
        if not self._is_current(exchange, last=True) or self._eof:
            parked.leave()
            self._transport.close()
            return
        if piece:
            self._send(self._machine.frame(piece))
        if self._parking is None:
            self._parking = Parking(self._server, exchange, parked, self._when_read)
        self._parking.park()
        self._settle()

    def _leave_parking(self) -> None:
        parking, self._parking = self._parking, None
        if parking is not None:
            parking.close()

    def stop(self) -> None:
        """The server stops."""
        if self._parking is not None:
            self._parking.wake()

    # -- its stages

    def _next_stage(self) -> Stage | None:
        state = self._machine.state
        if self._unwanted or self._transport.is_closing():
            return Stage.LINGER
        if state is State.BODY:
            return Stage.BODY if self._small is not None else Stage.UPLOAD
        if state is State.IDLE:
            return Stage.WRITE if self._transport.get_write_buffer_size() else Stage.IDLE
        return Stage.HEAD if state is State.HEAD else None

    def overdue(self, seconds: float) -> None:
        """It has been in its stage for so many seconds."""
        if self._stage is Stage.UPLOAD and self._upload is not None and not self._upload.starved:
            self._enter(None)  # it is the thread that takes its time
            self._settle()
        else:
            super().overdue(seconds)

    def _give_up(self) -> None:
        if self._stage in (Stage.HEAD, Stage.BODY):
            self._refuse(408)
        elif self._stage is Stage.UPLOAD and self._upload is not None:
            self._upload.fail(TimeoutError("the client has stalled"))
            self._machine.close()
            self._settle()
        else:
            super()._give_up()
