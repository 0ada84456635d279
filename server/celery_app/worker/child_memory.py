"""The memory of a pool child: a limit for each task, and no child that keeps what its tasks have left behind.

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
import sys
import traceback
from pathlib import Path

import billiard.pool

from server.celery_app.worker.endings import causes
from server.logs import event

MAX_GROWTH = 1 / 3  # a child is replaced if its idle size has grown by this share of the limit
_STATM = Path("/proc/self/statm")
_PAGE = resource.getpagesize()

log = logging.getLogger(__name__)


class _Child:
    """This process: bytes at its start and those that one task may use (0: not set up)."""

    idle_bytes = 0
    limit = 0


def set_up(limit: int) -> None:
    """Note the size of a child that starts, and exclude what it has inherited from collections.

    Nothing is collected before: that would write to every object, and so copy the pages that the child shares.
    """
    gc.freeze()
    _Child.idle_bytes, _Child.limit = kept_bytes(), limit
    renew_limit(limit)


def renew_limit(extra: int) -> None:
    """Make allocations beyond the limit fail with `MemoryError`, which ends the task but not the worker.

    It counts from what the child has now. RLIMIT_DATA counts private writable memory, not reserved address space.
    """
    if not _Child.limit:
        return  # a pool without processes, such as `--pool solo`
    limit = data_bytes() + extra
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
    most = _Child.idle_bytes + int(_Child.limit * MAX_GROWTH)
    if kept_bytes() <= most:
        return False
    gc.collect()
    _trim()
    return kept_bytes() > most


def kept_bytes() -> int:
    """Return the private memory that this process has in use: free pages within the heap do not count, once trimmed."""
    try:
        resident, shared = _STATM.read_text().split()[1:3]
        return (int(resident) - int(shared)) * _PAGE
    except OSError:  # not Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def data_bytes() -> int:
    """Return the bytes of private writable memory that this process has reserved."""
    try:
        return int(_STATM.read_text().split()[5]) * _PAGE
    except OSError:  # not Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _trim() -> None:
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError, OSError):  # a libc other than glibc
            ctypes.CDLL(None).malloc_trim(0)


def replace_children_that_have_grown() -> None:
    """Let billiard ask `has_grown` after each task.

    It asks for its own measure, the largest size that the process ever had, which a single large task exceeds for good.
    A child that answers more than `worker_max_memory_per_child`, which is 1, ends and is replaced.
    """
    main = os.getpid()

    def measure() -> int:
        if os.getpid() == main or not has_grown():
            return 1
        event(log, "worker.child_replaced", bytes=kept_bytes(), at_start=_Child.idle_bytes)
        return 2

    billiard.pool.mem_rss = measure
