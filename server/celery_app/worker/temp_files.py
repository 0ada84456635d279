"""Delete the temporary files of a pool child, however it ends.

Each child has its own folder and locks it. The system releases the lock of a killed process. An unlocked folder is
deleted by the child that replaces the previous one, or by the worker when it stops.
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
    """Create a folder for each child when it starts, and delete it at the end."""
    worker_process_init.connect(_enter, weak=False)
    worker_process_shutdown.connect(_leave, weak=False)
    worker_shutdown.connect(_remove_abandoned, weak=False)


def _enter(**_: Any) -> None:
    _remove_abandoned()
    while _lock(folder := tempfile.mkdtemp(prefix=_PREFIX)) is None:
        pass  # another child considered it abandoned
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
    """Lock a folder until the returned file is closed. None if another process has the lock, or it is deleted."""
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
