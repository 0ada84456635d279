"""A plain Celery task, without a task type or a record of ours."""

import os
import time

from celery import Task, shared_task
from ledger_client import client

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
