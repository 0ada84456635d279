"""Logs: one line per event on standard output, as `time level event name=value …`, or as JSON (`LOG_FORMAT=json`)."""

import contextlib
import json
import logging
import logging.config
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote

#: Loggers that repeat our events per task, or that log results or clients' URLs.
_CHATTY = ("celery.app.trace", "celery.worker.strategy", "httpx", "httpcore")
CallSoon = Callable[[Callable[[], None]], object]  # a loop's `call_soon`
_is_plain = re.compile(r"[a-zA-Z0-9_.:/@+*-]+").fullmatch
PLACEHOLDER = "**********"  # shown in place of a secret; pydantic's own text for it

# Lengths in characters.
_MIN_LENGTH = 3  # shorter secrets are not searched for in texts
_MIN_PART = 6  # shorter secrets are hidden as whole words only
_MIN_CUT = 40  # from this length on, both ends of a secret are hidden, too: messages often omit a long value's middle
_END = 20  # length of such an end


class _Task:
    """The task that this process runs: the ids that its lines have, and its secrets."""

    ids: Mapping[str, str] = {}
    secrets: re.Pattern[str] | None = None


def begin_task(ids: Mapping[str, str], secrets: Iterable[str] = ()) -> None:
    """Give each line of this process the ids of a task, and hide its secrets in texts that pass through `redact`."""
    _Task.ids = ids
    forms = {form for secret in secrets for form in _forms(secret) if len(form) >= _MIN_LENGTH}
    by_length = sorted(forms, key=lambda form: (-len(form), form))
    _Task.secrets = re.compile("|".join(map(_pattern, by_length))) if forms else None


def task_ids() -> Mapping[str, str]:
    return _Task.ids


def end_task() -> None:
    _Task.ids, _Task.secrets = {}, None


def redact(text: str) -> str:
    """Put PLACEHOLDER in place of the secrets of the task that this process runs. The result fits JSON."""
    return encodable(text if _Task.secrets is None else _Task.secrets.sub(PLACEHOLDER, text))


def encodable(text: str) -> str:
    """Put escapes in place of lone surrogates, which UTF-8 and JSON do not have: names of files may contain them."""
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


def _forms(secret: str) -> Iterator[str]:
    """Yield a secret as it may be written: in a message, in `repr`, in JSON, in a URL, by lines, and shortened."""
    yield from (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], quote(secret, safe=""), quote(secret))
    yield from (line.strip() for line in secret.splitlines() if len(line.strip()) >= _MIN_PART)
    if len(secret) >= _MIN_CUT:
        yield from (secret[:_END], secret[-_END:])


def _pattern(form: str) -> str:
    escaped = re.escape(form)
    return escaped if len(form) >= _MIN_PART else rf"(?<!\w){escaped}(?!\w)"


#: The attributes of a record that an event does not set.
_BLANK = vars(logging.LogRecord("", 0, "", 0, "", (), None)) | dict.fromkeys(
    ("thread", "threadName", "process", "processName")
)


class Event(logging.LogRecord):
    """The record of an event, without file, line and thread: they are not printed, and took most of a record's time."""

    def __init__(self, logger: str, level: int, name: str, exc_info: Any, fields: dict[str, Any]) -> None:
        self.__dict__.update(_BLANK)
        self.name, self.levelno, self.levelname, self.msg = logger, level, logging.getLevelName(level), name
        self.created = now = time.time()
        self.msecs = now % 1 * 1000
        self.exc_info, self.fields = exc_info, fields


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _value(value: Any) -> str:
    text = str(value) if _Task.secrets is None else redact(str(value))
    return text if _is_plain(text) else _printable(json.dumps(text, ensure_ascii=False))


