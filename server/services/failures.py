"""Why a task failed: the exception with its traceback, for admins, and failed tasks grouped by cause."""

import hashlib
import os
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import pydantic_core

from server.store import Store
from server.store.listing import Filter
from server.store.record import Record, Status

#: Maximum characters of a stored message and traceback, and maximum failed tasks that one grouping reads.
MAX_MESSAGE, MAX_TRACEBACK, MAX_LOOKED_AT = 500, 4_000, 5_000

#: Frames of these files lead to the task's function and are not informative.
_LEADING = ("/celery_app/", "/celery/", "/billiard/", "/kombu/")


def report(error: BaseException, worker: str) -> bytes:
    """Describe the exception that ended a task, for the record."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    frames = [each for each in traceback.extract_tb(error.__traceback__) if not _leads(each.filename)]
    lines = ["Traceback (most recent call last):\n", *traceback.format_list(frames)]
    text = "".join([*lines, *traceback.format_exception_only(error)])
    text = text.replace(f'File "{Path.cwd()}{os.sep}', 'File "')  # own code, without its installation path
    place = frames[-1] if frames else None
    return pydantic_core.to_json(
        {
            "exception": name,
            "message": str(error)[:MAX_MESSAGE],
            "traceback": text[-MAX_TRACEBACK:],
            "place": f"{'/'.join(PurePath(place.filename).parts[-2:])}:{place.lineno}" if place else "",
            "worker": worker,
        }
    )


def _leads(path: str) -> bool:
    return any(part in path.replace("\\", "/") for part in _LEADING)


@dataclass(slots=True)
class FailureGroup:
    """Failed tasks of one type with the same exception at the same place, the newest first."""

    key: str
    task: str
    exception: str
    message: str
    place: str
    tasks: list[Record]

    @property
    def moments(self) -> list[int]:
        """When they ended, in milliseconds since 1970."""
        return [record.finished_ms or record.submitted_ms for record in self.tasks]


@dataclass(frozen=True, slots=True)
class Grouped:
    """Groups, the largest first; `complete` is false if older failures were not read."""

    groups: list[FailureGroup]
    looked_at: int
    complete: bool


def grouped(store: Store, owners: list[str] | None, since_ms: int) -> Grouped:
    """Group the newest failed tasks since a moment by type, exception and place in the code."""
    wanted = Filter(owners, statuses=(Status.FAILED,), since=since_ms)
    page = store.listing.gather(wanted, MAX_LOOKED_AT)
    groups: dict[str, FailureGroup] = {}
    for record, failure in zip(page.records, _failures(store, page.records), strict=True):
        found = _group(record, failure)
        groups.setdefault(found.key, found).tasks.append(record)
    return Grouped(sorted(groups.values(), key=lambda each: -len(each.tasks)), len(page.records), page.cursor is None)


def _failures(store: Store, records: list[Record]) -> Iterable[dict[str, Any]]:
    for raw in store.tasks.failures([record.id for record in records]):
        yield pydantic_core.from_json(raw) if raw else {}


def _group(record: Record, failure: dict[str, Any]) -> FailureGroup:
    """An empty group for a task. Without a report the error's own type and title stand for the exception."""
    error = record.error or {}
    exception = failure.get("exception") or str(error.get("type", "")).rpartition("/")[2]
    message = failure.get("message") or str(error.get("detail", ""))
    place = failure.get("place", "")
    digest = hashlib.blake2b(f"{record.task_type}\n{exception}\n{place}".encode(), digest_size=6).hexdigest()
    return FailureGroup(digest, record.task_type, exception, message, place, [])
