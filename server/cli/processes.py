"""Runs processes in parallel, each in its own session, and stops all of them together.

honcho's Procfile parser and printer are used, but not its `Manager`, because of problems that no subclass can fix:
- it considers a process ended when its output closes, so a killed main process is not noticed while a child lives;
- its kill wait counts from the first process that ended, inside `loop()`, so processes that ignore SIGTERM are
  never killed, and a signal before every process has started is a KeyError;
- it relays output through forked processes that ignore SIGTERM and outlive a killed runner.
"""

import contextlib
import datetime
import os
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import IO, Self

from honcho.colour import get_colours
from honcho.printer import Message, Printer

from server.cli.orphan_guard import GRACE, Guard


class Stop:
    """A request to stop, set by signal handlers and checked by every wait, so that nothing stays half-started."""

    def __init__(self) -> None:
        self.asked = False
        self.hurry = False
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, self._note)

    def _note(self, signum: int, _frame: object) -> None:
        # Only a second Ctrl-C kills: `timeout`, make and a PaaS may send several SIGTERMs.
        self.hurry = self.hurry or (self.asked and signum == signal.SIGINT)
        self.asked = True


@dataclass
class Child:
    """One process, the leader of its session, and its incomplete last line."""

    name: str
    colour: str
    popen: "subprocess.Popen[bytes]"
    output: IO[bytes]
    unfinished: bytes = b""

    @property
    def gone(self) -> bool:
        """Return whether it has ended, and its children have closed the output."""
        return self.popen.poll() is not None and self.output.closed


class Processes:
    """The running processes. The end of the `with` block stops them."""

    def __init__(self, stop: Stop, guard: Guard) -> None:
        self._stop = stop
        self._guard = guard
        self._children: list[Child] = []
        self._selector = selectors.DefaultSelector()
        self._printer = Printer(sys.stdout)
        self._colours = get_colours()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def start(self, name: str, command: str) -> None:
        """Start a line of a Procfile with this process's environment."""
        popen = subprocess.Popen(
            command,
            shell=True,  # a Procfile's line is a shell command
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # the terminal's Ctrl-C reaches only the runner
        )
        self._guard.watch(popen.pid)
        assert popen.stdout is not None
        child = Child(name, next(self._colours), popen, popen.stdout)
        self._children.append(child)
        self._selector.register(child.output, selectors.EVENT_READ, child)
        self._printer.width = max(self._printer.width, len(name))

    def wait(self, valkey: "subprocess.Popen[bytes] | None") -> int:
        """Relay output until a stop is requested (0), or until one of them or Valkey ends by itself (1)."""
        watched = {child.name: child.popen for child in self._children}
        if valkey:
            watched["valkey"] = valkey
        while not self._stop.asked:
            for name, popen in watched.items():
                if (code := popen.poll()) is not None:
                    print(f"make run: {name} ended by itself (code {code}), so everything stops.", file=sys.stderr)
                    return 1
            self._relay()
        return 0

    def _close(self) -> None:
        """Send SIGTERM to all, and SIGKILL to the rest after `GRACE` seconds or a second Ctrl-C."""
        deadline = time.monotonic() + GRACE
        self._signal(signal.SIGTERM)
        while not (self._all_gone() or self._stop.hurry or time.monotonic() > deadline):
            self._relay()
        self._signal(signal.SIGKILL)
        deadline = time.monotonic() + 1  # the last output, without waiting for a process that moved to another session
        while not self._all_gone() and time.monotonic() < deadline:
            self._relay()
        self._selector.close()
        for child in self._children:
            child.output.close()
            child.popen.wait()

    def _all_gone(self) -> bool:
        return all(child.gone for child in self._children)

    def _signal(self, signum: int) -> None:
        for child in self._children:
            # The whole group, even if its leader has ended: children of a killed main process are in it.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.popen.pid, signum)

    def _relay(self) -> None:
        """Print new output line by line, for a tenth of a second at most."""
        for key, _ in self._selector.select(0.1):
            child: Child = key.data
            chunk = os.read(key.fd, 65536)
            if chunk:
                lines, _, child.unfinished = (child.unfinished + chunk).rpartition(b"\n")
            else:
                lines = child.unfinished
                self._selector.unregister(child.output)
                child.output.close()
            if lines:
                self._print(child, lines)

    def _print(self, child: Child, lines: bytes) -> None:
        try:
            self._printer.write(Message("line", lines, datetime.datetime.now(), child.name, child.colour))
        except OSError:  # the reader is gone (`make run | head`): stop without output
            self._stop.asked = True
            self._printer = Printer(open(os.devnull, "w"))  # noqa: PTH123, SIM115 - until the process ends
