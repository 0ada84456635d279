"""Limits of a kind (`max_running`, `per_minute`): who waits for room is published when there is some."""

from server.broker.message import rebuild
from server.records import records, upkeep
from server.registry import catalog, kind


def let_next_run(name: str, owner: str) -> None:
    """One of this kind, and this owner, has ended: publish the next."""
    throttle = kind(name).throttle
    if throttle.max_running:
        _publish(upkeep().unhold(name, owner if throttle.per_owner else "", throttle, 1))


def let_all_run(most: int) -> None:
    """Publish all that may run, up to so many of each kind; also of one that has no limit any more."""
    throttles = {each.name: each.throttle for each in catalog()}
    for name, owner in upkeep().holding():
        if name in throttles:
            _publish(upkeep().unhold(name, owner, throttles[name], most))


def _publish(task_ids: list[str]) -> None:
    for task_id in task_ids:
        record = records().get(task_id)
        if record is not None:
            upkeep().publish(record, rebuild(record))
