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
    """Tells those who listen of the tasks that were canceled while they waited."""

    name = "cancel_events"
    interval = 1.0

    def __init__(self, store: Store, consumer: Any) -> None:
        self._store = store
        self._consumer = consumer

    def round(self) -> int | None:
        """Send what was noted since the round before, if somebody listens."""
        if not task_revoked.receivers and not sends_events(self._consumer.event_dispatcher):
            return None
        with suppress(StorageFull):  # nothing is noted meanwhile
            return until_done(self._tell)
        return 0

    def _tell(self, most: int) -> int:
        found = self._store.leases.canceled(most)
        if found and sends_events(self._consumer.event_dispatcher):
            with suppress(OperationalError):  # an outage of the broker loses them
                self._send_events(found)
        for each in found:
            self._send_signal(each)
        return len(found)

    def _send_events(self, found: Sequence[Canceled]) -> None:
        with self._consumer.app.events.default_dispatcher(self._consumer.hostname) as dispatcher:
            for each in found:
                dispatcher.send("task-revoked", uuid=each.id, name=_headers(each)["task"], **_how(each))

    def _send_signal(self, each: Canceled) -> None:
        headers = _headers(each)
        if task := self._consumer.app.tasks.get(headers["task"]):
            request = Context(headers, hostname=self._consumer.hostname, delivery_info={"routing_key": each.queue})
            task_revoked.send(sender=task, request=request, **_how(each))


def _headers(each: Canceled) -> dict[str, Any]:
    found: dict[str, Any] = build(each.id, "", each.task_type, each.queue, each.priority)["headers"]
    return found


def _how(each: Canceled) -> dict[str, Any]:
    return {"terminated": False, "signum": None, "expired": each.expired}
