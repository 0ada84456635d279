"""Writes rows to the database in one transaction, and reads them by cursor. `database` is its URL."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from server.tasks.feeds.database import FEEDS, ROWS, transaction
from server.tasks.feeds.source import Validators

_BATCH = 500


@dataclass(frozen=True, slots=True)
class Download:
    """The result of a fetch: the rows (JSON by key), the source, the options it was read with, and the validators."""

    url: str
    read_options: str
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


def validators(database: str, owner: str, name: str, read_options: str) -> Validators:
    """Return the validators of a feed that was last read with these options; empty if it was read with others."""
    with transaction(database) as connection:
        query = select(FEEDS.c.etag, FEEDS.c.last_modified).where(_feed(owner, name), FEEDS.c.way == read_options)
        row = connection.execute(query).first()
    return Validators(*row) if row else Validators()


def store_download(database: str, owner: str, name: str, download: Download) -> Change:
    """Upsert rows and record the fetch, in one transaction; a concurrent fetch of the same feed waits."""
    now = int(time.time() * 1000)
    inserted = updated = 0
    with transaction(database, write=True) as connection:
        _lock(connection, owner, name, now)
        rows = list(download.rows.items())
        for start in range(0, len(rows), _BATCH):
            new, changed = _upsert(connection, owner, name, now, rows[start : start + _BATCH])
            inserted, updated = inserted + new, updated + changed
        deleted = _delete_missing(connection, owner, name, download.rows) if download.delete_missing else 0
        total = _note(connection, owner, name, now, bool(inserted or updated or deleted), download)
    return Change(inserted, updated, len(rows) - inserted - updated, total, deleted)


def record_unchanged(database: str, owner: str, name: str) -> Change:
    """Record a fetch without changes."""
    with transaction(database, write=True) as connection:
        connection.execute(FEEDS.update().where(_feed(owner, name)).values(fetched_ms=int(time.time() * 1000)))
        total = connection.execute(select(FEEDS.c.rows).where(_feed(owner, name))).scalar_one()
    return Change(0, 0, total, total)


def _lock(connection: Connection, owner: str, name: str, now: int) -> None:
    """Create the feed's own row if needed, and lock it until the end of the transaction."""
    blank = {"url": "", "way": "", "etag": "", "last_modified": "", "fetched_ms": now, "changed_ms": now, "rows": 0}
    insert = _insert(connection, FEEDS).on_conflict_do_nothing()
    connection.execute(insert, [{"owner": owner, "name": name, **blank}])
    connection.execute(select(FEEDS.c.name).where(_feed(owner, name)).with_for_update())


def _upsert(
    connection: Connection, owner: str, name: str, now: int, batch: Sequence[tuple[str, str]]
) -> tuple[int, int]:
    """Insert or update a batch of rows. Return how many were new, and how many others had changed."""
    keys = [key for key, _ in batch]
    query = select(ROWS.c.key, ROWS.c.digest).where(_rows_of(owner, name), ROWS.c.key.in_(keys))
    before = {row.key: row.digest for row in connection.execute(query)}
    after = {key: hashlib.sha256(data.encode()).hexdigest() for key, data in batch}
    changed = [
        {"owner": owner, "feed": name, "key": key, "data": data, "digest": after[key], "updated_ms": now}
        for key, data in batch
        if before.get(key) != after[key]
    ]
    if changed:
        insert = _insert(connection, ROWS)
        new = {column: insert.excluded[column] for column in ("data", "digest", "updated_ms")}
        connection.execute(insert.on_conflict_do_update(index_elements=["owner", "feed", "key"], set_=new), changed)
    inserted = sum(each["key"] not in before for each in changed)
    return inserted, len(changed) - inserted


def _delete_missing(connection: Connection, owner: str, name: str, kept: Mapping[str, str]) -> int:
    mine = _rows_of(owner, name)
    gone = [key for key in connection.execute(select(ROWS.c.key).where(mine)).scalars() if key not in kept]
    for start in range(0, len(gone), _BATCH):
        connection.execute(ROWS.delete().where(mine, ROWS.c.key.in_(gone[start : start + _BATCH])))
    return len(gone)


def _note(connection: Connection, owner: str, name: str, now: int, changed: bool, download: Download) -> int:
    """Update the feed's own row after a fetch. Return its number of rows."""
    count = select(func.count()).select_from(ROWS).where(_rows_of(owner, name))
    total: int = connection.execute(count).scalar_one()
    values = {
        "url": download.url,
        "way": download.read_options,
        "fetched_ms": now,
        "rows": total,
        **asdict(download.validators),
    }
    if changed:
        values["changed_ms"] = now
    connection.execute(FEEDS.update().where(_feed(owner, name)).values(values))
    return total


def _insert(connection: Connection, table: Any) -> Any:
    """Return an INSERT that can update: both dialects have the same method, SQL's standard has none."""
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)


def _feed(owner: str, name: str) -> ColumnElement[bool]:
    return (FEEDS.c.owner == owner) & (FEEDS.c.name == name)


def _rows_of(owner: str, name: str) -> ColumnElement[bool]:
    return (ROWS.c.owner == owner) & (ROWS.c.feed == name)


def list_feeds(database: str, owners: Sequence[str] | None, limit: int, after: Sequence[str] | None) -> Page:
    """List feeds by owner and name, only those of `owners` if given; `after` is a page's cursor."""
    query = FEEDS.select().order_by(FEEDS.c.owner, FEEDS.c.name)
    if owners is not None:
        query = query.where(FEEDS.c.owner.in_(owners))
    if after is not None:
        query = query.where(tuple_(FEEDS.c.owner, FEEDS.c.name) > tuple_(*after))
    return _page(database, query, limit, ("owner", "name"))


def find_feed(database: str, owner: str, name: str) -> dict[str, Any] | None:
    """Return a feed, or None if there is none of this name."""
    with transaction(database) as connection:
        row = connection.execute(FEEDS.select().where(_feed(owner, name))).mappings().first()
    return dict(row) if row else None


def list_rows(database: str, owner: str, name: str, limit: int, after: Sequence[str] | None) -> Page:
    """List the rows of a feed by key."""
    query = ROWS.select().where(_rows_of(owner, name)).order_by(ROWS.c.key)
    if after is not None:
        query = query.where(ROWS.c.key > after[0])
    return _page(database, query, limit, ("key",))


def _page(database: str, query: Select[Any], limit: int, cursor_columns: Sequence[str]) -> Page:
    with transaction(database) as connection:
        rows = connection.execute(query.limit(limit + 1)).mappings().all()
    shown = [dict(each) for each in rows[:limit]]
    return Page(shown, [shown[-1][name] for name in cursor_columns] if len(rows) > limit else None)
