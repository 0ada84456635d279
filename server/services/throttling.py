"""Limits of a task type (`max_running`, `per_minute`): publish throttled tasks when the limit allows."""

from server.sdk.registry import catalog, definition
from server.store import Store


def release_next(store: Store, task_type: str, owner: str) -> None:
    """Queue the next throttled task after one of this type and owner has ended."""
    throttle = definition(task_type).throttle
    if throttle.max_running:
        store.leases.release_throttled(task_type, owner if throttle.per_owner else "", throttle, 1)


def release_all(store: Store, limit: int) -> int:
    """Queue all tasks that may run, up to `limit` of each type, also of types whose limit was removed.

    Returns:
        The number of queued tasks.
    """
    throttles = {each.name: each.throttle for each in catalog()}
    return sum(
        store.leases.release_throttled(task_type, owner, throttles[task_type], limit)
        for task_type, owner in store.leases.throttled()
        if task_type in throttles
    )
