"""Celery's consumer, changed to keep its messages when a connection is lost and to reconnect soon."""

import json
import logging
import time
from functools import partial
from typing import Any

from celery.worker import state
from celery.worker.consumer import Consumer as StockConsumer

from server.celery_app.worker.execution import new_lease_token
from server.logs import event
from server.sdk.errors import UnknownTaskType
from server.store import Store
from server.store.connection import UNREACHABLE
from server.store.record import Status

#: Seconds before the first repeated attempt to connect, and the maximum.
FIRST_WAIT = 0.5
MAX_WAIT = 2.0
CHILD_CHECK_INTERVAL = 0.5  # seconds between two checks for dead children

log = logging.getLogger(__name__)


class Consumer(StockConsumer):  # type: ignore[misc]
    _connected_at = 0.0

    def on_close(self) -> None:
        """Keep the messages that were fetched.

        Stock Celery forgets messages that are not acknowledged, since the broker will deliver them again. This includes
        tasks that have just started, whose leases would not be renewed (celery/celery#5891 reports tasks that run
        twice). Our messages are kept, and the claim refuses a second delivery.
        """
        if state.should_stop is not None or state.should_terminate is not None:
            super().on_close()

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Defer a task of an unknown type: during a deploy another worker, or the next one, knows it.

        Stock Celery discards the message, and with it the task.
        """
        task_id, name = message.headers.get("id", ""), message.headers.get("task")
        try:
            if not self._fail_if_long_unknown(task_id, name) and not self.app.store.leases.defer_unregistered(task_id):
                super().on_unknown_task(body, message, exc)
                return
        except UNREACHABLE:
            message.reject_log_error(log, self.connection_errors, requeue=True)
            return
        event(log, "task.unregistered_type", level=logging.WARNING, **self.app.store.tasks.log_ids(task_id), task=name)
        message.ack_log_error(log, self.connection_errors)

    def _fail_if_long_unknown(self, task_id: str, name: str) -> bool:
        """End a task whose type no worker has known for `UNKNOWN_TYPE_SECONDS`."""
        store: Store = self.app.store
        unknown = store.queues.unregistered_seconds(name, store.leases.workers())
        if unknown is None or unknown < store.settings.unknown_type_seconds:
            return False
        attempt = store.tasks.claim(task_id, new_lease_token(self.hostname))
        if attempt is None:
            return False
        error = UnknownTaskType(f"No worker has known the task type {name!r} for {unknown:.0f} seconds.")
        return store.tasks.finish(task_id, attempt.lease_token, Status.FAILED, e=json.dumps(error.error_object()))

    def connection_for_read(self, heartbeat: Any = None) -> Any:
        """Connect with short waits; stock Celery waits up to 30 s between attempts, even if Redis is back."""
        connection = self.app.connection_for_read(heartbeat=heartbeat)
        connection.ensure_connection = partial(
            connection.ensure_connection, interval_start=FIRST_WAIT, interval_step=FIRST_WAIT, interval_max=MAX_WAIT
        )
        connected = self.ensure_connected(connection)
        self._connected_at = time.monotonic()
        return connected

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Wait if the connection was lost immediately: a Redis that answers "not now" accepts connections.

        Stock Celery tries again without a wait, and after five times in a second logs a critical error.
        """
        super().on_connection_error_after_connected(exc)
        if time.monotonic() - self._connected_at < FIRST_WAIT:
            time.sleep(FIRST_WAIT)

    def register_with_event_loop(self, hub: Any) -> None:
        """Check often for dead children. Stock Celery checks every 5 s, since siblings keep their pipe open.

        It also wakes the loop, because the shutdown sets `state.should_stop` from another thread.
        """
        super().register_with_event_loop(hub)
        hub.call_repeatedly(CHILD_CHECK_INTERVAL, self.pool.maintain_pool)
