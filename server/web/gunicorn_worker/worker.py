"""The Gunicorn worker class. The arbiter, signals, reloads and sockets are Gunicorn's own."""

import asyncio
import contextlib
import os
import resource
import signal
from functools import partial
from typing import Any

from gunicorn import glogging, sock
from gunicorn.workers import base

from server.logs import once_a_turn
from server.settings import Settings, load
from server.store import Store
from server.store.stats import CounterBuffer
from server.web.current import EXTENSION, LOCATOR, REQUEST_COUNTS
from server.web.errors import of_gunicorn
from server.web.gunicorn_worker.polls import Polls
from server.web.gunicorn_worker.server import ROUND, Server
from server.web.gunicorn_worker.shared_counts import Balance, SharedWaitingSlots
from server.web.gunicorn_worker.status_cache import StatusCache
from server.web.gunicorn_worker.submits import SubmitGroups

#: Connections that a process accepts in addition to those of waiting clients: mostly idle ones.
OTHER_CONNECTIONS = 10_000

#: Files that a process opens in addition to its connections: Redis, logs, blobs.
_OTHER_FILES = 100


def max_connections(settings: Settings) -> int:
    """Return Gunicorn's `worker_connections`: all clients that may wait, and others, within the limit of open files."""
    wanted = settings.max_waiters + OTHER_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else min(wanted, max(soft - _OTHER_FILES, 1))


class Logger(glogging.Logger):  # type: ignore[misc]
    """Disables Gunicorn's access log, because `server.web.middleware` logs each request.

    Any `logconfig_dict` enables that log, and a line without a handler would still cost a tenth of a small request.
    """

    access_log_enabled = False


class LoopWorker(base.Worker):  # type: ignore[misc]
    """A worker with one asyncio loop for all connections, and threads for the application."""

    wsgi: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        max_waiting = min(load().max_waiters, self.cfg.worker_connections)
        # Before the fork, so that their memory is shared.
        self._slots = SharedWaitingSlots(self.age, max_waiting, lambda: self.alive)
        self._balance = Balance(self.age)

    def run(self) -> None:
        """Serve until Gunicorn ends the worker."""
        asyncio.run(self._run())

    def init_signals(self) -> None:
        """Set Gunicorn's handlers without its wake-up pipe, which nothing here reads: the loop has its own."""
        super().init_signals()
        signal.set_wakeup_fd(-1)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        with once_a_turn(loop.call_soon):
            await self._serve(loop)

    async def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        stopping = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, stopping.set)
        tls = sock.ssl_context(self.cfg) if self.cfg.is_ssl else None
        store: Store = self.wsgi.extensions[EXTENSION]
        request_counts: CounterBuffer = self.wsgi.extensions[REQUEST_COUNTS]
        refusal = partial(of_gunicorn, store.settings.public_prefix or os.environ.get("SCRIPT_NAME", ""))
        server = Server(loop, self.wsgi, self.cfg, refusal, self._slots, store, tls, self._balance)
        if _is_plain(store.settings):
            cache = StatusCache(server.notifier, server.post, store.clock)
            locator, scheme = self.wsgi.extensions[LOCATOR], "https" if self.cfg.is_ssl else "http"
            submit = server.threads.submit
            server.polls = Polls(cache, store.api_keys, store.settings, submit, locator, scheme)
            after_reads = partial(loop.call_later, 0)  # of timers, asyncio makes the calls last
            server.submits = SubmitGroups(store, server.polls, server.post, after_reads, submit, request_counts)
        for listener in self.sockets:
            server.listen(listener.sock)
        until = None
        while until is None or (not server.finished and loop.time() < until):
            self.notify()
            server.round()
            self._count_requests(server, request_counts)
            if until is None and self._is_over(stopping, server):
                self.alive = False
                server.stop()
                until = loop.time() + self.cfg.graceful_timeout
            await _pause(stopping, alive=self.alive)
        server.notifier.stop()
        request_counts.flush()

    def _count_requests(self, server: Server, request_counts: CounterBuffer) -> None:
        if server.polls is not None:
            server.polls.report(request_counts)
        if request_counts.due():
            server.threads.submit(request_counts.flush)

    def _is_over(self, stopping: asyncio.Event, server: Server) -> bool:
        if self.ppid != os.getppid():
            self.log.info("Parent changed, shutting down: %s", self)
            return True
        return stopping.is_set() or not self.alive or server.requests >= self.max_requests


def _is_plain(settings: Settings) -> bool:
    """Return whether only the path, key and condition can change the answer to a poll."""
    return not (settings.cors_origins or settings.auth_proxy_header or os.environ.get("SCRIPT_NAME"))


async def _pause(stopping: asyncio.Event, *, alive: bool) -> None:
    """Wait for the next round; a signal ends the wait."""
    if not alive:
        await asyncio.sleep(ROUND / 5)
        return
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), ROUND)
