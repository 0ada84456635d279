"""Webhooks by Standard Webhooks 1.0.0: the end of a task, POSTed to its `webhook`, signed, tried for up to a day.

The end itself notes that one is due (`server.records.webhooks`). A thread of each worker's main process delivers what
is due, several at a time, beside the tasks: neither waits for the other, and a receiver that hangs takes nothing from
them. A delivery that dies with its process is due again when its lease is over, so a receiver may get one twice,
under the same `webhook-id`.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac
import logging
import random
import threading
import time
from urllib.parse import urlsplit

import pydantic_core

from server.connections import UNREACHABLE
from server.http_client import FetchError, Limits, check_url, request
from server.logs import event
from server.records import Record, records
from server.records.webhooks import LEASE, Try, webhooks
from server.settings import settings
from server.webhook_secrets import raw, webhook_secrets
from server.wire import status_object

#: Seconds between one try and the next: the specification's own example, as far as a day holds it. Each is made up to
#: a tenth longer, so that what failed together does not come back together.
WAITS = (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600)
JITTER = 0.1

#: One try: the specification recommends 15 to 30 seconds. An answer's body is not read.
LIMITS = Limits(seconds=LEASE - 10, redirects=0)

#: Deliveries of one courier at a time.
THREADS = 16

#: Seconds after which a receiver counts as slow, how many deliveries may hang there at a time, and after how many
#: seconds the rest of its webhooks is looked at again: so much is left for the others' receivers.
SLOW = 2.0
MOST_AT_SLOW = 4
PUT_OFF = 10.0

log = logging.getLogger(__name__)


def check_webhook_url(url: str) -> str:
    """The URL of a submit's `webhook`, as it came.

    Raises:
        FetchError: it is no https URL, is too long, or names a user or an address that is not public.
    """
    if check_url(url).scheme != "https" and not settings().allow_private_addresses:
        raise FetchError("refused", "The URL of a webhook must begin with https://.")
    return url


def signature(secrets: list[str], message_id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` header: one signature for each secret, any of which a receiver may check."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    digests = [hmac.digest(raw(secret), signed, hashlib.sha256) for secret in secrets]
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


class Courier:
    """Delivers what is due. Any number of couriers may: each takes a webhook for itself."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self._calls: dict[str, tuple[str, float]] = {}  # by task: the host that is called, since when
        self._redis = threading.Lock()  # one connection for all threads: the process has few

    def round(self) -> None:
        """Begin to deliver what is due; it goes on beside the caller."""
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        for _ in range(min(webhooks().due(), THREADS - len(self._threads))):
            thread = threading.Thread(target=self._deliver_due, name="delivery", daemon=True)
            thread.start()
            self._threads.append(thread)

    def _deliver_due(self) -> None:
        try:
            while (taken := self._take()) is not None:
                self._deliver(*taken)
        except UNREACHABLE:
            event(log, "webhooks.redis_unreachable", level=logging.WARNING)  # their leases run out
        except Exception:
            event(log, "webhooks.failed", level=logging.ERROR, error=True)

    def _take(self) -> tuple[str, int] | None:
        with self._redis:
            return webhooks().take()

    def _deliver(self, task_id: str, lease: int) -> None:
        with self._redis:
            record, tries = records().get(task_id), webhooks().tries(task_id)
            if record is None or not record.webhook:
                webhooks().note(task_id, lease, [], None)
                return
            if self._hangs(host := urlsplit(record.webhook).netloc):
                webhooks().note(task_id, lease, tries, PUT_OFF)
                return
            secrets = webhook_secrets().signing(record.owner)
        self._calls[task_id] = host, time.monotonic()
        try:
            made = _try(record, secrets)
        finally:
            del self._calls[task_id]
        self._note(task_id, lease, tries, made)

    def _hangs(self, host: str) -> bool:
        """Whether this receiver has kept as many waiting as it may."""
        slow_since = time.monotonic() - SLOW
        waiting = sum(where == host and since < slow_since for where, since in list(self._calls.values()))
        return waiting >= MOST_AT_SLOW

    def _note(self, task_id: str, lease: int, tries: list[Try], made: Try) -> None:
        over = made.last or len(tries) >= len(WAITS)
        pause = None if over else WAITS[len(tries)] * random.uniform(1, 1 + JITTER)
        with self._redis:
            counts = webhooks().note(task_id, lease, [*tries, made], pause)
        if counts:
            name = "webhook.delivered" if made.succeeded else "webhook.given_up" if over else "webhook.failed"
            event(log, name, task_id=task_id, status=made.status, reason=made.reason, ms=made.ms)


def _try(record: Record, secrets: list[str]) -> Try:
    """POST the status object once."""
    body = pydantic_core.to_json(status_object(record, None))
    at = time.time()
    headers = {
        "Content-Type": "application/json",
        "webhook-id": record.id,
        "webhook-timestamp": str(int(at)),
        "webhook-signature": signature(secrets, record.id, int(at), body),
    }
    status, reason = None, None
    try:
        with request("POST", record.webhook, headers=headers, content=body, limits=LIMITS) as answer:
            status = answer.status
    except FetchError as error:
        reason = str(error)
    except Exception:  # what nobody thought of must count as a try, or it would come back for ever
        event(log, "webhook.error", level=logging.ERROR, error=True, task_id=record.id)
        reason = "It could not be sent."
    return Try(int(at * 1000), round((time.time() - at) * 1000), status, reason)
