"""One client's connection in the loop: it reads requests and passes them on to be answered."""

import io
import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from server.logs import event
from server.web.gunicorn_worker.answering import Answering
from server.web.gunicorn_worker.deadlines import Stage
from server.web.gunicorn_worker.http1.head import Head, Refused
from server.web.gunicorn_worker.http1.machine import State
from server.web.gunicorn_worker.wsgi.exchange import Exchange
from server.web.gunicorn_worker.wsgi.upload import Upload, UploadReader
from server.web.responses import OFFER

if TYPE_CHECKING:
    from server.web.gunicorn_worker.server import Server

#: Bytes of a body that the loop reads before a thread starts; a larger body is streamed to the thread.
SMALL = 64 * 1024

#: Bytes of later requests that are read while one is answered.
_READ_AHEAD = 64 * 1024

#: Bytes of an unwanted body that are still read. Closing the connection earlier would reset it, and the reset could
#: discard the answer that names the error (RFC 9112, 9.6).
_MAX_UNWANTED = 2**28

log = logging.getLogger(__name__)


class Connection(Answering):
    """The protocol of one connection. The loop calls all methods."""

    __slots__ = ("_small",)

    def __init__(self, server: "Server") -> None:
        super().__init__(server)
        #: The pieces read so far of a body that may be small.
        self._small: list[bytes] | None = None

    # -- the transport

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the buffer for the next bytes. All connections share it, because its bytes are copied immediately."""
        return self._server.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Read the bytes that have arrived."""
        self._guarded(self._received, bytes(self._server.buffer[:nbytes]))

    def eof_received(self) -> bool:
        """Note that the client sends no more; its earlier requests are still answered."""
        self._eof = True
        return self._guarded(self._ended) and self._transport.get_extra_info("sslcontext") is None

    def connection_lost(self, exc: Exception | None) -> None:
        """Release everything that this connection uses."""
        self._enter(None)
        self._server.closed(self)
        self._machine.close()
        self._leave_parking()
        if self._upload is not None:
            self._upload.fail(ConnectionError("the client has gone"))
        if self._exchange is not None:
            self._server.threads.submit(self._exchange.close)
        self._exchange = self._upload = self._resume = None

    # -- reading

    def _received(self, data: bytes) -> None:
        if self._stage is Stage.IDLE:
            self._enter(None)
        if self._unwanted:
            self._discard(len(data))
        elif self._upload is not None:
            self._body_bytes += len(data)
        self._machine.receive(data)
        self._advance()

    @property
    def _unwanted(self) -> bool:
        """Return whether the bytes are only read so that the connection can close without a reset."""
        return self._machine.answered or (self._machine.state is State.CLOSING and self._exchange is None)

    def _discard(self, count: int) -> None:
        self._body_bytes += count
        if self._body_bytes > _MAX_UNWANTED:
            self._transport.close()

    def _advance(self) -> None:
        """Process the bytes in the buffer as far as possible."""
        machine = self._machine
        while machine.state in (State.HEAD, State.BODY):
            if machine.state is State.BODY:
                self._read_body()
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
        """Read the new request's body, or hand the request to a thread."""
        self._enter(None)
        if not head.has_body:
            if not self._answer_plain(head):
                self._dispatch(io.BytesIO())
        elif head.expects_continue or (head.length or 0) > SMALL:
            self._stream()
        else:
            self._small = []

    def _read_body(self) -> None:
        piece = self._machine.read_body()
        ended = self._machine.state is not State.BODY
        if self._small is not None:
            self._small.append(piece)
            if ended:
                body, self._small = b"".join(self._small), None
                if not self._join_group(body):
                    self._dispatch(io.BytesIO(body))
            elif sum(map(len, self._small)) > SMALL:
                whole, self._small = b"".join(self._small), None
                self._stream().feed(whole, ended=False)
        elif self._upload is not None and (piece or ended):
            self._upload.feed(piece, ended=ended)
            if self._upload.full:
                self._transport.pause_reading()

    def _join_group(self, body: bytes) -> bool:
        """Add a plain submit to the next group. Return False if it is not plain."""
        head, submits = self._machine.head, self._server.submits
        if submits is None or head is None:
            return False
        self._exchange = submits.add(self, head, body)
        return self._exchange is not None

    def _stream(self) -> Upload:
        upload = Upload(partial(self._server.post, self._read_more_of_body))
        self._progress_at_start = self._body_bytes = 0
        self._dispatch(UploadReader(upload, SMALL))
        self._upload = upload
        return upload

    def _read_more_of_body(self) -> None:
        """Read more of the body, because the thread has used most of what it had."""
        if self._transport.is_closing():
            return
        self._send(self._machine.ask_for_body())
        if not self._eof:
            self._transport.resume_reading()

    def _ended(self) -> None:
        """Note that the client has sent its last byte."""
        state = self._machine.state
        if state is State.BODY and self._small is not None:
            raise Refused(400)
        if state is State.BODY and self._upload is not None:
            self._upload.fail(ConnectionError("the body broke off"))
            self._machine.close()
        elif self._parking is not None or self._exchange is None:
            self._transport.close()

    # -- answering

    def _dispatch(self, body: Any) -> None:
        server, transport, head = self._server, self._transport, self._machine.head
        assert head is not None
        peer, local = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        environ = server.environs.make(head, peer, local, body)
        if server.polls is not None:
            environ[OFFER] = server.polls.offer(head)
        self._exchange = exchange = Exchange(server.application, environ, self, server.post)
        pool = server.threads if isinstance(body, io.BytesIO) else server.uploads
        pool.submit(exchange.run)

    def _read_on(self) -> None:
        """Read the next request; some of it may be in the buffer."""
        if not self._eof:
            self._transport.resume_reading()
        self._advance()
        if self._eof:
            self._ended()

    def _refuse(self, status: int) -> None:
        """Answer a malformed request, and close the connection."""
        if self._machine.answered:  # the error is in the rest of an unwanted body
            self._transport.close()
            return
        event(log, "request.refused", status=status)
        if self._upload is not None:  # the thread that reads the body answers
            self._upload.fail(ConnectionError("malformed chunks"))
            self._machine.close()
            return
        self._small = None
        self._machine.close()
        self._send(self._server.refusal(status))
        self._finish(unread=True)
        self._update_stage()

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
        """Close the connection after `seconds` in its stage, unless a thread is the cause of the delay."""
        if self._stage is Stage.UPLOAD and self._upload is not None and not self._upload.starved:
            self._enter(None)  # the thread is slow, not the client
            self._update_stage()
        else:
            super().overdue(seconds)

    def _give_up(self) -> None:
        if self._stage in (Stage.HEAD, Stage.BODY):
            self._refuse(408)
        elif self._stage is Stage.UPLOAD and self._upload is not None:
            self._upload.fail(TimeoutError("the client has stalled"))
            self._machine.close()
            self._update_stage()
        else:
            super()._give_up()
