"""DuckDB in a sandbox: it can access one folder, uses a part of the task's memory, and spills the rest to disk."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from server.sdk.errors import TaskError
from server.tasks.tables.rows import LINE_FEED, SEPARATOR, ReadRows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_BUFFER = 4 * 2**20  # bytes of text that DuckDB parses at the same time; a longer row increases it
_SEPARATOR = f"chr({ord(SEPARATOR)})"
_LINE_FEED = f"chr({ord(LINE_FEED)})"

#: DuckDB's part of the task's memory limit. Memory outside DuckDB's own limit (parsed text, allocators) and mapped but
#: untouched memory need the rest: 192 of 512 MiB measured 311 MB resident for 1 GB of CSV.
_MEMORY_SHARE = 1 / 4

_SPILL = "8GB"


@contextmanager
def opened(folder: Path, task_memory: int) -> Iterator["DuckDBPyConnection"]:
    """Open a new database in the task's own folder, for a task with this memory limit in bytes.

    Raises:
        TaskError: `out-of-memory` or `storage-full`, for an error of DuckDB inside the block.
    """
    import duckdb  # noqa: PLC0415 - 40 MB that only this task needs

    file = folder / "rows.duckdb"
    memory = int(task_memory * _MEMORY_SHARE) // 2**20
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
        raise TaskError("out-of-memory", "The table needed more memory than a task may use.") from None
    except duckdb.IOException as error:
        raise TaskError("storage-full", "The worker's disk is too full for the table.") from error
    finally:
        connection.close()
        file.unlink(missing_ok=True)


def load(connection: "DuckDBPyConnection", read_rows: ReadRows, columns: range) -> None:
    """Load some columns of the plain rows into the table `rows`: their line numbers, and text named c0, c1…"""
    schema = ", ".join(f"'c{number}': 'VARCHAR'" for number in range(read_rows.width))
    texts = {
        number: f"replace(c{number}, {_LINE_FEED}, chr(10))" if read_rows.has_line_feeds else f"c{number}"
        for number in columns
    }
    values = ", ".join(
        f"CASE WHEN trim(c{number}) <> '' THEN {text} END AS c{number}" for number, text in texts.items()
    )
    path, max_line = _quoted(str(read_rows.path)), read_rows.max_line
    connection.execute(
        f"CREATE TABLE rows AS SELECT line, {values} FROM read_csv({path}, auto_detect = false, "
        f"header = false, delim = {_SEPARATOR}, quote = '', escape = '', new_line = '\\n', "
        f"columns = {{'line': 'BIGINT', {schema}}}, max_line_size = {max_line}, buffer_size = {max(_BUFFER, max_line)})"
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
