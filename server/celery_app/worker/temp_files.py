"""The temporary files of a pool child go with it, however it ends.

Each child has a folder of its own, which it locks. The system takes the lock back from a process that was killed in
the middle of a file, and whoever finds such a folder unlocked removes it: the child that takes the place of the one
before it, or the worker when it stops.
"""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from celery.signals import worker_process_init, worker_process_shutdown, worker_shutdown

_PREFIX = "coatcheck-"


def install() -> None:
    """Give each child its folder when it starts, and take it back at the end."""
    worker_process_init.connect(_enter, weak=False)
    worker_process_shutdown.connect(_leave, weak=False)
    worker_shutdown.connect(_remove_abandoned, weak=False)


def _enter(**_: Any) -> None:
    _remove_abandoned()
    while True:
        folder = tempfile.mkdtemp(prefix=_PREFIX)
        if _lock(folder) is not None:  # else it was taken for abandoned
            break
    tempfile.tempdir = folder


def _leave(**_: Any) -> None:
    shutil.rmtree(tempfile.gettempdir(), ignore_errors=True)


def _remove_abandoned(**_: Any) -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        lock = _lock(str(folder))
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _lock(folder: str) -> int | None:
    """A lock on a folder, for as long as what is returned is open; None where it is another's, or gone."""
    try:
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if Path(folder).exists():
            return opened
    except OSError:
        pass
    os.close(opened)
    return None