def _printable(text: str) -> str:
    """Escape line breaks and control characters, since clients choose some of the text."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


class LineFormatter(logging.Formatter):
    """One line per event. The line breaks of a traceback become `\\n`, so that a log router keeps it together."""

    def format(self, record: logging.LogRecord) -> str:
        parts = [_stamp(record), record.levelname, _printable(redact(record.getMessage()))]
        parts += [f"{name}={_value(value)}" for name, value in _fields(record)]
        if record.exc_info:
            parts.append("traceback=" + json.dumps(redact(self.formatException(record.exc_info))))
        return " ".join(parts)


class JsonFormatter(logging.Formatter):
    """One JSON object per event: time, level, message, and its fields by their names."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {"time": _stamp(record), "level": record.levelname, "message": record.getMessage()}
        line |= _fields(record)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        values = {name: value if isinstance(value, int | float) else redact(str(value)) for name, value in line.items()}
        return json.dumps(values)  # with escapes: some readers take U+2028 for the end of a line


def _stamp(record: logging.LogRecord) -> str:
    return f"{_second(int(record.created))}.{int(record.msecs):03d}Z"


def _fields(record: logging.LogRecord) -> list[tuple[str, Any]]:
    """Return names and values of an event; a line that names no other task has the ids of the current one."""
    fields: dict[str, Any] = getattr(record, "fields", {})
    if _Task.ids and fields.get("task_id", current := _Task.ids.get("task_id")) == current:
        fields = {**_Task.ids, **fields}
    return [(name, value) for name, value in fields.items() if value not in (None, "")]


class StandardOutput(logging.Handler):
    """Standard output. Each line is one `write`, which the kernel keeps whole up to the size of a pipe's buffer.

    The lines of one turn of an event loop are one `write`, see `once_a_turn`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._loops_thread = 0
        self._call_soon: CallSoon  # set by `gather`
        self._lines: list[bytes] = []

    def gather(self, thread: int, call_soon: CallSoon) -> None:
        """Keep the lines of a thread until `call_soon` calls."""
        self._loops_thread, self._call_soon = thread, call_soon

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line; drop it when standard output is closed."""
        line = (self.format(record) + "\n").encode(errors="backslashreplace")
        if threading.get_ident() != self._loops_thread:
            _write(line)
            return
        self._lines.append(line)
        if len(self._lines) == 1:
            self._call_soon(self.flush)

    def flush(self) -> None:
        lines, self._lines = self._lines, []
        _write(b"".join(lines))


def _write(text: bytes) -> None:
    with contextlib.suppress(OSError):
        while text:
            text = text[os.write(1, text) :]


@contextlib.contextmanager
def once_a_turn(call_soon: CallSoon) -> Iterator[None]:
    """Write the lines of this thread, which is an event loop's, once a turn; `call_soon` is the loop's."""
    outputs = [handler for handler in logging.getLogger().handlers if isinstance(handler, StandardOutput)]
    for each in outputs:
        each.gather(threading.get_ident(), call_soon)
    try:
        yield
    finally:
        for each in outputs:
            each.gather(0, call_soon)
            each.flush()


def dict_config(level: str, style: str) -> dict[str, Any]:
    """Configuration that sends everything, including Gunicorn's logs, to standard output."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": JsonFormatter if style == "json" else LineFormatter}},
        "handlers": {"out": {"()": StandardOutput, "formatter": "line"}},
        "root": {"level": level, "handlers": ["out"]},
        "loggers": {
            # billiard's logger, which does not propagate: without a handler its lines would have no format.
            "multiprocessing": {"level": "WARNING", "handlers": ["out"], "propagate": False},
            "gunicorn.error": {"handlers": [], "propagate": True},
            **{name: {"level": "WARNING"} for name in _CHATTY},
        },
    }


def configure(level: str, style: str) -> None:
    """Send all logs of this process, including Python's warnings, to standard output."""
    logging.captureWarnings(True)
    # Not printed, and costly to find for each line (Python's logging HOWTO, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.config.dictConfig(dict_config(level, style))


def event(logger: logging.Logger, name: str, *, level: int = logging.INFO, error: bool = False, **fields: Any) -> None:
    """Log an event; `error` adds the traceback of the current exception."""
    if not logger.isEnabledFor(level):
        return
    logger.handle(Event(logger.name, level, name, sys.exc_info() if error else None, fields))
