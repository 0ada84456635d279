"""A pool child: a limit of memory for each task, no child that keeps what its tasks left behind, and how it ends.

An exception keeps its traceback, which keeps the frames with all their variables, and that is a cycle which the
collector hardly ever reaches in a child: two refused pictures took one from 132 to 515 MB. If the limit counted from
the child's start, valid tasks of others would fail next.
"""

import contextlib
import ctypes
import gc
import logging
import os
import resource
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import billiard.pool
from celery.signals import worker_process_init

from server.celery_app.worker.endings import causes
from server.logs import event
from server.store import Store
from server.store.connection import UNREACHABLE

MAX_GROWTH = 1 / 3  # a child is replaced if its idle size has grown by this share of the limit
_STATM = Path("/proc/self/statm")
_PAGE = resource.getpagesize()
_PR_SET_PDEATHSIG = 1

log = logging.getLogger(__name__)


class _Child:
    """This process: bytes at its start and those that one task may use (0: not set up)."""

    idle_bytes = 0
    limit = 0


def install(store: Store) -> None:
    """Set the limits of each child when it starts, and let it connect: waiting for Redis is not a task's time."""

    def set_up(**_: Any) -> None:
        # A PaaS sends SIGTERM to all processes at the same time. The main process ends children itself, by SIGKILL.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _die_with_parent()
        _note_size(store.settings.worker_memory_limit)
        with contextlib.suppress(*UNREACHABLE):
            store.redis.ping()

    worker_process_init.connect(set_up, weak=False)
    _replace_children_that_have_grown()


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


def _note_size(limit: int) -> None:
    """Note the size of a child that starts, and exclude what it has inherited from collections.

    Nothing is collected before: that would write to every object, and so copy the pages that the child shares.
    """
    gc.freeze()
    _Child.idle_bytes, _Child.limit = _kept_bytes(), limit
    renew_limit(limit)


def renew_limit(extra: int) -> None:
    """Make allocations beyond the limit fail with `MemoryError`, which ends the task but not the worker.

    It counts from what the child has now. RLIMIT_DATA counts private writable memory, not reserved address space.
    """
    if not _Child.limit:
        return  # a pool without processes, such as `--pool solo`
    limit = _data_bytes() + extra
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    except (ValueError, OSError):
        event(log, "worker.memory_limit_not_set", level=logging.WARNING)


def release(error: BaseException) -> None:
    """Let go of the data of an attempt that failed: the variables of all frames that its exceptions have kept."""
    for each in causes(error):
        with contextlib.suppress(RuntimeError):  # a frame that still runs
            traceback.clear_frames(each.__traceback__)
    gc.collect()


def has_grown() -> bool:
    """Return whether this child must be replaced, because an earlier task has left too much memory behind."""
    if not _Child.limit:
        return False
    max_bytes = _Child.idle_bytes + int(_Child.limit * MAX_GROWTH)
    if _kept_bytes() <= max_bytes:
        return False
    gc.collect()
    _trim()
    return _kept_bytes() > max_bytes


def _kept_bytes() -> int:
    """Return the private memory that this process has in use: free pages within the heap do not count, once trimmed."""
    try:
        resident, shared = _STATM.read_text().split()[1:3]
        return (int(resident) - int(shared)) * _PAGE
    except OSError:  # not Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _data_bytes() -> int:
    """Return the bytes of private writable memory that this process has reserved."""
    try:
        return int(_STATM.read_text().split()[5]) * _PAGE
    except OSError:  # not Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _trim() -> None:
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError, OSError):  # a libc other than glibc
            ctypes.CDLL(None).malloc_trim(0)


def _replace_children_that_have_grown() -> None:
    """Let billiard ask `has_grown` after each task.

    It asks for its own measure, the largest size that the process ever had, which a single large task exceeds for good.
    A child that answers more than `worker_max_memory_per_child`, which is 1, ends and is replaced.
    """
    main = os.getpid()

    def measure() -> int:
        if os.getpid() == main or not has_grown():
            return 1
        event(log, "worker.child_replaced", bytes=_kept_bytes(), at_start=_Child.idle_bytes)
        return 2

    billiard.pool.mem_rss = measure
