"""Failing receivers: hosts with undelivered webhooks that were tried."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from server.store import Store
from server.store.record import Record
from server.store.webhooks import DeliveryAttempt

MAX_LOOKED_AT = 500  # maximum number of undelivered webhooks to read


@dataclass(slots=True)
class Receiver:
    """A host, its latest answer, the time of the next attempt, and the tasks with undelivered webhooks to it."""

    host: str
    last: DeliveryAttempt
    next_ms: int
    tasks: list[Record] = field(default_factory=list)


def failing(store: Store) -> list[Receiver]:
    """Return the failing receivers, most webhooks first."""
    found: dict[str, Receiver] = {}
    pending = store.webhooks.pending(MAX_LOOKED_AT)
    records, attempts = store.tasks.get_many(list(pending)), store.webhooks.attempts_of(pending)
    for record, tried in zip(records, attempts, strict=True):
        if record is None or record.webhook is None or not tried or tried[-1].succeeded:
            continue
        host = urlsplit(record.webhook).netloc
        receiver = found.setdefault(host, Receiver(host, tried[-1], pending[record.id]))
        receiver.last = max(receiver.last, tried[-1], key=lambda attempt: attempt.at)
        receiver.next_ms = min(receiver.next_ms, pending[record.id])
        receiver.tasks.append(record)
    return sorted(found.values(), key=lambda receiver: -len(receiver.tasks))
