"""Tasks that were set aside, by a limit of their type (`max_running`, `per_minute`) or by a pause: queue them again."""

from server.sdk.registry import catalog, definition
from server.store import Store
from server.store.leases import Throttle

BATCH = 200  # tasks that one script queues


def release_next(store: Store, task_type: str, owner: str) -> None:
    """Queue the next throttled task after one of this type and owner has ended."""
    throttle = definition(task_type).throttle
    if throttle.max_running:
        store.leases.release_throttled(task_type, owner if throttle.per_owner else "", throttle, 1)


def release_all(store: Store) -> int:
    """Queue all tasks that may run, also of types whose limit was removed.

    Returns:
        The number of queued tasks.
    """
    throttles = {each.name: each.throttle for each in catalog()}
    return sum(
        _release(store, task_type, owner, throttles[task_type])
        for task_type, owner in store.leases.throttled()
        if task_type in throttles
    )


def _release(store: Store, task_type: str, owner: str, throttle: Throttle) -> int:
    released = 0
    while (count := store.leases.release_throttled(task_type, owner, throttle, BATCH)) == BATCH:
        released += count
    return released + count
