"""Failing receivers: hosts with undelivered webhooks that were tried."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from server.store import Store
from server.store.record import Record
from server.store.webhooks import DeliveryAttempt

#: Maximum number of undelivered webhooks to read.
MAX_LOOKED_AT = 500


@dataclass(slots=True)
class Receiver:
    """A host, the tasks with undelivered webhooks to it, and its latest answer."""

    host: str
    last: DeliveryAttempt
    tasks: list[Record] = field(default_factory=list)
    next_ms: int | None = None


def failing(store: Store) -> list[Receiver]:
    """Return the failing receivers, most webhooks first."""
    found: dict[str, Receiver] = {}
    for record in store.tasks.get_many(store.webhooks.pending(MAX_LOOKED_AT)):
        attempts = store.webhooks.attempts(record.id) if record and record.webhook else []
        if record is None or record.webhook is None or not attempts or attempts[-1].succeeded:
            continue
        receiver = found.setdefault(urlsplit(record.webhook).netloc, Receiver("", attempts[-1]))
        receiver.host = urlsplit(record.webhook).netloc
        receiver.last = max(receiver.last, attempts[-1], key=lambda attempt: attempt.at)
        receiver.tasks.append(record)
        due = store.webhooks.next_ms(record.id)
        receiver.next_ms = min(filter(None, (receiver.next_ms, due)), default=None)
    return sorted(found.values(), key=lambda receiver: -len(receiver.tasks))
