"""Ends the processes of a killed runner, which cannot do it itself after SIGKILL.

The guard is a small process in its own session. The runner writes the process groups that it starts to the guard's
stdin; the end of that file means that the runner is dead. (Linux's PR_SET_PDEATHSIG was tried: it reaches the shell of
a Procfile's line, but not the shell's children, and it would end Valkey at the same time as the others.)
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import Self

GRACE = 30.0  # seconds between SIGTERM and SIGKILL: a worker may need 25 to return its tasks


class OrphanGuard:
    """The runner's side. Leave the `with` block when everything has stopped."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "server.cli.orphan_guard"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def add(self, group: int) -> None:
        """Add a process group to end. The first group is ended after the others."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the guard was killed: the runner works without it
            self._process.stdin.write(b"%d\n" % group)
            self._process.stdin.flush()


def main() -> None:
    """The guard's side: wait for the runner's death, then end the groups, Valkey (the first) after the others."""
    groups = [int(line) for line in sys.stdin]
    end_groups(groups[1:])
    end_groups(groups[:1])


def end_groups(groups: list[int]) -> None:
    """Send SIGTERM to all groups, and SIGKILL to the rest after `GRACE` seconds."""
    left = [group for group in groups if signal_group(group, signal.SIGTERM)]
    deadline = time.monotonic() + GRACE
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = [group for group in left if signal_group(group)]
    for group in left:
        signal_group(group, signal.SIGKILL)


def signal_group(group: int, signum: int = 0) -> bool:
    """Send a signal to a process group; 0 only checks. Return whether the group still exists."""
    try:
        os.killpg(group, signum)
    except (ProcessLookupError, PermissionError):  # another user's process has reused the number
        return False
    return True


if __name__ == "__main__":
    main()
