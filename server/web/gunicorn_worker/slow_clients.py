"""Detects slow clients: the current stage of a connection, and the client's progress since the stage began."""

import asyncio
import fcntl
import sys
import termios
from typing import TYPE_CHECKING, cast

from server.web.gunicorn_worker.deadlines import Stage

if TYPE_CHECKING:
    from server.web.gunicorn_worker.server import Server

#: Bytes of an answer that may wait for the client before the next piece is requested.
_WRITE_AHEAD = 256 * 1024

#: Bytes a second below which a client that sends a body or reads an answer counts as stalled.
_MIN_BYTES_PER_SECOND = 1024

#: Stages that restart when the client has made progress.
_STAGES_WITH_PROGRESS = (Stage.UPLOAD, Stage.WRITE, Stage.LINGER)


class MonitoredConnection(asyncio.BufferedProtocol):
    """The part of a connection that measures its client."""

    __slots__ = ("_body_bytes", "_paused", "_progress_at_start", "_server", "_stage", "_transport", "_written")

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._stage: Stage | None = None
        #: Whether the client reads too slowly for more to be written.
        self._paused = False
        #: Bytes received of a body, bytes written, and the client's progress at the start of the stage.
        self._body_bytes = self._written = self._progress_at_start = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register the new connection with the server."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(_WRITE_AHEAD)
        self._server.connections.add(self)
        self._enter(Stage.IDLE)

    def stop(self) -> None:
        """React to the stop of the server."""

    def abort_now(self) -> None:
        """Close the connection immediately, without an answer."""
        self._enter(None)
        self._transport.abort()

    def _send(self, data: bytes) -> None:
        self._written += len(data)
        self._transport.write(data)

    def _enter(self, stage: Stage | None) -> None:
        if stage is None is self._stage:
            return
        self._server.deadlines.enter(self, self._stage, stage, self._server.loop.time())
        self._stage = stage

    def _update_stage(self) -> None:
        """Enter the stage that matches the connection's state."""
        stage = Stage.WRITE if self._paused else self._next_stage()
        if stage is not self._stage:
            self._enter(stage)
            self._progress_at_start = self._progress()

    def _next_stage(self) -> Stage | None:
        """Return the stage to enter when the client is not slow at reading."""
        raise NotImplementedError

    def overdue(self, seconds: float) -> None:
        """Close the connection after `seconds` in its stage, unless the client has made progress."""
        enough = self._progress_at_start + seconds * _MIN_BYTES_PER_SECOND
        if self._stage in _STAGES_WITH_PROGRESS and self._progress() >= enough:
            self._enter(None)
            self._update_stage()
        else:
            self._give_up()

    def _give_up(self) -> None:
        self.abort_now()

    def _progress(self) -> int:
        """Return the number of bytes sent and read by the client, without those still in our system's buffer."""
        unsent = self._transport.get_write_buffer_size()
        if self._stage is Stage.WRITE or unsent:
            socket = self._transport.get_extra_info("socket")
            in_kernel = fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, b"\0" * 4)
            unsent += int.from_bytes(in_kernel, sys.byteorder)
        return self._body_bytes + self._written - unsent
