"""Plain Celery tasks, which have no task type and no record of ours."""

import os
import time

from celery import Task, shared_task
from ledger_client import client

from server import expose

#: As in `sample_tasks`.
LEDGER = "test:ledger"


def _note(name: str, word: str) -> None:
    client().rpush(LEDGER, f"{name} {word} {time.time():.6f} {os.getpid()}")


@shared_task
def plain(name: str, seconds: float) -> str:
    """Write the start to the ledger, sleep, write the end."""
    _note(name, "start")
    time.sleep(seconds)
    _note(name, "end")
    return name


class Base(Task):
    """A task class of another project."""


@shared_task(base=Base)
def based(name: str, seconds: float) -> str:
    """The same task with that class."""
    return plain(name, seconds)


@shared_task
def total(left: int, right: int) -> int:
    """Add two numbers."""
    return left + right


@shared_task(bind=True)
def handed_over(self: Task, left: int, right: int) -> int:
    """Name the task whose result is to be this one's: a sum, and ten more."""
    return self.replace(total.s(left, right) | total.s(10))  # type: ignore[no-any-return]


expose(handed_over)
