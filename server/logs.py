"""Logs: one line an event on standard output, as `time level event name=value …`."""

import contextlib
import json
import logging
import logging.config
import os
import re
import sys
import time
from typing import Any

#: Loggers that say per task what our own events say, and the result with it, or a client's URLs with what is in them.
_CHATTY = ("celery.app.trace", "celery.worker.strategy", "httpx", "httpcore")

_PLAIN = re.compile(r"[a-zA-Z0-9_.:/@+*-]+")


def _value(value: Any) -> str:
    text = str(value)
    return text if _PLAIN.fullmatch(text) else _printable(json.dumps(text, ensure_ascii=False))


def _printable(text: str) -> str:
    """On one line, and without what a terminal would obey: a client chose some of it."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


class LineFormatter(logging.Formatter):
    """One event, one line: a traceback's line breaks become `\\n`, so that a log router keeps it together."""

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        fields: dict[str, Any] = getattr(record, "fields", {})
        parts = [f"{stamp}.{int(record.msecs):03d}Z", record.levelname, _printable(record.getMessage())]
        parts += [f"{name}={_value(value)}" for name, value in fields.items() if value not in (None, "")]
        if record.exc_info:
            parts.append("traceback=" + json.dumps(self.formatException(record.exc_info)))
        return " ".join(parts)


class Output(logging.Handler):
    """Standard output, each line by one `write`, which the kernel keeps whole up to the size of a pipe's buffer."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line; drop it when standard output is closed."""
        line = (self.format(record) + "\n").encode(errors="backslashreplace")
        with contextlib.suppress(OSError):
            while line:
                line = line[os.write(1, line) :]


def dict_config(level: str) -> dict[str, Any]:
    """Everything to standard output, one handler; Gunicorn's own loggers too."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": LineFormatter}},
        "handlers": {"out": {"()": Output, "formatter": "line"}},
        "root": {"level": level, "handlers": ["out"]},
        "loggers": {
            # billiard's own, which passes nothing on: without a handler its lines would come bare.
            "multiprocessing": {"level": "WARNING", "handlers": ["out"], "propagate": False},
            "gunicorn.error": {"handlers": [], "propagate": True},
            **{name: {"level": "WARNING"} for name in _CHATTY},
        },
    }


def configure(level: str) -> None:
    """Send all of this process's logs, Python's warnings too, to standard output."""
    logging.captureWarnings(True)
    logging.config.dictConfig(dict_config(level))


def event(logger: logging.Logger, name: str, *, level: int = logging.INFO, error: bool = False, **fields: Any) -> None:
    """Log an event; `error` adds the traceback of the exception at hand."""
    if not logger.isEnabledFor(level):
        return
    # What `logger.log` does, but for finding out the file and the line, which nobody prints.
    trace = sys.exc_info() if error else None
    logger.handle(logger.makeRecord(logger.name, level, "", 0, name, (), trace, extra={"fields": fields}))
