"""Queues throttled tasks again, which wait for a limit of their type (`max_running`, `per_minute`) or a pause."""

from collections.abc import Iterable

from server.sdk.registry import catalog, definition
from server.store import Store
from server.store.leases import FREE
from server.store.tasks import Attempt

BATCH = 200  # maximum tasks that one script queues, and scopes that one call reads


def release_next(store: Store, attempt: Attempt) -> None:
    """Queue the next throttled task after an attempt has ended."""
    throttle = definition(attempt.task_type).throttle
    if throttle.max_running:
        scope = {"value": attempt.limit_scope, "owner": attempt.owner}.get(throttle.scope_type, "")
        store.leases.release_throttled(attempt.task_type, scope, throttle, 1)


def release_all(store: Store) -> int:
    """Queue all tasks that may run, also of types whose limit was removed. Return their number."""
    return _release(store, store.leases.throttled())


def release_due(store: Store) -> int:
    """Queue the tasks of up to `BATCH` scopes that may have capacity now. Return the number of tasks."""
    return _release(store, store.leases.due_scopes(BATCH))


def _release(store: Store, scopes: Iterable[tuple[str, str]]) -> int:
    throttles = {each.name: each.throttle for each in catalog()}
    waiting = list(scopes)
    # Tasks of a type that no worker knows go back to their queue, where the type may come back or they fail
    # (`UNKNOWN_TYPE_SECONDS`). Those of a type that another worker knows wait for a leader that knows its limits.
    if any(name not in throttles for name, _ in waiting):
        types_of_workers = {name for worker in store.leases.workers() for name in worker.get("tasks", ())}
        throttles |= {name: FREE for name, _ in waiting if name not in types_of_workers | throttles.keys()}
    released = 0
    for name, scope in waiting:
        count = BATCH if name in throttles else 0
        while count == BATCH:
            count = store.leases.release_throttled(name, scope, throttles[name], BATCH)
            released += count
    return released
