"""Runs processes in parallel, each in its own session, restarts those that end, and stops all of them together.

honcho's Procfile parser and printer are used, but not its `Manager`, because of problems that no subclass can fix:
- it considers a process ended when its output closes, so a killed main process is not noticed while a child lives;
- its kill wait counts from the first process that ended, inside `loop()`, so processes that ignore SIGTERM are
  never killed, and a signal before every process has started is a KeyError;
- it relays output through forked processes that ignore SIGTERM and outlive a killed runner.
"""

import datetime
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self

from honcho.colour import get_colours
from honcho.printer import Message, Printer

from server.cli.orphan_guard import GRACE, OrphanGuard, signal_group

#: Seconds before an ended process starts again: the first pause, which doubles up to the maximum.
FIRST_PAUSE, MAX_PAUSE = 1.0, 16.0

#: Ends in a row after which the runner gives up, and seconds of running after which the count begins anew.
MAX_ENDS, STEADY = 4, 60.0

_CHECK_SECONDS = 0.5  # seconds between two checks of the files of task modules


class Stop:
    """A request to stop, set by signal handlers and checked by every wait, so that nothing stays half-started."""

    def __init__(self) -> None:
        self.requested = False
        self.hurry = False
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, self._note)

    def _note(self, signum: int, _frame: object) -> None:
        # Only a second Ctrl-C kills: `timeout`, make and a PaaS may send several SIGTERMs.
        self.hurry = self.hurry or (self.requested and signum == signal.SIGINT)
        self.requested = True


class ModuleWatcher:
    """Notices changes of task modules: of a module's file, or of all files of the package that it is in."""

    def __init__(self, modules: Sequence[str]) -> None:
        # They are not imported: they would stay in this process as they were.
        self._names = sorted({name.partition(".")[0] for name in modules})
        self._checked_at = time.monotonic()
        self._mtimes = self._read_mtimes()

    def changed(self) -> Path | None:
        """Return a file that was changed, created or deleted since the last check, or None."""
        if time.monotonic() - self._checked_at < _CHECK_SECONDS:
            return None
        self._checked_at = time.monotonic()
        before, self._mtimes = self._mtimes, self._read_mtimes()
        different = before.items() ^ self._mtimes.items()
        return min((path for path, _ in different), default=None)

    def _read_mtimes(self) -> dict[Path, int]:
        mtimes = {}
        for path in self._files():
            try:
                mtimes[path] = path.stat().st_mtime_ns
            except OSError:  # an editor replaces it at this moment
                continue
        return mtimes

    def _files(self) -> Iterator[Path]:
        for name in self._names:
            for folder in dict.fromkeys((str(Path.cwd()), *sys.path)):
                package, module = Path(folder) / name, Path(folder) / f"{name}.py"
                if package.is_dir():
                    yield from package.rglob("*.py")
                    break
                if module.is_file():
                    yield module
                    break


@dataclass
class Child:
    """One process, the leader of its session, and the thread that prints its output.

    `ends` counts its ends in a row; `restart_at` is the time of its next start while it is not running. A process whose
    code has changed is `reloading`: it must end before `restart_at`. Times are by `time.monotonic()`.
    """

    name: str
    command: str
    colour: str
    popen: "subprocess.Popen[bytes]" = field(init=False)
    relay: threading.Thread = field(init=False)
    started_at: float = field(init=False)
    ends: int = 0
    restart_at: float | None = None
    reloading: bool = False
    reloaded: bool = False

    @property
    def gone(self) -> bool:
        """Return whether it has ended, and its children have closed the output."""
        return self.popen.poll() is not None and not self.relay.is_alive()


