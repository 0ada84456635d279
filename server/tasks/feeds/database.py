"""The database of `DATABASE_URL`: SQLite in a file, or PostgreSQL.

SQLAlchemy uses 30 MB, so only functions that need the database import this module and `store`.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from server.tasks.feeds.errors import DatabaseUnavailable

#: For web and worker on one machine: on a PaaS they share no disk, and need PostgreSQL.
_DEFAULT = "sqlite:///var/feeds.sqlite"

#: Seconds to wait for the database to connect, and in SQLite for another writer.
_CONNECT_SECONDS = 5
_WRITER_SECONDS = 30

#: Seconds to wait for a free connection: an unreachable database must not block all threads of the web server.
_POOL_TIMEOUT = 1
_LOCK = 7_305_001  # the number of PostgreSQL's lock while tables are created; any number works

_one_at_a_time = threading.Lock()

_metadata = sa.MetaData()
_exact = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")  # order by bytes, as in SQLite

#: Names and values of a feed are only stored as data.
FEEDS = sa.Table(
    "coatcheck_feeds",
    _metadata,
    sa.Column("owner", _exact, primary_key=True),
    sa.Column("name", _exact, primary_key=True),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("way", sa.Text, nullable=False),  # how it is read: validators are valid for the same way only
    sa.Column("etag", sa.Text, nullable=False),
    sa.Column("last_modified", sa.Text, nullable=False),
    sa.Column("fetched_ms", sa.BigInteger, nullable=False),
    sa.Column("changed_ms", sa.BigInteger, nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
)
ROWS = sa.Table(
    "coatcheck_feed_rows",
    _metadata,
    sa.Column("owner", _exact, primary_key=True),
    sa.Column("feed", _exact, primary_key=True),
    sa.Column("key", _exact, primary_key=True),
    sa.Column("data", sa.Text, nullable=False),  # JSON in ASCII: every database accepts an escaped NUL
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("updated_ms", sa.BigInteger, nullable=False),
)


@contextmanager
def transaction(url: str, *, write: bool = False) -> Iterator[sa.Connection]:
    """Run one transaction, all of it or nothing, or raise DatabaseUnavailable. SQLite has one writer at a time."""
    try:
        with engine(url).connect().execution_options(coatcheck_write=write) as connection, connection.begin():
            yield connection
    except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
        raise DatabaseUnavailable from error


def engine(url: str) -> sa.Engine:
    """Return the process's engine for a database, with its tables; an empty URL means the SQLite file.

    Raises:
        DatabaseUnavailable: another thread is still trying to connect.
    """
    if not _one_at_a_time.acquire(timeout=_POOL_TIMEOUT):
        raise DatabaseUnavailable
    try:
        return _engine(url)
    finally:
        _one_at_a_time.release()


@cache
def _engine(database_url: str) -> sa.Engine:
    """Create the engine. Its pool is bounded, because small plans allow few connections."""
    url = sa.make_url(database_url or _DEFAULT)
    if url.get_backend_name() == "sqlite":
        if url.database:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        database = sa.create_engine(url, connect_args={"timeout": _WRITER_SECONDS})
        sa.event.listen(database, "connect", _prepare_sqlite)
        sa.event.listen(database, "begin", _begin_sqlite)
    else:
        database = sa.create_engine(
            url.set(drivername="postgresql+psycopg"),
            connect_args={"connect_timeout": _CONNECT_SECONDS},
            pool_size=1,
            max_overflow=2,
            pool_timeout=_POOL_TIMEOUT,
            pool_pre_ping=True,
        )
    _create_tables(database)
    return database


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # the driver must not begin transactions itself
    connection.execute("PRAGMA journal_mode = WAL")  # readers and the writer do not block each other


def _begin_sqlite(connection: sa.Connection) -> None:
    write = connection.get_execution_options().get("coatcheck_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _create_tables(database: sa.Engine) -> None:
    if sa.inspect(database).has_table(ROWS.name):  # so that readers do not wait for a writer
        return
    with database.connect().execution_options(coatcheck_write=True) as connection, connection.begin():
        if database.dialect.name == "postgresql":  # creating the same table in two processes fails
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        _metadata.create_all(connection)
