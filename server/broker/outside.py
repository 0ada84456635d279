"""A broker that is not the Redis of the records, such as RabbitMQ: the record first, then the message.

The script that queues a record notes it in `unpublished`; a message that the broker has confirmed takes the note
away. So whatever fails or dies in between, the sweeper finds the note and publishes, and a submit is accepted even
while the broker is down. A message that comes twice is harmless: a claim succeeds once.
"""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from amqp.exceptions import AMQPError
from celery import current_app
from kombu.connection import Connection
from kombu.exceptions import OperationalError

from server.connections import UNREACHABLE
from server.logs import event
from server.records import upkeep
from server.settings import settings

#: Priorities on the wire by rank. RabbitMQ's quorum queues know two: above 4 is high (since 4.0; before that, one).
PRIORITY = (9, 4, 0)

#: Seconds to connect, and to wait for a confirmation.
TIMEOUT = 1.0

#: Seconds for which nothing is published from a request after a failure: the sweeper does it, nobody waits for it.
PAUSE = 5.0

#: Messages that a request publishes itself; of a larger batch the rest is the sweeper's.
AT_ONCE = 20

log = logging.getLogger(__name__)

_thread = threading.local()


class Publishable(Protocol):
    """What a message is made of: a record, or a task that is to be one."""

    @property
    def id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def queue(self) -> str: ...
    @property
    def rank(self) -> int: ...


class _Pause:
    until = 0.0


def announce(tasks: Sequence[Publishable]) -> None:
    """Publish what has just been stored; never raises, since what fails here is published later."""
    if settings().broker_is_redis or time.monotonic() < _Pause.until:
        return
    with suppress(OperationalError, *UNREACHABLE):
        publish(tasks[:AT_ONCE])


def publish(tasks: Sequence[Publishable]) -> None:
    """Publish, and take the notes away.

    Raises:
        OperationalError: the broker is out of reach, or does not confirm.
    """
    try:
        for task in tasks:
            _send(task)
            upkeep().published([task.id])
    except OperationalError as error:
        _Pause.until = time.monotonic() + PAUSE
        event(log, "broker.unreachable", level=logging.WARNING, reason=type(error.__cause__ or error).__name__)
        raise


def waiting(queue: str) -> int:
    """How many messages the broker has of a queue, without those that workers hold.

    Raises:
        OperationalError: it is out of reach, or has no such queue.
    """
    with _errors():
        _, count, _ = _channel().queue_declare(queue, passive=True)
        return int(count)


def _send(task: Publishable) -> None:
    with _errors():
        current_app.send_task(
            task.kind,
            task_id=task.id,
            queue=task.queue,
            priority=PRIORITY[task.rank],
            headers={"rank": task.rank},
            producer=_producer(),
            retry=False,
        )


def _producer() -> Any:
    return current_app.amqp.Producer(_channel(), auto_declare=False)


def _channel() -> Any:
    """This thread's own: a connection of kombu's is not to be shared."""
    if getattr(_thread, "connection", None) is None:
        options = {"confirm_publish": True, "read_timeout": TIMEOUT, "write_timeout": TIMEOUT}
        make: Any = Connection
        _thread.connection = make(
            settings().celery_broker_url, connect_timeout=TIMEOUT, heartbeat=0, transport_options=options
        )
    return _thread.connection.default_channel


@contextmanager
def _errors() -> Iterator[None]:
    """Whatever goes wrong with the broker is an OperationalError, and the connection is made anew."""
    try:
        yield
    except (OperationalError, OSError, AMQPError) as error:
        connection, _thread.connection = getattr(_thread, "connection", None), None
        if connection is not None:
            with suppress(Exception):
                connection.collect(socket_timeout=0.1)
        raise OperationalError(str(error)) from error
