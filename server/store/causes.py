"""Causes of failures: failures with the same task type, exception and location in the code have one cause."""

import hashlib
from dataclasses import dataclass

import pydantic_core

from server.store.record import Record, Status

#: Statuses of tasks with a cause: failed, or waiting for an attempt after a failure.
CAUSED = (Status.FAILED, Status.RETRYING)


@dataclass(frozen=True, slots=True)
class Cause:
    """The cause of one task; `key` names its group."""

    key: str
    exception: str
    message: str
    location: str


def cause_of(record: Record, report: bytes | None) -> Cause:
    """Return the cause from a task's report. Without a report, the error's type and detail replace the exception."""
    failure = pydantic_core.from_json(report) if report else {}
    error = record.error or {}
    exception = failure.get("exception") or str(error.get("type", "")).rpartition("/")[2]
    message = failure.get("message") or str(error.get("detail", ""))
    location = failure.get("place", "")
    digest = hashlib.blake2b(f"{record.task_type}\n{exception}\n{location}".encode(), digest_size=6).hexdigest()
    return Cause(digest, exception, message, location)
