"""Submits as a web process stores them, for tests of the store."""

from typing import Any

from server.sdk.registry import definition
from server.services.options import Options
from server.services.submit import Submission, store_and_publish
from server.store import Store
from server.store.record import NewTask
from server.store.submit import SubmitRequest


def prepare(store: Store, owner: str = "alice", **options: Any) -> NewTask:
    """A task that is ready to be stored."""
    divide = definition("divide")
    return Submission(store, divide, owner, options=Options(**options)).prepare(
        divide.validate_json(b'{"x": 355, "y": 113}')
    )


def submit_many(store: Store, count: int, owner: str = "alice", **options: Any) -> list[str]:
    """Store tasks, 500 in one step; their ids."""
    tasks = [prepare(store, owner, **options) for _ in range(count)]
    for start in range(0, count, 500):
        store_and_publish(store, SubmitRequest(owner, tasks[start : start + 500]))
    return [task.id for task in tasks]
