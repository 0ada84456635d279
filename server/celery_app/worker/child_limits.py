"""Limits of a pool child: its memory, and the signals that end it."""

import ctypes
import logging
import os
import resource
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from celery.signals import worker_process_init

from server.logs import event
from server.settings import Settings
from server.store import Store
from server.store.connection import UNREACHABLE

_PR_SET_PDEATHSIG = 1

log = logging.getLogger(__name__)


def install(store: Store) -> None:
    """Set the limits of each child when it starts, and let it connect: waiting for Redis is not a task's time."""

    def set_up(**_: Any) -> None:
        _set_up(store.settings)
        with suppress(*UNREACHABLE):
            store.redis.ping()

    worker_process_init.connect(set_up, weak=False)


def _set_up(settings: Settings) -> None:
    # A PaaS sends SIGTERM to all processes at the same time. The main process ends children itself, by SIGKILL.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _die_with_parent()
    _limit_memory(settings.worker_memory_limit)


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


def _limit_memory(extra: int) -> None:
    """Make allocations beyond the limit fail with `MemoryError`, which ends the task but not the worker.

    RLIMIT_DATA counts private writable memory, not reserved address space.
    """
    limit = _data_bytes() + extra
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    except (ValueError, OSError):
        event(log, "worker.memory_limit_not_set", level=logging.WARNING)


def _data_bytes() -> int:
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmData"))
    return int(line.split()[1]) * 1024
