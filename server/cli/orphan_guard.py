"""Ends what a killed runner leaves behind: SIGKILL gives the runner itself no time for it.

The guard is a small process in a session of its own. The runner writes the process groups that it starts into the
guard's stdin; the end of that file is the runner's death. (Linux's PR_SET_PDEATHSIG was tried: it reaches
the shell of a Procfile's line, not what that shell started, and it would end Valkey at the same time as the rest.)
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import Self

GRACE = 30.0  # seconds between SIGTERM and SIGKILL: a worker may take 25 to hand its tasks back


class Guard:
    """The runner's side. Leave the `with` block when everything has been stopped: then there is nothing to guard."""

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

    def watch(self, group: int) -> None:
        """Have this process group ended too. The first one named is ended after the others."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # somebody killed the guard: the runner works without
            self._process.stdin.write(b"%d\n" % group)
            self._process.stdin.flush()


def main() -> None:
    """The guard's side: wait for the runner's death, then end the groups, the first one (Valkey) after the others."""
    groups = [int(line) for line in sys.stdin]
    end(groups[1:])
    end(groups[:1])


def end(groups: list[int]) -> None:
    """SIGTERM to all, SIGKILL to what is left after `GRACE` seconds."""
    left = [group for group in groups if alive(group, signal.SIGTERM)]
    deadline = time.monotonic() + GRACE
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = [group for group in left if alive(group)]
    for group in left:
        alive(group, signal.SIGKILL)


def alive(group: int, signum: int = 0) -> bool:
    """Whether anything of the group was there to take the signal (0 sends none)."""
    try:
        os.killpg(group, signum)
    except (ProcessLookupError, PermissionError):  # another user's: the number has been taken anew
        return False
    return True


if __name__ == "__main__":
    main()
