"""Limits of a task type (`max_running`, `per_minute`): publish throttled tasks when the limit allows."""

from server.sdk.registry import catalog, definition
from server.services.message import rebuild
from server.store import Store
from server.store.record import Throttle


def release_next(store: Store, task_type: str, owner: str) -> None:
    """Queue the next throttled task after one of this type and owner has ended."""
    throttle = definition(task_type).throttle
    if throttle.max_running:
        _publish(store, store.leases.release_throttled(task_type, owner if throttle.per_owner else "", throttle, 1))


def release_all(store: Store, limit: int) -> int:
    """Queue all tasks that may run, up to `limit` of each type, also of types whose limit was removed.

    Returns:
        The number of queued tasks.
    """
    throttles = {each.name: each.throttle for each in catalog()}
    return sum(
        _release(store, task_type, owner, throttles[task_type], limit)
        for task_type, owner in store.leases.throttled()
        if task_type in throttles
    )


def _release(store: Store, task_type: str, owner: str, throttle: Throttle, limit: int) -> int:
    task_ids = store.leases.release_throttled(task_type, owner, throttle, limit)
    _publish(store, task_ids)
    return len(task_ids)


def _publish(store: Store, task_ids: list[str]) -> None:
    for task_id in task_ids:
        record = store.tasks.get(task_id)
        if record is not None:
            store.leases.publish(record, rebuild(store.settings, record))
