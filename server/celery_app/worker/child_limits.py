"""Limits of a pool child: its memory, and the signals that end it."""

import ctypes
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import Any

from celery.signals import worker_process_init

from server.celery_app.worker import child_memory
from server.store import Store
from server.store.connection import UNREACHABLE

_PR_SET_PDEATHSIG = 1


def install(store: Store) -> None:
    """Set the limits of each child when it starts, and let it connect: waiting for Redis is not a task's time."""

    def set_up(**_: Any) -> None:
        # A PaaS sends SIGTERM to all processes at the same time. The main process ends children itself, by SIGKILL.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _die_with_parent()
        child_memory.set_up(store.settings.worker_memory_limit)
        with suppress(*UNREACHABLE):
            store.redis.ping()

    worker_process_init.connect(set_up, weak=False)
    child_memory.replace_children_that_have_grown()


def _die_with_parent() -> None:
    """End this child if its main process is killed: the lease expires, and the task runs elsewhere."""
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        return
    threading.Thread(target=_watch_parent, args=(parent,), daemon=True).start()


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
