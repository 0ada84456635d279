"""Why a task failed, as groups know it: the same task type, exception and place in the code are one cause."""

import hashlib
from dataclasses import dataclass

import pydantic_core

from server.store.record import Record, Status

#: Statuses of tasks that have a cause: they failed, or failed once and wait for their next attempt.
CAUSED = (Status.FAILED, Status.RETRYING)


@dataclass(frozen=True, slots=True)
class Cause:
    """The cause of one task; `key` names its group."""

    key: str
    exception: str
    message: str
    place: str


def cause_of(record: Record, report: bytes | None) -> Cause:
    """Read a task's report. Without one the error's own type and detail stand for the exception."""
    failure = pydantic_core.from_json(report) if report else {}
    error = record.error or {}
    exception = failure.get("exception") or str(error.get("type", "")).rpartition("/")[2]
    message = failure.get("message") or str(error.get("detail", ""))
    place = failure.get("place", "")
    digest = hashlib.blake2b(f"{record.task_type}\n{exception}\n{place}".encode(), digest_size=6).hexdigest()
    return Cause(digest, exception, message, place)
