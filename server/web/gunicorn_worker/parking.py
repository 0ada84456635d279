"""Requests parked on the loop while they wait for a task: each is one entry and occupies no thread."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from server.web.gunicorn_worker.notifier import Subscription
from server.web.gunicorn_worker.wsgi.exchange import Exchange
from server.web.long_poll import ParkedRequest

if TYPE_CHECKING:
    from server.web.gunicorn_worker.server import Server


class Parking:
    """One parked request, from its first wait to its answer.

    It returns to a thread when its task may have changed, when its time is up, or when the server stops; the
    application may park it again.
    """

    __slots__ = ("_exchange", "_notified", "_parked", "_server", "_subscriptions", "_timer", "_waits", "_when_read")

    def __init__(
        self,
        server: "Server",
        exchange: Exchange,
        parked: ParkedRequest,
        when_read: Callable[[Callable[[], None]], None],
    ) -> None:
        self._server = server
        self._exchange = exchange
        self._parked = parked
        #: Makes a call when the client has read enough of the bytes written so far.
        self._when_read = when_read
        #: Whether the request waits (and is not with a thread), and whether a message arrived that no thread has
        #: handled.
        self._waits = self._notified = False
        self._timer: asyncio.TimerHandle | None = None
        self._subscriptions: list[Subscription] = [
            server.notifier.subscribe(task_id, parked.messages, self._notify) for task_id in parked.task_ids
        ]

    def park(self) -> None:
        """Wait, or continue immediately if a message has arrived."""
        self._waits = True
        if not self._server.alive or (self._notified and not self._parked.pause):
            self.wake()
            return
        until = self._parked.until
        if self._notified:
            until = min(until, self._server.loop.time() + self._parked.pause)
        self._timer = self._server.loop.call_at(until, self.wake)

    def _notify(self) -> None:
        if self._notified and self._parked.pause:
            return
        self._notified = True
        if self._waits:
            self._cancel_timer()
            self.park()

    def wake(self) -> None:
        """Continue as soon as the client has read the earlier bytes."""
        if self._waits:
            self._when_read(self._continue)

    def _continue(self) -> None:
        if not self._waits:
            return
        self._waits = self._notified = False  # the read that follows may miss later messages
        self._cancel_timer()
        if not self._server.alive:
            self._parked.deadline = 0.0
        self._server.threads.submit(partial(self._exchange.resume, self._parked))

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """Stop waiting: the request is answered, or its client has disconnected."""
        self._waits = False
        self._cancel_timer()
        for subscription in self._subscriptions:
            self._server.notifier.unsubscribe(subscription)
        self._parked.release()
