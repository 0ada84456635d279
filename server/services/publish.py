"""Store and publish any number of tasks in one step."""

from server.store import Store
from server.store.record import NewTask, Record, Status
from server.store.submit import SubmitRequest, SubmitResult


def store_and_publish(store: Store, request: SubmitRequest) -> SubmitResult:
    """Store records and messages by one script if the broker is this Redis, otherwise the records first.

    Raises:
        IdempotencyKeyReused, StoreUnavailable: nothing was stored.
    """
    store.before_publish(request.tasks)
    result = store.submits.submit(request)
    if result.replayed is None:
        outcomes = list(zip(request.tasks, result.outcomes, strict=True))
        store.publish_new([task for task, place in outcomes if isinstance(place, int) and place])
        store.after_publish([task for task, place in outcomes if isinstance(place, int)])
    return result


def first_status(task: NewTask, due_ms: int) -> Status:
    return Status.SCHEDULED if task.waits_for or due_ms else Status.QUEUED


def first_record(store: Store, task: NewTask, now_ms: int) -> Record:
    """The record of a task that was stored at this moment, without a read."""
    due = task.due_ms(now_ms)
    status = first_status(task, due)
    return Record(
        task.id,
        task.owner,
        task.task_type,
        status,
        queue=task.queue,
        priority=task.priority,
        request_id=task.request_id,
        trace_parent=task.trace.parent,
        trace_state=task.trace.state,
        due_ms=due or None,
        tags=task.tags,
        retry_of=task.retry_of,
        waits_for=task.waits_for,
        paused=status is Status.QUEUED and store.pauses.cover(task.queue, task.task_type),
    )