class Processes:
    """The running processes. The end of the `with` block stops them."""

    def __init__(self, stop: Stop, orphan_guard: OrphanGuard, watcher: ModuleWatcher) -> None:
        self._stop = stop
        self._orphan_guard = orphan_guard
        self._watcher = watcher
        self._children: list[Child] = []
        self._printer = Printer(sys.stdout)
        self._printing = threading.Lock()
        self._colours = get_colours()

    def __enter__(self) -> Self:
        return self

    def start(self, name: str, command: str) -> None:
        """Start a line of a Procfile with this process's environment."""
        self._printer.width = max(self._printer.width, len(name))
        child = Child(name, command, next(self._colours))
        self._launch(child)
        self._children.append(child)

    def _launch(self, child: Child) -> None:
        child.popen = subprocess.Popen(
            child.command,
            shell=True,  # a Procfile's line is a shell command
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # the terminal's Ctrl-C reaches only the runner
        )
        self._orphan_guard.add(child.popen.pid)
        child.relay = threading.Thread(target=self._relay, args=(child, child.popen.stdout), daemon=True)
        child.relay.start()
        child.started_at, child.restart_at, child.reloading = time.monotonic(), None, False

    def wait(self, valkey: "subprocess.Popen[bytes] | None") -> int:
        """Wait until a stop is requested (0), or until Valkey ends by itself or a process keeps ending (1)."""
        while not self._stop.requested:
            if valkey and (code := valkey.poll()) is not None:
                self._say(f"valkey ended by itself (code {code}), so everything stops.")
                return 1
            if path := self._watcher.changed():
                self._say(f"{path.name} has changed: {' and '.join(each.name for each in self._children)} start again.")
                for child in self._children:
                    self._reload(child)
            if not all(self._attend(child) for child in self._children):
                return 1
            time.sleep(0.1)
        return 0

    def _attend(self, child: Child) -> bool:
        """Start a process again that has ended by itself; return False if it keeps ending."""
        now = time.monotonic()
        if child.restart_at is not None:
            if now >= child.restart_at or (child.reloading and child.gone):
                signal_group(child.popen.pid, signal.SIGKILL)  # its own children, which may still use the port
                self._launch(child)
            return True
        if (code := child.popen.poll()) is None:
            return True
        child.ends = 1 if now - child.started_at > STEADY else child.ends + 1
        if child.reloaded and now - child.started_at <= STEADY:
            self._say(f"{child.name} ended by itself (code {code}). It starts again when a task module changes.")
            child.restart_at = math.inf
            return True
        if child.ends == MAX_ENDS:
            times = f"{child.name} ended {MAX_ENDS} times in a row (last code {code})"
            self._say(f"{times}, so everything stops. Its last lines above say why.")
            return False
        pause = min(FIRST_PAUSE * 2 ** (child.ends - 1), MAX_PAUSE)
        self._say(f"{child.name} ended by itself (code {code}). It starts again in {pause:.0f} s.")
        child.restart_at = now + pause
        return True

    def _reload(self, child: Child) -> None:
        """Ask a process to end, as at the runner's own end, so that it starts with the changed code."""
        waits = child.restart_at is not None and not child.reloading
        child.restart_at = time.monotonic()
        child.reloading = child.reloaded = True
        if not waits:
            child.restart_at += GRACE
            signal_group(child.popen.pid, signal.SIGTERM)

    def _say(self, message: str) -> None:
        print(f"make run: {message}", file=sys.stderr, flush=True)

    def __exit__(self, *_: object) -> None:
        """Send SIGTERM to all, and SIGKILL to the rest after `GRACE` seconds or a second Ctrl-C."""
        deadline = time.monotonic() + GRACE
        self._signal(signal.SIGTERM)
        while not (all(child.gone for child in self._children) or self._stop.hurry or time.monotonic() > deadline):
            time.sleep(0.05)
        self._signal(signal.SIGKILL)
        for child in self._children:
            child.popen.wait()
            child.relay.join(1)  # the last output, without waiting for a process that moved to another session
        with self._printing:
            self._mute()

    def _signal(self, signum: int) -> None:
        for child in self._children:
            # The whole group, even if its leader has ended: children of a killed main process are in it.
            signal_group(child.popen.pid, signum)

    def _relay(self, child: Child, output: IO[bytes]) -> None:
        """Print the lines of a process, in a thread, until it and its children have closed the output."""
        with output:
            for line in output:
                with self._printing:
                    self._print(child, line)

    def _print(self, child: Child, line: bytes) -> None:
        try:
            self._printer.write(Message("line", line, datetime.datetime.now(), child.name, child.colour))
        except OSError:  # the reader is gone (`make run | head`): stop without output
            self._stop.requested = True
            self._mute()

    def _mute(self) -> None:
        self._printer = Printer(open(os.devnull, "w"))  # noqa: PTH123, SIM115 - until the process ends
