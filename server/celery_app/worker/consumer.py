"""Celery's consumer, that keeps what it holds when a connection is lost, and comes back soon."""

import logging
from functools import partial
from typing import Any

from celery.worker import state
from celery.worker.consumer import Consumer as StockConsumer

from server.logs import event
from server.store.connection import UNREACHABLE

#: Seconds between two tries to connect: the first, and the longest.
FIRST_TRY = 0.5
LONGEST_WAIT = 2.0

#: Seconds between two looks for dead children.
LOOK_UP = 0.5

log = logging.getLogger(__name__)


class Consumer(StockConsumer):  # type: ignore[misc]
    """Stock but for what is said below."""

    def on_close(self) -> None:
        """Keep what was fetched.

        Stock forgets what has not been acknowledged as begun, for the broker is to deliver it again: that of a
        child that has just begun, too, so that it runs on with nobody to renew its lease (celery/celery#5891 tells
        of tasks that run twice). Our messages stay noted as held, and a second delivery is refused by the claim.
        """
        if state.should_stop is not None or state.should_terminate is not None:
            super().on_close()

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """A kind that this worker does not know: in the middle of a deploy another one does, or the next will.

        Stock discards the message, and so the task.
        """
        task_id, name = message.headers.get("id", ""), message.headers.get("task")
        try:
            if not self.app.store.leases.defer_unregistered(task_id):
                super().on_unknown_task(body, message, exc)
                return
        except UNREACHABLE:
            message.reject_log_error(log, self.connection_errors, requeue=True)
            return
        event(log, "task.unregistered_type", level=logging.WARNING, task_id=task_id, task=name)
        message.ack_log_error(log, self.connection_errors)

    def connection_for_read(self, heartbeat: Any = None) -> Any:
        """Connect, patiently; stock waits up to 30 s between two tries, in which a Redis may have come back."""
        connection = self.app.connection_for_read(heartbeat=heartbeat)
        connection.ensure_connection = partial(
            connection.ensure_connection,
            interval_start=FIRST_TRY,
            interval_step=FIRST_TRY,
            interval_max=LONGEST_WAIT,
        )
        return self.ensure_connected(connection)

    def register_with_event_loop(self, hub: Any) -> None:
        """Look for dead children, which stock does every 5 s: their siblings keep open the pipe that should tell.

        It wakes the loop as well: the drain sets `state.should_stop` from another thread.
        """
        super().register_with_event_loop(hub)
        hub.call_repeatedly(LOOK_UP, self.pool.maintain_pool)
