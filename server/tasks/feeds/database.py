"""The database of `DATABASE_URL`: SQLite in a file, or PostgreSQL.

SQLAlchemy takes 30 MB, so only functions that need the database import this module and `store`.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    inspect,
    make_url,
)
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection

from server.tasks.feeds.errors import DatabaseUnavailable

#: For web and worker on one machine: on a PaaS they share no disk, and need PostgreSQL.
_DEFAULT = "sqlite:///var/feeds.sqlite"

#: Seconds to wait for the database to connect, and in SQLite for another writer.
_CONNECT_SECONDS = 5
_WRITER_SECONDS = 30

#: Seconds to wait for a free connection: an unreachable database must not block all threads of the web server.
_IN_LINE_SECONDS = 1
_LOCK = 7_305_001  # the number of PostgreSQL's lock while tables are created; any number works


_one_at_a_time = threading.Lock()

_metadata = MetaData()
_exact = Text().with_variant(Text(collation="C"), "postgresql")  # order by bytes, as in SQLite

#: Names and values of a feed are only stored as data.
FEEDS = Table(
    "coatcheck_feeds",
    _metadata,
    Column("owner", _exact, primary_key=True),
    Column("name", _exact, primary_key=True),
    Column("url", Text, nullable=False),
    Column("way", Text, nullable=False),  # how it is read: validators are valid for the same way only
    Column("etag", Text, nullable=False),
    Column("last_modified", Text, nullable=False),
    Column("fetched_ms", BigInteger, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
)
ROWS = Table(
    "coatcheck_feed_rows",
    _metadata,
    Column("owner", _exact, primary_key=True),
    Column("feed", _exact, primary_key=True),
    Column("key", _exact, primary_key=True),
    Column("data", Text, nullable=False),  # JSON in ASCII: every database accepts an escaped NUL
    Column("digest", String(64), nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
)


@contextmanager
def transaction(url: str, *, write: bool = False) -> Iterator[Connection]:
    """Run one transaction, all of it or nothing, or raise DatabaseUnavailable. SQLite has one writer at a time."""
    try:
        with engine(url).connect().execution_options(coatcheck_write=write) as connection, connection.begin():
            yield connection
    except (OperationalError, InterfaceError, NoConnection) as error:
        raise DatabaseUnavailable from error


def engine(url: str) -> Engine:
    """Return the process's engine for a database, with its tables; an empty URL means the SQLite file."""
    if not _one_at_a_time.acquire(timeout=_IN_LINE_SECONDS):
        raise DatabaseUnavailable
    try:
        return _engine(url)
    finally:
        _one_at_a_time.release()


@cache
def _engine(database_url: str) -> Engine:
    """Create the engine. Its pool is bounded, because small plans allow few connections."""
    url = make_url(database_url or _DEFAULT)
    if url.get_backend_name() == "sqlite":
        if url.database:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        made = create_engine(url, connect_args={"timeout": _WRITER_SECONDS})
        event.listen(made, "connect", _prepare_sqlite)
        event.listen(made, "begin", _begin_sqlite)
    else:
        made = create_engine(
            url.set(drivername="postgresql+psycopg"),
            connect_args={"connect_timeout": _CONNECT_SECONDS},
            pool_size=1,
            max_overflow=2,
            pool_timeout=_IN_LINE_SECONDS,
            pool_pre_ping=True,
        )
    _make_tables(made)
    return made


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # the driver must not begin transactions itself
    connection.execute("PRAGMA journal_mode = WAL")  # readers and the writer do not block each other


def _begin_sqlite(connection: Connection) -> None:
    write = connection.get_execution_options().get("coatcheck_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _make_tables(made: Engine) -> None:
    if inspect(made).has_table(ROWS.name):  # so that readers do not wait for a writer
        return
    with made.connect().execution_options(coatcheck_write=True) as connection, connection.begin():
        if made.dialect.name == "postgresql":  # creating the same table in two processes fails
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        _metadata.create_all(connection)
