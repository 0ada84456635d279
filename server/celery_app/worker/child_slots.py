"""The task that each pool child runs and its time limits, in memory that the children share with the main process.

Billiard's own time limits count for the message that the main process sent. A child that runs further tasks by itself
(see `burst.py`) notes each of them here instead, without a message. Each field is written and read in one step by the
processor. A mixture of two notes is harmless: all deadlines in it are real, and a task's end needs its lease.
"""

import mmap
import os
import signal
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NamedTuple

from billiard import current_process
from billiard.exceptions import SoftTimeLimitExceeded
from billiard.pool import soft_timeout_sighandler
from celery.signals import worker_process_init

from server.sdk.definition import TimeLimits

#: The maximum number of children of one worker. The first slot is the main process's.
_SLOTS = 1024
_SIZE = 128

#: Child's pid, start (seconds of the monotonic clock, 0: idle), soft and hard limit in seconds, task id.
_NOTE = struct.Struct("=qddd36s")
_INTERRUPT = signal.SIGUSR1  # Billiard's signal for a soft time limit
_memory = mmap.mmap(-1, (_SLOTS + 1) * _SIZE)


class RunningTask(NamedTuple):
    """A task that a child runs: since when, and for how many seconds at most."""

    pid: int
    began: float
    soft: float
    hard: float
    task_id: bytes  # in ASCII


class _OwnSlot:
    """The slot of this process; None if it is not a pool child."""

    offset: int | None = None


def install() -> None:
    worker_process_init.connect(_enter, weak=False)


def _enter(**_: object) -> None:
    _OwnSlot.offset = (current_process().index + 1) * _SIZE


@contextmanager
def limited(task_id: str, limits: TimeLimits) -> Iterator[None]:
    """Note that this child runs a task, so that the main process interrupts or kills it at its limits."""
    if _OwnSlot.offset is None:  # a pool without processes, such as `--pool solo`
        yield
        return
    began = time.monotonic()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if time.monotonic() >= began + limits.soft:
            raise SoftTimeLimitExceeded()

    signal.signal(_INTERRUPT, interrupt)
    _NOTE.pack_into(_memory, _OwnSlot.offset, os.getpid(), began, limits.soft, limits.hard, task_id.encode())
    try:
        yield
    finally:
        signal.signal(_INTERRUPT, signal.SIG_IGN)  # its limit is not for what follows the function
        _NOTE.pack_into(_memory, _OwnSlot.offset, os.getpid(), 0.0, 0.0, 0.0, b"")


def let_billiard_interrupt() -> None:
    """Leave the soft limits of a user's own Celery task, which may come next, to billiard."""
    if _OwnSlot.offset is not None:
        signal.signal(_INTERRUPT, soft_timeout_sighandler)


def running() -> dict[int, RunningTask]:
    tasks = (RunningTask(*_NOTE.unpack_from(_memory, offset)) for offset in range(_SIZE, len(_memory), _SIZE))
    return {task.pid: task for task in tasks if task.began}


def stop_bursts() -> None:
    """Let the children claim no more tasks themselves: this worker stops."""
    _memory[0] = 1


def may_burst() -> bool:
    return _OwnSlot.offset is not None and not _memory[0]


def interrupt(pid: int) -> None:
    """Interrupt the function that a child runs beyond its soft limit."""
    os.kill(pid, _INTERRUPT)
