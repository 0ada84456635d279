"""An external broker such as RabbitMQ: the record is stored first, then the message is published.

The script that queues a record adds it to `unpublished`; the broker's confirmation removes it. If anything fails in
between, maintenance finds the entry and publishes the message, so submits are accepted while the broker is down. A
duplicate message is harmless, because a claim succeeds once.
"""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from amqp.exceptions import AMQPError
from celery import Celery
from kombu.connection import Connection
from kombu.exceptions import OperationalError

from server.celery_app.message import WIRE_NAMES
from server.logs import event
from server.store import Store
from server.store.connection import UNREACHABLE
from server.store.record import NewTask, Record

#: AMQP priorities by rank. RabbitMQ's quorum queues have two: above 4 is high (since 4.0; none before).
PRIORITY = (9, 4, 0)
TIMEOUT = 1.0  # time-outs in seconds: to connect, and for a confirmation
PAUSE_SECONDS = 5.0  # seconds after a failure in which requests do not publish; maintenance does it meanwhile
MAX_PUBLISHED = 20  # messages that a request publishes itself; maintenance publishes the rest of a larger batch

log = logging.getLogger(__name__)


class ExternalBroker:
    """Publishes the messages of stored tasks to a broker such as RabbitMQ."""

    def __init__(self, app: Celery, store: Store) -> None:
        self._app = app
        self._store = store
        self._paused_until = 0.0
        self._thread = threading.local()

    def publish_new(self, tasks: Sequence[NewTask], now_ms: int) -> None:
        """Publish tasks that were stored at this time. Never raises: maintenance publishes later what fails here."""
        if time.monotonic() < self._paused_until:
            return
        with suppress(OperationalError, *UNREACHABLE):
            self.publish(tasks[:MAX_PUBLISHED], now_ms)

    def publish(self, tasks: Sequence[NewTask | Record], until_ms: int) -> None:
        """Publish tasks and remove them from `unpublished`, as they were by this time, which has passed.

        Raises:
            OperationalError: the broker does not confirm.
        """
        try:
            for task in tasks:
                self._send(task)
                self._store.leases.published([task.id], until_ms)
        except OperationalError as error:
            self._paused_until = time.monotonic() + PAUSE_SECONDS
            event(log, "broker.unreachable", level=logging.WARNING, reason=type(error.__cause__ or error).__name__)
            raise

    def waiting(self, queue: str) -> int:
        """Count the messages of a queue at the broker that no worker has fetched; raises OperationalError."""
        with self._errors():
            _, count, _ = self._channel().queue_declare(queue, passive=True)
            return int(count)

    def _send(self, task: NewTask | Record) -> None:
        with self._errors():
            self._app.send_task(
                WIRE_NAMES.get(task.task_type, task.task_type),
                task_id=task.id,
                queue=task.queue,
                priority=PRIORITY[task.rank],
                headers={"rank": task.rank},
                producer=self._app.amqp.Producer(self._channel(), auto_declare=False),
                retry=False,
            )

    def _channel(self) -> Any:
        """Give each thread its own connection, since kombu's connections cannot be shared."""
        if getattr(self._thread, "connection", None) is None:
            options = {"confirm_publish": True, "read_timeout": TIMEOUT, "write_timeout": TIMEOUT}
            make: Any = Connection
            self._thread.connection = make(
                self._store.settings.celery_broker_url, connect_timeout=TIMEOUT, heartbeat=0, transport_options=options
            )
        return self._thread.connection.default_channel

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Convert each failure of the broker to an OperationalError, and reconnect next time."""
        try:
            yield
        except (OperationalError, OSError, AMQPError) as error:
            connection, self._thread.connection = getattr(self._thread, "connection", None), None
            if connection is not None:
                with suppress(Exception):
                    connection.collect(socket_timeout=0.1)
            raise OperationalError(str(error)) from error


def install(app: Celery, store: Store) -> None:
    """Publish the tasks of this store to the application's broker."""
    app.external_broker = ExternalBroker(app, store)
    store.publish_new = app.external_broker.publish_new
