"""One webhook delivery (Standard Webhooks 1.0.0): a signed POST to the `webhook` of a task or a batch at its end.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac
import logging
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from server.logs import event, spans
from server.logs.trace import NO_TRACE, Trace, log_ids
from server.sdk.http import FetchError, RequestLimits, check_url, request
from server.services.status import batch_status, status_json, timestamp
from server.store import Store
from server.store.webhooks import LEASE, DeliveryAttempt, PendingWebhook, raw

#: One attempt: the specification recommends 15 to 30 seconds. The body of the response is not read.
LIMITS = RequestLimits(seconds=LEASE - 10, redirects=0)
MAX_WEBHOOKS_READ = 500  # maximum number of undelivered webhooks to read

log = logging.getLogger(__name__)


def check_webhook_url(url: str, *, allow_private: bool) -> str:
    """Return the URL of a submit's `webhook`; raises FetchError if it is not https, or its address is not public."""
    if check_url(url, allow_private=allow_private).scheme != "https" and not allow_private:
        raise FetchError("refused", "The URL of a webhook must begin with https://.")
    return url


def signature(secrets: list[str], message_id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` header: one signature per secret; a receiver may check any of them."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    digests = [hmac.digest(raw(secret), signed, hashlib.sha256) for secret in secrets]
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


@dataclass(frozen=True, slots=True)
class Message:
    """A webhook to deliver: the id of its task or batch, the owner, the receiver, and the JSON to send."""

    id: str
    owner: str
    url: str
    body: bytes
    request_id: str = ""
    trace: Trace = NO_TRACE

    @property
    def log_ids(self) -> dict[str, Any]:
        return log_ids(self.id, self.request_id, self.trace)


def message_of(store: Store, task_or_batch_id: str) -> Message | None:
    """Return the webhook of a task or a batch; None if it has none, or is deleted."""
    prefix = store.settings.public_prefix
    if (record := store.tasks.get(task_or_batch_id)) is not None:
        body = status_json(record, None, prefix)
        origin = record.request_id, record.trace
        return Message(task_or_batch_id, record.owner, record.webhook, body, *origin) if record.webhook else None
    batch = store.batches.get(task_or_batch_id)
    if batch is None or not batch.webhook:
        return None
    data = batch_status(batch, store.listing.count_by_status(batch.task_ids), prefix).as_json()
    moment = timestamp(batch.finished_ms or store.clock.now_ms()).encode()
    body = b'{"type":"batch.ended","timestamp":"%s","data":%s}' % (moment, data)
    return Message(task_or_batch_id, batch.owner, batch.webhook, body, batch.request_id, batch.trace)


def deliver(message: Message, secrets: list[str], now_ms: int, *, allow_private: bool) -> DeliveryAttempt:
    """Send a webhook once. Receivers check the signed time, so it is Redis's."""
    started = time.monotonic()
    address = urlsplit(message.url)
    attributes = {"http.request.method": "POST", "server.address": address.hostname or "", "webhook.id": message.id}
    span = spans.begin("CLIENT", "POST webhook", message.trace, attributes)
    headers = {
        "Content-Type": "application/json",
        "webhook-id": message.id,
        "webhook-timestamp": str(now_ms // 1000),
        "webhook-signature": signature(secrets, message.id, now_ms // 1000, message.body),
        **span.trace.headers,
    }
    status, reason = None, None
    try:
        with request(
            "POST", message.url, headers=headers, content=message.body, limits=LIMITS, allow_private=allow_private
        ) as response:
            status = response.status
    except FetchError as error:
        reason = str(error)
    except Exception:  # an unexpected error must count as an attempt, or the webhook would be retried forever
        event(log, "webhook.error", level=logging.ERROR, error=True, **message.log_ids)
        reason = "The webhook could not be sent."
    span.set({"http.response.status_code": status} if status else {})
    span.end(reason or ("" if status and status < 400 else f"The answer is {status}."))
    return DeliveryAttempt(now_ms, round((time.monotonic() - started) * 1000), status, reason)


@dataclass(slots=True)
class Receiver:
    """A host, its latest response, the time of the next attempt, and the undelivered webhooks to it."""

    host: str
    last: DeliveryAttempt
    next_ms: int
    webhooks: list[PendingWebhook] = field(default_factory=list)


def failing(store: Store) -> list[Receiver]:
    """Return the failing receivers: hosts with undelivered webhooks that were tried, most webhooks first."""
    receivers: dict[str, Receiver] = {}
    for webhook in store.webhooks.pending(MAX_WEBHOOKS_READ):
        tried = webhook.attempts
        if not tried or tried[-1].succeeded:
            continue
        host = urlsplit(webhook.url).netloc
        receiver = receivers.setdefault(host, Receiver(host, tried[-1], webhook.next_ms))
        receiver.last = max(receiver.last, tried[-1], key=lambda attempt: attempt.at)
        receiver.next_ms = min(receiver.next_ms, webhook.next_ms)
        receiver.webhooks.append(webhook)
    return sorted(receivers.values(), key=lambda receiver: -len(receiver.webhooks))
