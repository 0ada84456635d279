"""A pool child: how much memory it may take, and which signals end it."""

import ctypes
import logging
import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from celery.signals import worker_process_init

from server.logs import event
from server.settings import Settings

_PR_SET_PDEATHSIG = 1

log = logging.getLogger(__name__)


def install(settings: Settings) -> None:
    """Set each child up when it starts."""

    def set_up(**_: Any) -> None:
        _set_up(settings)

    worker_process_init.connect(set_up, weak=False)


def _set_up(settings: Settings) -> None:
    # A PaaS sends SIGTERM to every process at once. The main process lets children finish, and kills by SIGKILL.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _die_with_parent()
    _limit_memory(settings.worker_memory_limit)


def _die_with_parent() -> None:
    """A child whose main process was killed must not run on: its lease ends, and the task starts elsewhere."""
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
    """Let an allocation beyond the limit fail as a `MemoryError`, which ends the task and not the worker.

    RLIMIT_DATA counts what is private and writable, so that reserved address space does not eat the limit.
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
