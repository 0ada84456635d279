"""Writes rows to the database in one transaction, and reads them by cursor. `database` is its URL."""

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from server.tasks.feeds.database import tables, transaction
from server.tasks.feeds.source import Validators

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping

_BATCH = 500


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a fetch: the rows (JSON by key), the source, the way it was read, and the validators."""

    url: str
    way: str
    validators: Validators
    rows: Mapping[str, str]
    delete_missing: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """The changes that a fetch made, and the feed's number of rows."""

    inserted: int
    updated: int
    unchanged: int
    rows: int
    deleted: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """Some entries of a list, and the last one's position; None on the last page."""

    entries: list[dict[str, Any]]
    end: list[str] | None


def validators(database: str, owner: str, name: str, way: str) -> Validators:
    """Return the validators of a feed that was last read in this way; empty if it was read in another."""
    from sqlalchemy import select  # noqa: PLC0415 - 30 MB for feeds alone

    feeds, _ = tables()
    known = select(feeds.c.etag, feeds.c.last_modified).where(
        feeds.c.owner == owner, feeds.c.name == name, feeds.c.way == way
    )
    with transaction(database) as connection:
        found = connection.execute(known).first()
    return Validators(*found) if found else Validators()


def keep(database: str, owner: str, name: str, found: Found) -> Change:
    """Upsert rows and record the fetch, in one transaction; a concurrent fetch of the same feed waits."""
    now = int(time.time() * 1000)
    counts = {"inserted": 0, "updated": 0, "unchanged": 0}
    with transaction(database, write=True) as connection:
        _lock(connection, owner, name, now)
        for batch in _batches(found.rows.items()):
            for outcome, number in _upsert(connection, owner, name, now, batch).items():
                counts[outcome] += number
        deleted = _delete_missing(connection, owner, name, found.rows) if found.delete_missing else 0
        changed = bool(counts["inserted"] or counts["updated"] or deleted)
        total = _note(connection, owner, name, now, changed, found)
    return Change(**counts, rows=total, deleted=deleted)


def keep_unchanged(database: str, owner: str, name: str) -> Change:
    """Record a fetch without changes."""
    feeds, _ = tables()
    mine = (feeds.c.owner == owner) & (feeds.c.name == name)
    with transaction(database, write=True) as connection:
        connection.execute(feeds.update().where(mine).values(fetched_ms=int(time.time() * 1000)))
        total = connection.execute(feeds.select().with_only_columns(feeds.c.rows).where(mine)).scalar_one()
    return Change(0, 0, total, total)


def _lock(connection: "Connection", owner: str, name: str, now: int) -> None:
    """Create the feed's own row if needed, and lock it until the end of the transaction."""
    from sqlalchemy import select  # noqa: PLC0415

    feeds, _ = tables()
    blank = {"url": "", "way": "", "etag": "", "last_modified": "", "fetched_ms": now, "changed_ms": now, "rows": 0}
    insert = _insert(connection, feeds).on_conflict_do_nothing()
    connection.execute(insert, [{"owner": owner, "name": name, **blank}])
    connection.execute(select(feeds.c.name).where(feeds.c.owner == owner, feeds.c.name == name).with_for_update())


def _upsert(
    connection: "Connection", owner: str, name: str, now: int, batch: Sequence[tuple[str, str]]
) -> dict[str, int]:
    from sqlalchemy import select  # noqa: PLC0415

    _, rows = tables()
    known = select(rows.c.key, rows.c.digest).where(
        rows.c.owner == owner, rows.c.feed == name, rows.c.key.in_([key for key, _ in batch])
    )
    before = {row.key: row.digest for row in connection.execute(known)}
    after = {key: hashlib.sha256(data.encode()).hexdigest() for key, data in batch}
    changed = [
        {"owner": owner, "feed": name, "key": key, "data": data, "digest": after[key], "updated_ms": now}
        for key, data in batch
        if before.get(key) != after[key]
    ]
    if changed:
        insert = _insert(connection, rows)
        new = {column: insert.excluded[column] for column in ("data", "digest", "updated_ms")}
        connection.execute(insert.on_conflict_do_update(index_elements=["owner", "feed", "key"], set_=new), changed)
    inserted = sum(each["key"] not in before for each in changed)
    return {
        "inserted": inserted,
        "updated": len(changed) - inserted,
        "unchanged": len(batch) - len(changed),
    }


