"""Failing receivers: hosts with undelivered webhooks that were tried."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from server.store import Store
from server.store.webhooks import DeliveryAttempt, PendingWebhook

MAX_LOOKED_AT = 500  # maximum number of undelivered webhooks to read


@dataclass(slots=True)
class Receiver:
    """A host, its latest answer, the time of the next attempt, and the undelivered webhooks to it."""

    host: str
    last: DeliveryAttempt
    next_ms: int
    webhooks: list[PendingWebhook] = field(default_factory=list)


def failing(store: Store) -> list[Receiver]:
    """Return the failing receivers, most webhooks first."""
    found: dict[str, Receiver] = {}
    for webhook in store.webhooks.pending(MAX_LOOKED_AT):
        tried = webhook.attempts
        if not tried or tried[-1].succeeded:
            continue
        host = urlsplit(webhook.url).netloc
        receiver = found.setdefault(host, Receiver(host, tried[-1], webhook.next_ms))
        receiver.last = max(receiver.last, tried[-1], key=lambda attempt: attempt.at)
        receiver.next_ms = min(receiver.next_ms, webhook.next_ms)
        receiver.webhooks.append(webhook)
    return sorted(found.values(), key=lambda receiver: -len(receiver.webhooks))
