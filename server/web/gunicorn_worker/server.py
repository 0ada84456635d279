"""The state shared by one worker's connections, and the loop's periodic work: accepting, deadlines, stopping."""

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

from server.logs import event
from server.store import Store
from server.web.gunicorn_worker.connection import Connection
from server.web.gunicorn_worker.deadlines import Deadlines, Stage
from server.web.gunicorn_worker.notifier import Notifier
from server.web.gunicorn_worker.polls import Polls
from server.web.gunicorn_worker.shared_counts import Balance, SharedWaitingSlots
from server.web.gunicorn_worker.slow_clients import MonitoredConnection
from server.web.gunicorn_worker.submits import SubmitGroups
from server.web.gunicorn_worker.wsgi.environ import Environs
from server.web.gunicorn_worker.wsgi.exchange import Application
from server.web.gunicorn_worker.wsgi.threads import Mailbox, Threads

#: Seconds between two rounds.
ROUND = 0.25

#: Seconds for which a stalled upload may occupy a thread while other requests wait for one.
_STALLED_UPLOAD_TIMEOUT = 1.0

#: Seconds for which an idle connection stays open when the server stops: its client may be sending a request.
_IDLE_GRACE = 2.0

#: Seconds for which a new connection is left to a process that has fewer.
_YIELD_SECONDS = 0.002

#: Bytes to read from a socket in one call.
_READ = 256 * 1024

#: The stages whose connections are closed first when there are too many.
_EVICTION_ORDER = (Stage.LINGER, Stage.IDLE, Stage.HEAD)

#: Errors that mean: the system cannot open another connection now.
_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

log = logging.getLogger(__name__)


class Server:
    """The state of a worker's loop. Only `post` may be called from another thread."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        application: Application,
        cfg: Any,
        refusal: Callable[[int], bytes],
        slots: SharedWaitingSlots,
        store: Store,
        tls: Any,
        balance: Balance,
    ) -> None:
        self.loop = loop
        self.application = application
        #: The answer to a malformed request, as bytes.
        self.refusal = refusal
        self.environs = Environs(cfg, slots)
        #: Threads for requests, and separate ones for long transfers, so that a small request never waits for a large
        #: one.
        self.threads = Threads(cfg.threads, "request")
        self.uploads = Threads(cfg.threads, "upload")
        self.downloads = Threads(max(1, cfg.threads // 2), "download")
        self.post = Mailbox(loop).post
        self.notifier = Notifier(loop, store.listening_connection, store.keys)
        #: Answers requests that need no thread; None without the application's polls.
        self.polls: Polls | None = None
        self.submits: SubmitGroups | None = None
        self.deadlines: Deadlines[MonitoredConnection] = Deadlines()
        self.connections: set[MonitoredConnection] = set()
        self.buffer = memoryview(bytearray(_READ))
        self.alive = True
        #: Requests answered so far.
        self.requests = 0
        self.date = formatdate(usegmt=True)
        self._max_connections = cfg.worker_connections
        self._tls = tls
        self._balance = balance
        self._listeners: dict[socket.socket, bool] = {}
        self._greeting: set[asyncio.Task[Any]] = set()
        self._stopped_at = 0.0

    # -- connections

    def listen(self, listener: socket.socket) -> None:
        """Accept connections on this socket."""
        listener.setblocking(False)
        self._listeners[listener] = False
        self._accept_again(listener)

    def _accept_again(self, listener: socket.socket) -> None:
        if self.alive and not self._listeners[listener]:
            self._listeners[listener] = True
            self.loop.add_reader(listener, self._offered, listener)

    def _pause_accepting(self) -> None:
        for listener, accepting in self._listeners.items():
            if accepting:
                self._listeners[listener] = False
                self.loop.remove_reader(listener)

    def _offered(self, listener: socket.socket) -> None:
        """Accept one connection, or let a process that has fewer go first. The next turn accepts more."""
        if not self._balance.is_ahead():
            self._accept(listener)
            return
        self._pause_accepting()
        self.loop.call_later(_YIELD_SECONDS, self._accept_remaining)

    def _accept_remaining(self) -> None:
        for listener in self._listeners:
            self._accept_again(listener)
            self._accept(listener)

    def _accept(self, listener: socket.socket) -> bool:
        """Accept one connection and return whether there was one."""
        if len(self.connections) + len(self._greeting) >= self._max_connections and not self._evict():
            self._pause_accepting()
            return False
        try:
            accepted, _ = listener.accept()
        except OSError as error:
            if error.errno in _OUT_OF_RESOURCES and not self._evict():
                event(log, "connections.no_room", level=logging.WARNING, open=len(self.connections))
                self._pause_accepting()
            return False
        accepted.setblocking(False)
        task = self.loop.create_task(self._greet(accepted))
        self._greeting.add(task)
        task.add_done_callback(self._greeting.discard)
        self._count_connections()
        return True

    async def _greet(self, accepted: socket.socket) -> None:
        timeout = {"ssl_handshake_timeout": Stage.HEAD.seconds} if self._tls else {}
        with contextlib.suppress(OSError):  # the client has disconnected, or its TLS handshake is invalid
            await self.loop.connect_accepted_socket(lambda: Connection(self), accepted, ssl=self._tls, **timeout)

    def _evict(self) -> bool:
        """Close the longest idle connection. Return False if none is idle."""
        for stage in _EVICTION_ORDER:
            if (oldest := self.deadlines.oldest(stage)) is not None:
                oldest.abort_now()
                return True
        return False

    def closed(self, connection: MonitoredConnection) -> None:
        """Remove a connection that has been closed."""
        self.connections.discard(connection)
        self._count_connections()

    def _count_connections(self) -> None:
        if self.alive:
            self._balance.publish(len(self.connections) + len(self._greeting))

    # -- rounds

    def round(self) -> None:
        """Do the periodic work of one round."""
        now = self.loop.time()
        self.date = formatdate(usegmt=True)
        self._count_connections()
        self._balance.refresh()
        for stage in Stage:
            self._give_up(stage, now, stage.seconds)
        if self.uploads.waiting:
            self._give_up(Stage.UPLOAD, now, _STALLED_UPLOAD_TIMEOUT)
        if not self.alive and now - self._stopped_at >= _IDLE_GRACE:
            self._give_up(Stage.IDLE, now, 0.0)
        if len(self.connections) < self._max_connections:
            for listener in self._listeners:
                self._accept_again(listener)

    def _give_up(self, stage: Stage, now: float, seconds: float) -> None:
        for connection in self.deadlines.over(stage, now, seconds):
            connection.overdue(seconds)

    # -- stopping

    def stop(self) -> None:
        """Accept the clients that have connected already, then close the sockets: later ones would be reset at exit."""
        if not self.alive:
            return
        self._pause_accepting()
        for listener in self._listeners:
            while self._accept(listener):
                pass
            listener.close()
        self._listeners.clear()
        self.alive = False
        self._balance.withdraw()
        self._stopped_at = self.loop.time()
        for connection in list(self.connections):
            connection.stop()

    @property
    def finished(self) -> bool:
        """Return whether a stopping server has answered every request."""
        return not self.connections and not self._greeting
