"""Celery's event and signal of tasks that are canceled while they wait.

Celery's worker sends them when it drops a message. Here a cancel removes the message, in whichever process, so it is
noted for the workers; but only while one of them asks for it.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from celery.app.task import Context
from celery.signals import task_revoked
from kombu.exceptions import OperationalError

from server.celery_app.message import build
from server.celery_app.worker.burst import sends_events
from server.celery_app.worker.maintenance.service import until_done
from server.store import Store
from server.store.errors import StorageFull
from server.store.leases import Canceled


class CancelEvents:
    """Sends Celery's events and signals of tasks that were canceled while they waited."""

    name = "cancel_events"
    interval = 1.0

    def __init__(self, store: Store, consumer: Any) -> None:
        self._store = store
        self._consumer = consumer

    def round(self) -> int | None:
        """Send those noted since the last round, if there is a receiver."""
        if not task_revoked.receivers and not sends_events(self._consumer.event_dispatcher):
            return None
        with suppress(StorageFull):  # nothing is noted meanwhile
            return until_done(self._report)
        return 0

    def _report(self, limit: int) -> int:
        canceled = self._store.leases.canceled(limit)
        if canceled and sends_events(self._consumer.event_dispatcher):
            with suppress(OperationalError):  # an outage of the broker loses them
                self._send_events(canceled)
        for each in canceled:
            self._send_signal(each)
        return len(canceled)

    def _send_events(self, canceled: Sequence[Canceled]) -> None:
        with self._consumer.app.events.default_dispatcher(self._consumer.hostname) as dispatcher:
            for each in canceled:
                dispatcher.send("task-revoked", uuid=each.id, name=_headers(each)["task"], **_event_fields(each))

    def _send_signal(self, each: Canceled) -> None:
        headers = _headers(each)
        if task := self._consumer.app.tasks.get(headers["task"]):
            request = Context(headers, hostname=self._consumer.hostname, delivery_info={"routing_key": each.queue})
            task_revoked.send(sender=task, request=request, **_event_fields(each))


def _headers(each: Canceled) -> dict[str, Any]:
    headers: dict[str, Any] = build(each.id, "", each.task_type, each.queue, each.priority)["headers"]
    return headers


def _event_fields(each: Canceled) -> dict[str, Any]:
    return {"terminated": False, "signum": None, "expired": each.expired}
