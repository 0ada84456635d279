"""Records and messages of any number of tasks, in one step."""

from server import ids
from server.broker.message import for_broker
from server.broker.outside import announce
from server.records import NewTask, Order, Receipt, Record, Status, intake


def store_and_publish(order: Order) -> Receipt:
    """Records and messages in one script where the broker is this Redis; else the records first.

    Raises:
        Problem: `idempotency-key-reused` or `unavailable`.
    """
    messages = [for_broker(task.id, task.kind, task.queue, task.rank, "web") for task in order.tasks]
    receipt = intake().submit(order, messages)
    if receipt.replayed is None:
        outcomes = zip(order.tasks, receipt.outcomes, strict=True)
        announce([task for task, place in outcomes if isinstance(place, int) and place])
    return receipt


def first_record(task: NewTask) -> Record:
    """The record as it is when it has just been stored, without asking."""
    due = task.due_ms > ids.milliseconds(task.id)
    scheduled = due or bool(task.waits_for)
    return Record(
        task.id,
        task.owner,
        task.kind,
        Status.SCHEDULED if scheduled else Status.QUEUED,
        queue=task.queue,
        priority=task.priority,
        request_id=task.request_id,
        due_ms=task.due_ms if due else None,
        tags=list(task.tags),
        retry_of=task.retry_of,
        waits_for=list(task.waits_for),
    )
