"""The task, and what it gives back."""

import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field

from server.sdk.context import Context, OutputFile, Upload
from server.sdk.errors import TaskError
from server.sdk.registry import task
from server.tasks.tables.database import SkippedRows, load, opened
from server.tasks.tables.dialect import Dialect
from server.tasks.tables.dialect import find as find_dialect
from server.tasks.tables.report import render
from server.tasks.tables.statistics import Column, describe
from server.tasks.tables.text import Text, clean
from server.tasks.tables.types import TypeName
from server.tasks.tables.types import find as find_fit
from server.tasks.tables.types import given as given_fit

#: Columns in the answer; more are in the file `statistics.json` alone, so that a poll stays light.
_IN_ANSWER = 200

#: Columns that are held in DuckDB at once: each costs about 100 KB while rows are loaded.
_AT_ONCE = 100

_MEDIA_TYPES = ("text/*", "application/csv", "application/vnd.ms-excel", "application/gzip", "application/x-gzip")


class CsvStats(BaseModel):
    """Counters of a table. Of more than 200 columns the answer has the first, the file `statistics.json` all."""

    rows: int
    column_count: int
    columns: list[Column]
    delimiter: str
    header: bool
    encoding: str
    compressed: bool
    skipped: SkippedRows
    statistics: OutputFile | None = None
    report: OutputFile | None = None


@task(accepts=_MEDIA_TYPES, soft_time_limit=1800, time_limit=1860)
def csv_stats(
    ctx: Context,
    file: Upload,
    delimiter: Annotated[str, Field(pattern=r'^([^"\r\n]|tab)$')] | None = None,
    header: bool | None = None,
    encoding: Annotated[str, Field(max_length=40)] | None = None,
    types: dict[str, TypeName] | None = None,
    report: bool = False,
) -> CsvStats:
    """Describe a CSV or TSV file (also gzipped), column by column: type, nulls, distinct, range, quartiles, histogram.

    Delimiter (`tab` for a tabulator), header, encoding and types are found where they are not given. Memory is
    bounded: 1 GB takes less than 500 MB. `report` adds one HTML page with a picture per column.
    """
    with tempfile.TemporaryDirectory() as name, file.path() as source:
        folder = Path(name)
        text = clean(source, folder / "table.csv", encoding, partial(_report_reading, ctx))
        dialect = find_dialect(text.path, "\t" if delimiter == "tab" else delimiter, header)
        stats = _analyse(ctx, folder, text, dialect, _types_of(dialect, types or {}))
    if report:
        page = render(file.filename, stats.model_dump(mode="json"))
        stats.report = ctx.save("report.html", page.encode(), "text/html; charset=utf-8")
    if stats.column_count > _IN_ANSWER:
        stats.statistics = ctx.save("statistics.json", stats.model_dump_json().encode(), "application/json")
        stats.columns = stats.columns[:_IN_ANSWER]
    return stats


def _report_reading(ctx: Context, read: int) -> None:
    ctx.progress(0, 100, f"read {read / 2**20:.0f} MiB")


def _types_of(dialect: Dialect, given: dict[str, TypeName]) -> dict[int, TypeName]:
    """The given types, by the column's place.

    Raises:
        TaskError: `csv-no-such-column`.
    """
    if unknown := [name for name in given if name not in dialect.names]:
        raise TaskError("csv-no-such-column", f"No column is called {unknown[0]!r}; these are: {_some(dialect.names)}.")
    return {place: given[name] for place, name in enumerate(dialect.names) if name in given}


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(repr(name[:50]) for name in names[:20]) + (", …" if len(names) > 20 else "")


def _analyse(ctx: Context, folder: Path, text: Text, dialect: Dialect, given: dict[int, TypeName]) -> CsvStats:
    """Load and describe the columns, some at a time."""
    width = len(dialect.names)
    columns: list[Column] = []
    for start in range(0, width, _AT_ONCE):
        some = range(start, min(start + _AT_ONCE, width))
        ctx.progress(10 + 90 * start / width, 100, f"loading columns {start + 1} to {some.stop} of {width}")
        with opened(folder) as connection:
            rows, skipped = load(connection, text.path, dialect, some)
            for place in some:
                ctx.progress(10 + 90 * place / width, 100, f"column {place + 1} of {width}")
                fit = given_fit(place, given[place]) if place in given else find_fit(connection, place)
                columns.append(describe(connection, place, dialect.names[place], fit))
    ctx.progress(100, 100, "done")
    return CsvStats(
        rows=rows,
        column_count=width,
        columns=columns,
        delimiter=dialect.delimiter,
        header=dialect.header,
        encoding=text.encoding,
        compressed=text.compressed,
        skipped=skipped,
    )
