"""Capture what a task prints and logs: lines of the worker's log with the task's id, and of the task's own log.

A child runs one task at a time, so its threads' lines belong to it, too.
"""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

from server.sdk.context import Context

#: Lines of one attempt that reach the task's log, which keeps the last 500; the worker's log has all of them.
MAX_LINES = 1_000
_SERVER_LOGGERS = "server."  # loggers of the server itself: each of its events names its task already


class _Lines(io.TextIOBase):
    """A standard output or error whose lines are those of `ctx.log`."""

    encoding = "utf-8"

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._rest = ""
        self._number = 0

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._log(line)
        return len(text)

    def finish(self) -> None:
        rest, self._rest = self._rest, ""
        self._log(rest)

    def _log(self, line: str) -> None:
        if line.strip():
            self._number += 1
            self._ctx.log(line, keep=self._number <= MAX_LINES)


class _Records(logging.Handler):
    """A handler of the root logger: lines of other loggers are lines of the task's own log, too."""

    def __init__(self, ctx: Context) -> None:
        super().__init__()
        self._ctx = ctx
        self._number = 0

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith(_SERVER_LOGGERS):
            return
        self._number += 1
        if self._number <= MAX_LINES:
            self._ctx.keep_line(f"{record.levelname} {record.getMessage()}")


@contextmanager
def captured(ctx: Context) -> Iterator[None]:
    """Give what is printed and logged in this block to the task."""
    lines, errors, records, root = _Lines(ctx), _Lines(ctx), _Records(ctx), logging.getLogger()
    root.handlers.insert(0, records)
    try:
        with redirect_stdout(lines), redirect_stderr(errors):
            yield
    finally:
        lines.finish()
        errors.finish()
        root.removeHandler(records)