def _delete_missing(connection: "Connection", owner: str, name: str, kept: Mapping[str, str]) -> int:
    """Delete the rows whose keys were not found. Return their number."""
    from sqlalchemy import select  # noqa: PLC0415

    _, rows = tables()
    mine = (rows.c.owner == owner) & (rows.c.feed == name)
    gone = [key for key in connection.execute(select(rows.c.key).where(mine)).scalars() if key not in kept]
    for start in range(0, len(gone), _BATCH):
        connection.execute(rows.delete().where(mine, rows.c.key.in_(gone[start : start + _BATCH])))
    return len(gone)


def _note(connection: "Connection", owner: str, name: str, now: int, changed: bool, found: Found) -> int:
    """Update the feed's own row after a fetch. Return its number of rows."""
    from sqlalchemy import func, select  # noqa: PLC0415

    feeds, rows = tables()
    count = select(func.count()).select_from(rows).where(rows.c.owner == owner, rows.c.feed == name)
    total: int = connection.execute(count).scalar_one()
    values: dict[str, Any] = {"url": found.url, "way": found.way, "fetched_ms": now, "rows": total}
    held = found.validators
    values |= {"etag": held.etag, "last_modified": held.last_modified} | ({"changed_ms": now} if changed else {})
    connection.execute(feeds.update().where(feeds.c.owner == owner, feeds.c.name == name).values(values))
    return total


def _insert(connection: "Connection", table: Any) -> Any:
    """Return an INSERT that can update: both dialects have the same method, SQL's standard has none."""
    from sqlalchemy.dialects import postgresql, sqlite  # noqa: PLC0415

    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)


def _batches(items: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    rest = iter(items)
    while batch := list(islice(rest, _BATCH)):
        yield batch


def list_feeds(database: str, owners: Sequence[str] | None, limit: int, after: Sequence[str] | None) -> Page:
    """List feeds by owner and name, only those of `owners` if given; `after` is a page's cursor."""
    from sqlalchemy import tuple_  # noqa: PLC0415

    feeds, _ = tables()
    query = feeds.select().order_by(feeds.c.owner, feeds.c.name).limit(limit + 1)
    if owners is not None:
        query = query.where(feeds.c.owner.in_(owners))
    if after is not None:
        query = query.where(tuple_(feeds.c.owner, feeds.c.name) > tuple_(*after))
    with transaction(database) as connection:
        found = connection.execute(query).mappings().all()
    return _page(found, limit, ("owner", "name"))


def find_feed(database: str, owner: str, name: str) -> dict[str, Any] | None:
    """Return a feed, or None."""
    feeds, _ = tables()
    with transaction(database) as connection:
        query = feeds.select().where(feeds.c.owner == owner, feeds.c.name == name)
        found = connection.execute(query).mappings().first()
    return dict(found) if found else None


def list_rows(database: str, owner: str, name: str, limit: int, after: Sequence[str] | None) -> Page:
    """List a feed's rows by key."""
    _, rows = tables()
    query = rows.select().where(rows.c.owner == owner, rows.c.feed == name).order_by(rows.c.key).limit(limit + 1)
    if after is not None:
        query = query.where(rows.c.key > after[0])
    with transaction(database) as connection:
        found = connection.execute(query).mappings().all()
    return _page(found, limit, ("key",))


def _page(found: "Sequence[RowMapping]", limit: int, place: Sequence[str]) -> Page:
    shown = [dict(each) for each in found[:limit]]
    return Page(shown, [shown[-1][name] for name in place] if len(found) > limit else None)
