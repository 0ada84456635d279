"""Gunicorn's threaded worker, which can park a request: a client that waits holds a socket and no thread.

The application asks for it by raising `Parked` (see `waiting.py`). The connection then lies in the worker's
own poller, beside the idle ones, and its request goes back to the thread pool when its watch is rung, when its ticket
says so, or when the worker stops. All else is as in `gunicorn/workers/gthread.py` (27.0.1), of which these methods
run in the main thread, but for `handle_request`, `_again` and what they call.
"""

import contextlib
import heapq
import itertools
import mmap
import resource
import select
import socket
import threading
import time
from functools import lru_cache, partial
from selectors import EVENT_READ
from typing import Any

from gunicorn import glogging, util
from gunicorn.http import wsgi
from gunicorn.workers.gthread import ThreadWorker

from server.settings import Settings
from server.web.current import EXTENSION
from server.web.gunicorn_worker.waiting import LOT, TICKET, Parked, Ticket

#: Connections that a process takes beside those of parked requests: idle ones, mostly.
OTHER_CONNECTIONS = 1000

#: Files that a process has open beside its connections: Redis, logs, blobs, the threads' own selectors.
_OTHER_FILES = 100

#: Seconds for which a client may be slow to take events: the thread that writes them has other things to do.
_TIMEOUT = 2.0


def max_connections(settings: Settings) -> int:
    """Gunicorn's `worker_connections`: room for all who may wait, as far as the limit of open files goes."""
    wanted = settings.max_waiters + OTHER_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else min(wanted, max(soft - _OTHER_FILES, 1))


class Logger(glogging.Logger):  # type: ignore[misc]
    """Gunicorn's, but for its access log: `server.web.middleware` writes a line a request.

    Any `logconfig_dict` switches that on, and a line that no handler takes still cost a tenth of a small request.
    """

    access_log_enabled = False


class Response(wsgi.Response):  # type: ignore[misc]
    """Gunicorn's, but the head leaves with the first of the body: each `send` lets another thread go first."""

    sock: Any

    def write(self, arg: bytes) -> None:
        """As Gunicorn."""
        if self.headers_sent:
            super().write(arg)
            return
        connection, parts = self.sock, _Parts()
        self.sock = parts
        try:
            super().write(arg)
        finally:
            self.sock = connection
        connection.sendall(b"".join(parts))


class _Parts(list[bytes]):
    """What would be sent."""

    def sendall(self, data: bytes) -> None:
        self.append(data)


class Places:
    """How many requests are parked in all web processes together: a number for each process, in shared memory.

    Made by Gunicorn's arbiter before it forks. A worker's number is found by its age, its count of forks.
    """

    _PROCESSES = 1024

    def __init__(self) -> None:
        self._counts = memoryview(mmap.mmap(-1, 4 * self._PROCESSES)).cast("i")

    def taken(self) -> int:
        """By all processes."""
        return sum(self._counts)

    def count(self, age: int, number: int) -> None:
        """Add to a process's number."""
        self._counts[age % self._PROCESSES] += number

    def vacate(self, age: int) -> None:
        """A process begins, or has ended: nobody is parked there."""
        self._counts[age % self._PROCESSES] = 0


@lru_cache(maxsize=1)
def places() -> Places:
    """The places of this Gunicorn. First called in the arbiter, so that every worker inherits the same."""
    return Places()


