"""Lists of tasks: newest first, by a cursor that neither skips nor repeats tasks while others come and go.

Each task type and status has an index of all owners' tasks, and one per owner: a sorted set in the order of the ids,
which is the order of submission. A page merges the indexes that its filter selects, so it costs the same with a
thousand and with a million records, and with ten and with ten thousand owners. The cursor is the last id on the page:
ids do not move.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import redis

from server.settings import Settings
from server.store.causes import CAUSED, cause_of
from server.store.lua import Scripts, StoreClock, ids_of
from server.store.record import Record, Status
from server.store.tasks import Tasks

#: Steps in which `gather` reads; then it returns with fewer records.
_MAX_STEPS = 100

#: Maximum number of records that are read for one page of a tag or a failure; then the page has fewer records.
MAX_SCANNED = 1_000


@dataclass(frozen=True, slots=True)
class Filter:
    """The tasks to list. None means any; `since` and `until` are milliseconds since 1970, the latter exclusive.

    `failure` is the key of a cause (see `causes.py`): it selects failed tasks, and those that failed once.
    """

    owners: Sequence[str] | None
    task_types: Sequence[str] | None = None
    statuses: Sequence[Status] = tuple(Status)
    tags: Sequence[str] = ()
    since: int | None = None
    until: int | None = None
    failure: str = ""
    #: Only tasks that have not been retried.
    unretried: bool = False

    @property
    def reads_records(self) -> bool:
        """Return whether the indexes do not suffice, so that records must be read."""
        return bool(self.tags or self.failure or self.unretried)

    @property
    def empty(self) -> bool:
        """Return whether it selects nothing."""
        return not self.statuses or [] in (self.owners, self.task_types)

    def matches(self, record: Record) -> bool:
        """Return whether it selects a record that has its first tag."""
        of_type = self.task_types is None or record.task_type in self.task_types
        is_left = not (self.unretried and record.retried_as)
        return of_type and is_left and record.status in self.statuses and set(self.tags) <= set(record.tags)


@dataclass(frozen=True, slots=True)
class Page:
    """Some records, and the cursor of the next page, or None at the end."""

    records: list[Record]
    cursor: str | None


class Listing(Scripts):
    """Reads pages and counts from the indexes."""

    def __init__(self, connection: "redis.Redis", config: Settings, clock: StoreClock, tasks: Tasks) -> None:
        super().__init__(connection, config, clock)
        self._tasks = tasks

    def page(self, wanted: Filter, limit: int, cursor: str | None = None) -> Page:
        """Return up to `limit` records after `cursor`."""
        if wanted.reads_records:
            return self._scanned_page(_of_causes(wanted), limit, cursor)
        ids = self._ids(wanted, limit + 1, cursor)
        more = len(ids) > limit
        records = [record for record in self._tasks.get_many(ids[:limit]) if record is not None]
        return Page(records, ids[limit - 1] if more else None)

    def _scanned_page(self, wanted: Filter, limit: int, cursor: str | None) -> Page:
        """Return a page from a tag's index; the other conditions are checked in the records."""
        ids = self._ids(wanted, MAX_SCANNED, cursor)
        records: list[Record] = []
        for record in self._matching(wanted, ids):
            if len(records) == limit:
                return Page(records, records[-1].id)
            records.append(record)
        return Page(records, ids[-1] if len(ids) == MAX_SCANNED else None)

    def _matching(self, wanted: Filter, ids: Sequence[str]) -> list[Record]:
        records = [record for record in self._tasks.get_many(ids) if record is not None and wanted.matches(record)]
        if not wanted.failure:
            return records
        reports = self._tasks.failures([record.id for record in records])
        pairs = zip(records, reports, strict=True)
        return [record for record, report in pairs if cause_of(record, report).key == wanted.failure]

    def gather(self, wanted: Filter, limit: int, cursor: str | None = None) -> Page:
        """Return up to `limit` records after `cursor`: a page of any size, read in a limited number of steps."""
        records: list[Record] = []
        for _ in range(_MAX_STEPS):
            page = self.page(wanted, min(500, limit - len(records)), cursor)
            records += page.records
            cursor = page.cursor
            if cursor is None or len(records) >= limit:
                break
        return Page(records, cursor)

    def count(self, wanted: Filter) -> dict[str, int]:
        """Count the tasks by status, from the sizes of the indexes, or with a tag from the records."""
        if wanted.reads_records:
            return self._count_records(wanted)
        counts: dict[str, int] = dict.fromkeys(wanted.statuses, 0)
        if not wanted.empty:
            counts |= json.loads(self._call("count_tasks", *_bounds(wanted), *_selection(wanted)))
        return counts

    def _count_records(self, wanted: Filter) -> dict[str, int]:
        counts: dict[str, int] = dict.fromkeys(wanted.statuses, 0)
        cursor: str | None = None
        while True:
            page = self.page(wanted, MAX_SCANNED, cursor)
            for record in page.records:
                counts[record.status] += 1
            if (cursor := page.cursor) is None:
                return counts

    def count_by_status(self, ids: Sequence[str]) -> dict[str, int]:
        """Count these tasks by status; deleted ones count as `expired`."""
        counts: dict[str, int] = json.loads(self._call("count_by_status", *ids)) if ids else {}
        return counts

    def _ids(self, wanted: Filter, limit: int, cursor: str | None) -> list[str]:
        if wanted.empty:
            return []
        args = (limit, *_bounds(wanted, cursor), *_selection(wanted))
        return ids_of(self._call("list_tasks", *args, *wanted.tags[:1]))


def _of_causes(wanted: Filter) -> Filter:
    if not wanted.failure:
        return wanted
    return replace(wanted, statuses=[status for status in wanted.statuses if status in CAUSED])


def _bounds(wanted: Filter, cursor: str | None = None) -> tuple[str, str]:
    """Return the range of ids to read, newest first."""
    upper = cursor or "+"
    if wanted.until is not None:
        upper = min(upper, _bound(wanted.until)) if cursor else _bound(wanted.until)
    return upper, "-" if wanted.since is None else _bound(wanted.since)


def _selection(wanted: Filter) -> tuple[str, str, str]:
    """Return owners, task types and statuses in the form of `lua/lib/selection.lua`."""
    return ",".join(wanted.owners or ()), ",".join(wanted.task_types or ()), ",".join(wanted.statuses)


def _bound(milliseconds: int) -> str:
    """Return a lower bound of all ids of this millisecond and later."""
    digits = f"{max(0, milliseconds):012x}"
    return f"{digits[:8]}-{digits[8:]}"
