"""Ends the processes that tests started if the test process itself dies: by Ctrl-C, SIGKILL or a crash.

The reaper is a small process in its own session. The test process writes the process groups that it starts to the
reaper's stdin; the end of that file means that the test process is dead. Fixtures end their processes themselves, but
on Ctrl-C pytest-xdist gives them no time for it.
"""

import contextlib
import os
import signal
import subprocess
import sys
from functools import lru_cache
from typing import Any


def popen(command: list[str], **options: Any) -> subprocess.Popen[Any]:
    """Start a process in its own session, which is killed if this test process dies."""
    started = subprocess.Popen(command, start_new_session=True, **options)
    register_group(started.pid)
    return started


def register_group(group: int) -> None:
    """Kill this process group if this test process dies."""
    stdin = _reaper().stdin
    assert stdin
    stdin.write(b"%d\n" % group)
    stdin.flush()


@lru_cache(maxsize=1)
def _reaper() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, start_new_session=True)


def main() -> None:
    """Collect process groups until stdin ends, then kill them. Groups that have ended are dropped on the way."""
    groups: set[int] = set()
    for line in sys.stdin:
        groups = {group for group in groups if _signal(group, 0)} | {int(line)}
    for group in groups:
        _signal(group, signal.SIGKILL)


def _signal(group: int, number: int) -> bool:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
        return True
    return False


if __name__ == "__main__":
    main()
