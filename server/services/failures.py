"""The reason why a task failed: the exception with its traceback, for admins, and failed tasks grouped by cause."""

import os
import re
import traceback
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import pydantic_core

from server.logs import redact
from server.sdk.errors import text_of
from server.store import Store
from server.store.causes import CAUSED, Cause, cause_of
from server.store.listing import Filter
from server.store.record import Record, Status

#: Maximum characters of a stored message and traceback, and maximum failed tasks that one grouping reads.
MAX_MESSAGE, MAX_TRACEBACK, MAX_FAILURES_READ = 500, 4_000, 5_000

#: Frames of these files lead to the task's function and are not informative.
_LEADING = re.compile(r"/server/(?:celery_app|sdk/definition\.py)|-packages/(?:celery|billiard|kombu)/")


def report(error: BaseException, worker: str) -> bytes:
    """Describe the exception that ended a task, for the record, without the secrets of its input."""
    error_class = type(error)
    name, module = error_class.__qualname__, error_class.__module__
    name = name if module == "builtins" else f"{module}.{name}"
    frames = [
        each
        for each in traceback.extract_tb(error.__traceback__)
        if not _LEADING.search(each.filename.replace("\\", "/"))
    ]
    lines = ["Traceback (most recent call last):\n", *traceback.format_list(frames)]
    text = "".join([*lines, *traceback.format_exception_only(error)])
    text = redact(text).replace(f'File "{Path.cwd()}{os.sep}', 'File "')  # own code, without its installation path
    frame = frames[-1] if frames else None
    return pydantic_core.to_json(
        {
            "exception": name,
            "message": redact(text_of(error))[:MAX_MESSAGE],
            "traceback": text[-MAX_TRACEBACK:],
            "place": f"{'/'.join(PurePath(frame.filename).parts[-2:])}:{frame.lineno}" if frame else "",
            "worker": worker,
        }
    )


@dataclass(slots=True)
class FailureGroup:
    """Tasks of one type with the same exception raised by the same line, the newest first."""

    task: str
    cause: Cause
    tasks: list[Record] = field(default_factory=list)  # tasks that have failed
    retrying: list[Record] = field(default_factory=list)  # tasks that have failed once and wait for their next attempt

    @property
    def unretried(self) -> list[Record]:
        return [record for record in self.tasks if not record.retried_as]

    @property
    def newest(self) -> Record:
        return max([*self.tasks[:1], *self.retrying[:1]], key=lambda record: record.id)

    @property
    def moments(self) -> list[int]:
        """When they failed, in milliseconds since 1970."""
        ended = [record.finished_ms or record.submitted_ms for record in self.tasks]
        return ended + [record.started_ms or record.submitted_ms for record in self.retrying]


@dataclass(frozen=True, slots=True)
class Grouped:
    """Groups, the largest first; `complete` is false if older failures were not read."""

    groups: list[FailureGroup]
    tasks_read: int
    complete: bool


def grouped(store: Store, since_ms: int) -> Grouped:
    """Group the newest failed tasks of all owners since a moment by type, exception and line of code."""
    page = store.listing.gather(Filter(None, statuses=CAUSED, since=since_ms), MAX_FAILURES_READ)
    groups: dict[str, FailureGroup] = {}
    reports = store.tasks.failures([record.id for record in page.records])
    for record, report in zip(page.records, reports, strict=True):
        cause = cause_of(record, report)
        group = groups.setdefault(cause.key, FailureGroup(record.task_type, cause))
        (group.tasks if record.status is Status.FAILED else group.retrying).append(record)
    by_size = sorted(groups.values(), key=lambda each: -len(each.moments))
    return Grouped(by_size, len(page.records), page.cursor is None)
