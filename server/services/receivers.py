"""Receivers that fail: hosts whose webhooks were tried and are still to be delivered."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from server.store import Store
from server.store.record import Record
from server.store.webhooks import DeliveryAttempt

#: Webhooks that are still to be delivered of which one look reads.
MAX_LOOKED_AT = 500


@dataclass(slots=True)
class Receiver:
    """A host, the tasks whose webhooks it has not taken, and its newest answer."""

    host: str
    last: DeliveryAttempt
    tasks: list[Record] = field(default_factory=list)
    next_ms: int | None = None


def failing(store: Store) -> list[Receiver]:
    """The receivers that fail, most webhooks first."""
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
