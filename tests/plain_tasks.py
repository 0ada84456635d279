"""A Celery task as anybody writes one: no kind of ours, no record."""

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
    """Note the start under this name, take a while, note the end."""
    _note(name, "start")
    time.sleep(seconds)
    _note(name, "end")
    return name


class Base(Task):
    """A class of somebody's own."""


@shared_task(base=Base)
def based(name: str, seconds: float) -> str:
    """The same, on that class."""
    return plain(name, seconds)
