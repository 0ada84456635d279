"""The webhook sender: deliver due webhooks, several at a time, in parallel to the tasks.

The script that ends a task or a batch marks its webhook as due (`server.store.webhooks`). A thread of each worker's
main process delivers due webhooks, so webhooks and tasks do not wait for each other, and a hanging receiver blocks no
pool child. If a process dies during a delivery, the webhook is due again when its lease expires: a receiver may get it
twice, with the same `webhook-id`.
"""

import logging
import random
import threading
import time
from urllib.parse import urlsplit

from server.logs import event
from server.services.webhooks import Message, deliver, message_of
from server.store import Store
from server.store.connection import UNREACHABLE
from server.store.webhooks import DeliveryAttempt

#: Seconds between two attempts: the specification's example, limited to a day. Each wait is up to a tenth longer, so
#: that webhooks that failed together are not retried together.
WAITS = (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600)
JITTER = 0.1
THREADS = 16  # parallel deliveries of one sender

#: Seconds after which a receiver counts as slow, the deliveries that may wait for it, and the seconds before its other
#: webhooks are tried again. The remaining threads are free for other receivers.
SLOW_SECONDS = 2.0
MAX_SLOW_DELIVERIES = 4
SLOW_RETRY_SECONDS = 10.0

log = logging.getLogger(__name__)


class WebhookSender:
    """Delivers due webhooks. Any number of senders may run: each leases a webhook before it delivers it."""

    name = "webhook_sender"
    interval = 1.0

    def __init__(self, store: Store) -> None:
        self._store = store
        self._threads: list[threading.Thread] = []
        self._calls: dict[str, tuple[str, float]] = {}  # by task or batch: the host that is called, since when
        self._ended = 0  # attempts since the last round
        self._one_connection = threading.Lock()  # one connection for all threads: the process has few

    def round(self) -> int:
        """Start to deliver due webhooks, in threads that end when none is due. Return the number of ended attempts."""
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        with self._one_connection:
            ended, self._ended = self._ended, 0
        for _ in range(min(self._store.webhooks.due(), THREADS - len(self._threads))):
            thread = threading.Thread(target=self._deliver_due, name="delivery", daemon=True)
            thread.start()
            self._threads.append(thread)
        return ended

    def _deliver_due(self) -> None:
        try:
            while (leased := self._lease()) is not None:
                self._deliver(*leased)
        except UNREACHABLE:
            event(log, "webhooks.redis_unreachable", level=logging.WARNING)  # their leases expire
        except Exception:
            event(log, "webhooks.failed", level=logging.ERROR, error=True)

    def _lease(self) -> tuple[str, int] | None:
        with self._one_connection:
            return self._store.webhooks.lease_due()

    def _deliver(self, task_id: str, lease: int) -> None:
        with self._one_connection:
            message, tries = message_of(self._store, task_id), self._store.webhooks.attempts(task_id)
            if message is None:
                self._store.webhooks.record_attempts(task_id, lease, [], None)
                return
            if self._hangs(host := urlsplit(message.url).netloc):
                self._store.webhooks.record_attempts(task_id, lease, tries, SLOW_RETRY_SECONDS)
                return
            secrets = self._store.webhook_secrets.signing(message.owner)
            now_ms = self._store.webhooks.now_ms()
        self._calls[task_id] = host, time.monotonic()
        try:
            attempt = deliver(message, secrets, now_ms, allow_private=self._store.settings.allow_private_addresses)
        finally:
            del self._calls[task_id]
        self._record(message, lease, tries, attempt)

    def _hangs(self, host: str) -> bool:
        """Return whether this receiver already has the maximum of waiting deliveries."""
        slow_since = time.monotonic() - SLOW_SECONDS
        waiting = sum(where == host and since < slow_since for where, since in list(self._calls.values()))
        return waiting >= MAX_SLOW_DELIVERIES

    def _record(self, message: Message, lease: int, tries: list[DeliveryAttempt], attempt: DeliveryAttempt) -> None:
        over = attempt.last or len(tries) >= len(WAITS)
        pause = None if over else WAITS[len(tries)] * random.uniform(1, 1 + JITTER)
        outcome = "delivered" if attempt.succeeded else "given_up" if over else "retried"
        with self._one_connection:
            counts = self._store.webhooks.record_attempts(message.id, lease, [*tries, attempt], pause, outcome)
            self._ended += bool(counts)
        if counts:
            event(
                log,
                f"webhook.{outcome}",
                **message.log_ids,
                status=attempt.status,
                reason=attempt.reason,
                ms=attempt.ms,
            )
