"""DuckDB, shut in: it sees one folder, takes a part of the task's memory, and spills the rest to that folder."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

from server.sdk.errors import TaskError
from server.settings import settings
from server.tasks.tables.dialect import Dialect
from server.tasks.tables.text import line_of

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

#: Rows that do not have the file's columns: so many are left out and counted, more fail the task.
MAX_SKIPPED = 1000

#: Bytes of one row, and of the text that DuckDB parses at once.
_LONGEST_ROW = 2**20
_BUFFER = 4 * _LONGEST_ROW

#: DuckDB's part of the memory that a task may take. What it holds beside its limit (parsed text, allocators) and the
#: limit on what is mapped rather than touched need the rest: 192 of 512 MiB measured 311 MB resident for 1 GB of CSV.
_MEMORY_SHARE = 1 / 4

_SPILL = "8GB"

_REASONS = {
    "MISSING COLUMNS": "too few columns",
    "TOO MANY COLUMNS": "too many columns",
    "UNQUOTED VALUE": "a quoted value that does not end where its quote does",
    "LINE SIZE OVER MAXIMUM": f"longer than {_LONGEST_ROW} bytes",
}


_SHOWN = 10


class SkippedRow(BaseModel):
    """A row that does not have the file's columns. `line` is one that it lies in; the first is 1."""

    line: int
    reason: str


class SkippedRows(BaseModel):
    """The rows that were left out, and the first ten of them."""

    count: int
    first: list[SkippedRow]


@contextmanager
def opened(folder: Path) -> Iterator["DuckDBPyConnection"]:
    """A new database in a folder of the task's own; it goes with the block.

    Raises:
        TaskError: `out-of-memory`, `storage-full` or `csv-unreadable`, for what DuckDB says inside the block.
    """
    import duckdb  # noqa: PLC0415 - 40 MB that only this task needs

    file = folder / "rows.duckdb"
    memory = int(settings().worker_memory_limit * _MEMORY_SHARE) // 2**20
    connection = duckdb.connect(
        file,
        config={
            "memory_limit": f"{memory}MiB",
            "threads": 1,  # a worker has a process for each core
            "temp_directory": str(folder / "spill"),
            "max_temp_directory_size": _SPILL,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
            "allow_persistent_secrets": False,
        },
    )
    try:
        connection.execute(f"SET allowed_directories = [{_quoted(str(folder))}]")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection
    except (duckdb.OutOfMemoryException, MemoryError):
        raise TaskError("out-of-memory", "The table needed more memory than a task may have.") from None
    except duckdb.IOException as error:
        raise TaskError("storage-full", "The worker's disk has no room for the table.") from error
    finally:
        connection.close()
        file.unlink(missing_ok=True)


def load(connection: "DuckDBPyConnection", path: Path, dialect: Dialect, columns: range) -> tuple[int, SkippedRows]:
    """Read some of the columns into the table `rows`, as text under the names c0, c1…; how many, and which were not.

    Raises:
        TaskError: `csv-unreadable` with a line, where too many rows do not fit.
    """
    import duckdb  # noqa: PLC0415 - as above

    schema = ", ".join(f"'c{number}': 'VARCHAR'" for number in range(len(dialect.names)))
    values = ", ".join(f"CASE WHEN trim(c{number}) <> '' THEN c{number} END AS c{number}" for number in columns)
    options = f"header = {dialect.header}, skip = {dialect.blank_lines}, columns = {{{schema}}}"
    try:
        connection.execute(
            f"CREATE TABLE rows AS SELECT {values} FROM read_csv({_quoted(str(path))}, auto_detect = false, "
            f"delim = {_quoted(dialect.delimiter)}, quote = '\"', escape = '\"', new_line = '\\n', {options}, "
            f"strict_mode = true, max_line_size = {_LONGEST_ROW}, buffer_size = {_BUFFER}, "
            f"store_rejects = true, rejects_limit = {MAX_SKIPPED}, rejects_table = 'rejects')"
        )
    except duckdb.InvalidInputException as error:
        found = re.search(r"Line: (\d+)", str(error))
        where = f"Line {found[1]}" if found else "A line"
        raise TaskError("csv-unreadable", f"{where} cannot be read as CSV.") from error
    (kept,) = connection.execute("SELECT count(*) FROM rows").fetchall()[0]
    return kept, _skipped(connection, path, len(dialect.names), kept)


def _skipped(connection: "DuckDBPyConnection", path: Path, width: int, kept: int) -> SkippedRows:
    rejects = connection.execute(
        "SELECT min(byte_position), first(error_type ORDER BY byte_position) FROM rejects GROUP BY line ORDER BY 1"
    ).fetchall()
    # DuckDB's own `line` counts rows. A late row's line means reading up to it, so only some are looked up.
    first = [
        SkippedRow(line=line_of(path, position - 1), reason=_REASONS.get(reason, reason.lower()))
        for position, reason in rejects[:_SHOWN]
    ]
    if len(rejects) >= MAX_SKIPPED or len(rejects) > kept:
        raise TaskError(
            "csv-unreadable",
            f"At least {len(rejects)} of the rows cannot be read as {width} columns, "
            f"the first at line {first[0].line}: {first[0].reason}. Check the delimiter.",
        )
    return SkippedRows(count=len(rejects), first=first)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
