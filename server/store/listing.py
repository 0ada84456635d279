"""Lists of tasks: newest first, by a cursor that neither skips nor repeats while tasks come and go.

One index per owner, task_type and status, each a sorted set in the order of the ids, which is the order of submission.
A page merges the indexes that its filter allows, so it costs the same at a thousand and at a million records, and a
record costs one index entry (two where it has a tag). The cursor is the last id that was seen: ids do not move.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import redis

from server.settings import Settings
from server.store.causes import CAUSED, cause_of
from server.store.record import Record, Status
from server.store.scripts import Scripts, ids_of
from server.store.tasks import Tasks

#: How many ids are looked at for one page of a tag or a failure; then the page is returned with fewer records.
MAX_LOOKED_AT = 1_000


@dataclass(frozen=True, slots=True)
class Filter:
    """What to list. Empty means any; `since` and `until` are milliseconds since 1970, the latter exclusive.

    `failure` is the key of a cause (see `causes.py`): it selects failed tasks, and those that failed once.
    """

    owners: Sequence[str]
    task_types: Sequence[str]
    statuses: Sequence[Status] = tuple(Status)
    tags: Sequence[str] = field(default=())
    since: int | None = None
    until: int | None = None
    failure: str = ""

    @property
    def must_look(self) -> bool:
        """Whether records must be read to tell which are selected."""
        return bool(self.tags or self.failure)


@dataclass(frozen=True, slots=True)
class Page:
    """Some records, and the cursor of the next page, or None at the end."""

    records: list[Record]
    cursor: str | None


class Listing(Scripts):
    """Reads the indexes."""

    def __init__(self, connection: "redis.Redis", config: Settings, tasks: Tasks) -> None:
        super().__init__(connection, config)
        self._tasks = tasks

    def page(self, wanted: Filter, limit: int, cursor: str | None = None) -> Page:
        """Up to `limit` records behind `cursor`."""
        if wanted.must_look:
            return self._looked_page(_of_causes(wanted), limit, cursor)
        ids = self._ids(wanted, limit + 1, cursor)
        more = len(ids) > limit
        found = [record for record in self._tasks.get_many(ids[:limit]) if record is not None]
        return Page(found, ids[limit - 1] if more else None)

    def _looked_page(self, wanted: Filter, limit: int, cursor: str | None) -> Page:
        """A tag has an index of its own; what else is wanted is looked up in the records."""
        ids = self._ids(wanted, MAX_LOOKED_AT, cursor)
        found: list[Record] = []
        for record in self._fitting(wanted, ids):
            if len(found) == limit:
                return Page(found, found[-1].id)
            found.append(record)
        return Page(found, ids[-1] if len(ids) == MAX_LOOKED_AT else None)

    def _ids(self, wanted: Filter, most: int, cursor: str | None) -> list[str]:
        upper, lower = _range(wanted, cursor)
        return ids_of(self._call("list_tasks", most, upper, lower, *_indexes(wanted)))

    def _fitting(self, wanted: Filter, ids: Sequence[str]) -> list[Record]:
        records = [record for record in self._tasks.get_many(ids) if record is not None and _fits(record, wanted)]
        if not wanted.failure:
            return records
        reports = self._tasks.failures([record.id for record in records])
        pairs = zip(records, reports, strict=True)
        return [record for record, report in pairs if cause_of(record, report).key == wanted.failure]

    def gather(self, wanted: Filter, most: int, cursor: str | None = None) -> Page:
        """Return up to `most` records after `cursor`: a page of any size, read in steps of 500."""
        found: list[Record] = []
        while True:
            page = self.page(wanted, min(500, most - len(found)), cursor)
            found += page.records
            cursor = page.cursor
            if cursor is None or len(found) >= most:
                return Page(found, cursor)

    def count(self, wanted: Filter) -> dict[str, int]:
        """How many tasks are in each status: by the sizes of the indexes, or by the records if it must look."""
        counts: dict[str, int] = dict.fromkeys(wanted.statuses, 0)
        if wanted.must_look:
            for record in self._every(wanted):
                counts[record.status] += 1
            return counts
        upper, lower = _range(wanted, None)
        names = _indexes(wanted)
        with self.redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.zlexcount(name, lower if lower == "-" else f"[{lower}", upper if upper == "+" else f"({upper}")
            for name, number in zip(names, pipe.execute(), strict=True):
                counts[name.rpartition(":")[2]] += int(number)
        return counts

    def _every(self, wanted: Filter) -> Iterator[Record]:
        cursor: str | None = None
        while True:
            page = self.page(wanted, MAX_LOOKED_AT, cursor)
            yield from page.records
            if (cursor := page.cursor) is None:
                return

    def count_by_status(self, ids: Sequence[str]) -> dict[str, int]:
        """How many of these tasks are in each status; those that are gone count as `expired`."""
        flat = self._call("count_by_status", *ids) if ids else []
        return {flat[at].decode(): flat[at + 1] for at in range(0, len(flat), 2)}


def _of_causes(wanted: Filter) -> Filter:
    if not wanted.failure:
        return wanted
    return replace(wanted, statuses=[status for status in wanted.statuses if status in CAUSED])


def _range(wanted: Filter, cursor: str | None) -> tuple[str, str]:
    """The ids between which to look, newest first."""
    upper = cursor or "+"
    if wanted.until is not None:
        upper = min(upper, _bound(wanted.until)) if cursor else _bound(wanted.until)
    return upper, "-" if wanted.since is None else _bound(wanted.since)


def _indexes(wanted: Filter) -> list[str]:
    if wanted.tags:
        return [f"tagged:{owner}:{tag}" for owner in wanted.owners for tag in wanted.tags[:1]]
    return [
        f"index:{owner}:{task_type}:{status}"
        for owner in wanted.owners
        for task_type in wanted.task_types
        for status in wanted.statuses
    ]


def _fits(record: Record, wanted: Filter) -> bool:
    return (
        record.task_type in wanted.task_types
        and record.status in wanted.statuses
        and set(wanted.tags) <= set(record.tags)
    )


def _bound(milliseconds: int) -> str:
    """Return a lower bound of all ids of this millisecond and later."""
    digits = f"{max(0, milliseconds):012x}"
    return f"{digits[:8]}-{digits[8:]}"
