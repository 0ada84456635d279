"""A connection's pace: what it waits for from its client, since when, and how much the client has done meanwhile."""

import asyncio
import fcntl
import sys
import termios
from typing import TYPE_CHECKING, cast

from server.web.gunicorn_worker.deadlines import Stage

if TYPE_CHECKING:
    from server.web.gunicorn_worker.server import Server

#: Bytes of an answer that may wait for the client before the next piece is made.
_WRITE_AHEAD = 256 * 1024

#: Bytes a second below which a client that sends a body or reads an answer counts as stalled.
_PROGRESS = 1024

#: Stages that are begun anew where the client has made progress.
_PROGRESSING = (Stage.UPLOAD, Stage.WRITE, Stage.LINGER)


class Paced(asyncio.BufferedProtocol):
    """The part of a connection that measures its client."""

    __slots__ = ("_mark", "_moved", "_paused", "_server", "_stage", "_transport", "_written")

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._stage: Stage | None = None
        #: Whether the client reads too slowly for more to be written.
        self._paused = False
        #: Bytes of a body that have come, bytes that were written, and how far the client was when the stage began.
        self._moved = self._written = self._mark = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(_WRITE_AHEAD)
        self._server.connections.add(self)
        self._enter(Stage.IDLE)

    def stop(self) -> None:
        """The server stops."""

    def abort_now(self) -> None:
        """Close without a word."""
        self._enter(None)
        self._transport.abort()

    def _send(self, data: bytes) -> None:
        self._written += len(data)
        self._transport.write(data)

    def _enter(self, stage: Stage | None) -> None:
        self._server.deadlines.enter(self, self._stage, stage, self._server.loop.time())
        self._stage = stage

    def _settle(self) -> None:
        """Enter the stage that fits."""
        stage = Stage.WRITE if self._paused else self._next_stage()
        if stage is not self._stage:
            self._enter(stage)
            self._mark = self._progress()

    def _next_stage(self) -> Stage | None:
        """What is waited for, where it is not that the client reads."""
        raise NotImplementedError

    def overdue(self, seconds: float) -> None:
        """It has been in its stage for so many seconds: give the client up, or wait on where it has made progress."""
        if self._stage in _PROGRESSING and self._progress() - self._mark >= seconds * _PROGRESS:
            self._enter(None)
            self._settle()
        else:
            self._give_up()

    def _give_up(self) -> None:
        self.abort_now()

    def _progress(self) -> int:
        """How many bytes the client has sent and read by now; what its system has not taken yet was not read."""
        unsent = self._transport.get_write_buffer_size()
        if self._stage is Stage.WRITE or unsent:
            socket = self._transport.get_extra_info("socket")
            kept = fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, b"\0" * 4)
            unsent += int.from_bytes(kept, sys.byteorder)
        return self._moved + self._written - unsent