class ParkingWorker(ThreadWorker):  # type: ignore[misc]
    """The worker. It is the lot, too: the application asks it for a place before it parks."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.wsgi: Any = None
        self._places = places()
        self._max_waiters = 0
        self._places.vacate(self.age)
        self._entering = threading.Lock()
        #: Sockets whose parked request is with the application again.
        self._returned: dict[Any, Ticket] = {}
        #: The parked connections, by numbers: a connection that is parked again has another.
        self._parked: dict[int, tuple[Any, Ticket]] = {}
        self._numbers = itertools.count()
        self._alarms: list[tuple[float, int]] = []

    def enter(self) -> bool:
        """Take a place; False where all are taken, or the worker stops."""
        room = min(self._max_waiters, self.worker_connections - self.cfg.threads)
        with self._entering:
            if not self.alive or self._places.taken() >= room:
                return False
            self._places.count(self.age, 1)
        return True

    def leave(self) -> None:
        """Give the place back."""
        with self._entering:
            self._places.count(self.age, -1)

    def taken(self) -> int:
        """How many places are taken in all web processes."""
        return self._places.taken()

    def load_wsgi(self) -> None:
        """Show the application the lot, and a request that comes back its ticket."""
        super().load_wsgi()
        application: Any = self.wsgi
        self._max_waiters = application.extensions[EXTENSION].settings.max_waiters

        def with_lot(environ: dict[str, Any], start_response: Any) -> Any:
            if environ["SERVER_PROTOCOL"].startswith("HTTP/1"):  # an HTTP/2 connection holds a thread anyway
                environ[LOT] = self
                environ[TICKET] = self._returned.pop(environ["gunicorn.socket"], None)
            return application(environ, start_response)

        self.wsgi = with_lot

    def handle_request(self, req: Any, conn: Any) -> bool:
        """As Gunicorn; what is to be parked counts as kept alive, so that the rest of its body is read now."""
        try:
            return bool(super().handle_request(req, conn))
        except Parked as parked:
            req._expected_100_continue = False  # said once
            conn.request, conn.ticket = req, parked.ticket
            return True

    def set_accept_enabled(self, enabled: bool) -> None:
        """As Gunicorn; a worker that stops takes whoever has connected already, and closes its door at once.

        Gunicorn leaves the listening socket open while it finishes what it has: whom the kernel lets in meanwhile
        waits until the end, and is then reset.
        """
        super().set_accept_enabled(enabled)
        if self.alive:
            return
        for listener in self.sockets:
            while select.select([listener], [], [], 0)[0]:
                before = self.nr_conns
                self.accept(listener)
                if self.nr_conns == before:  # a sibling was quicker
                    break
            listener.close()

    def finish_request(self, conn: Any, fs: Any) -> None:
        """A thread is done with a request: park it, where it asked for that."""
        ticket, conn.ticket = getattr(conn, "ticket", None), None
        if ticket is None:
            super().finish_request(conn, fs)
        elif fs.cancelled() or fs.exception() or not fs.result():
            ticket.close()
            super().finish_request(conn, fs)
        else:
            self._park(conn, ticket)

    def _park(self, conn: Any, ticket: Ticket) -> None:
        number = next(self._numbers)
        self._parked[number] = conn, ticket
        conn.sock.setblocking(False)
        self.poller.register(conn.sock, EVENT_READ, partial(self._on_parked_readable, number))
        heapq.heappush(self._alarms, (ticket.until, number))
        ticket.watch.call = partial(self.method_queue.defer, self._wake, number)
        if ticket.watch.rung:
            self._wake(number)

    def _unpark(self, number: int) -> tuple[Any, Ticket]:
        conn, ticket = self._parked.pop(number)
        ticket.watch.call = None
        with contextlib.suppress(KeyError, ValueError):
            self.poller.unregister(conn.sock)
        return conn, ticket

    def _on_parked_readable(self, number: int, sock: Any) -> None:
        """The client has gone, or has sent its next request already, which is left for later."""
        try:
            gone = not socket.socket.recv(sock, 1, socket.MSG_PEEK)  # below TLS, too
        except BlockingIOError:
            return
        except OSError:
            gone = True
        if not gone:
            self.poller.unregister(sock)
            return
        conn, ticket = self._unpark(number)
        ticket.close()
        self.nr_conns -= 1
        conn.close()

    def _wake(self, number: int) -> None:
        """Give a request back to the threads; it may have left already."""
        if number not in self._parked:
            return
        conn, ticket = self._unpark(number)
        if not self.alive:
            ticket.deadline = 0.0
        job = self.tpool.submit(self._again, conn, ticket)
        job.add_done_callback(lambda done: self.method_queue.defer(self.finish_request, conn, done))

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """As Gunicorn; then wake those whose time has come, and all when the worker stops."""
        if self._alarms:
            timeout = min(timeout, max(0.0, self._alarms[0][0] - time.monotonic()))
        super().wait_for_and_dispatch_events(timeout)
        while self._alarms and self._alarms[0][0] <= time.monotonic():
            self._wake(heapq.heappop(self._alarms)[1])
        if not self.alive:
            for number in list(self._parked):
                self._wake(number)

    def _again(self, conn: Any, ticket: Ticket) -> bool:
        """What `handle` does for a request that has just been read. Whether the connection stays open."""
        request = conn.request
        try:
            conn.sock.setblocking(True)
            ticket.watch.rung = False  # what is rung from here on may be missed by what is read now
            if ticket.body is not None:
                return self._write_on(conn, ticket)
            self._returned[conn.sock] = ticket
            return bool(self._keepalive_after(conn, self.handle_request(request, conn)))
        except (OSError, StopIteration):
            return False
        except Exception as error:
            if ticket.body is None:
                self.handle_error(request, conn.sock, conn.client, error)
            else:  # the answer has begun: that it breaks off is all that can be said
                self.log.exception("Error in a body that is written on")
            return False
        finally:
            if conn.ticket is None:
                ticket.close()

    def _write_on(self, conn: Any, ticket: Ticket) -> bool:
        """Write what there is of a body whose answer has begun."""
        body, request = ticket.body, conn.request
        assert body is not None
        chunked = request.version > (1, 0)
        data = body.more()
        conn.sock.settimeout(_TIMEOUT)
        try:
            if data:
                util.write(conn.sock, data, chunked)
            if not body.ended and not ticket.over:
                conn.ticket = ticket
                return True
            if chunked:
                util.write_chunk(conn.sock, b"")
        except OSError:
            with contextlib.suppress(OSError):
                conn.sock.shutdown(socket.SHUT_RDWR)  # else the main thread would wait for the client to close
            raise
        return self.alive and chunked and not request.should_close()
