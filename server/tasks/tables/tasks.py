"""The task `csv_stats` and its result."""

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

from server.sdk.context import Context, OutputFile, Upload
from server.sdk.csv import Dialect, Options, Text, clean, find_dialect
from server.sdk.errors import ErrorType, TaskError, register_error_types
from server.sdk.registry import task
from server.tasks.tables.database import load, opened
from server.tasks.tables.report import render
from server.tasks.tables.rows import Lines, LongRow, ReadRows, SkippedRows, rewrite
from server.tasks.tables.statistics import Column, describe
from server.tasks.tables.types import DATE_FORMAT, Decimal, Type, TypeName, candidates, declared_fit, find_fit

#: `server.sdk.csv` defines the errors of reading a table.
register_error_types({"csv-no-such-column": ErrorType("The file has no such column", "The detail lists the columns.")})

_COLUMNS_IN_RESULT = 200  # columns in the result; `statistics.json` has all of them, so that a poll stays small
_COLUMNS_PER_LOAD = 100  # columns that DuckDB holds at the same time: each costs about 100 KB while rows are loaded

_MEDIA_TYPES = (
    *("text/*", "application/csv", "application/x-csv", "application/tab-separated-values", "application/txt"),
    *("application/vnd.ms-excel", "application/gzip", "application/x-gzip", "binary/octet-stream"),
)

#: Values that mean "missing", as in pandas; an empty value always does.
NULL_VALUES = (
    *("NA", "N/A", "n/a", "<NA>", "#N/A", "#N/A N/A", "#NA", "NULL", "null", "None"),
    *("NaN", "nan", "-NaN", "-nan", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"),
)

_NAMED = {"tab": "\t", "space": " ", "none": ""}


class CsvStats(BaseModel):
    """Statistics of a table. The answer has the first 200 columns, the file `statistics.json` all."""

    rows: int
    column_count: int
    columns: list[Column]
    delimiter: str
    header: bool
    encoding: str
    compressed: bool
    lines: Lines
    longest_row: LongRow | None = Field(
        None, description="The row with the most lines, if one has several. It reveals a stray quote that spans lines."
    )
    skipped: SkippedRows
    padded: int = Field(0, description="Short rows that `pad_rows` filled with empty values.")
    statistics: OutputFile | None = None
    report: OutputFile | None = None


def _delimiter(text: str) -> str:
    if text in ("tab", "space") or (len(text) == 1 and text not in '"' and (text.isprintable() or text == "\t")):
        return text
    raise ValueError('Give one character, "tab" or "space"; not a quote or a line break')


def _quote(text: str) -> str:
    if text == "none" or (len(text) == 1 and text.isprintable() and not text.isspace()):
        return text
    raise ValueError('Give one character, or "none" if quotes have no meaning in the file')


def _date_format(text: str) -> str:
    if "%" in text and DATE_FORMAT.fullmatch(text):
        return text
    raise ValueError(
        "Give a format such as %d.%m.%Y; these work: %d %m %y %Y %b %B %a %A %j %H %I %M %S %f %p %z %Z %%"
    )


#: The pattern is for generators of clients; `_date_format` raises the error that clients see.
DateFormat = Annotated[
    str,
    Field(max_length=60, json_schema_extra={"pattern": f"^(?=.*%){DATE_FORMAT.pattern}$"}),
    AfterValidator(_date_format),
]


def _fits_together(delimiter: str | None, quote: str, **_: object) -> None:
    if delimiter is not None and delimiter == quote:
        raise ValueError("`delimiter` and `quote` are the same character")


@task(accepts=_MEDIA_TYPES, soft_time_limit=1800, time_limit=1860, check=_fits_together)
def csv_stats(
    ctx: Context,
    file: Upload,
    delimiter: Annotated[str, Field(min_length=1, max_length=5), AfterValidator(_delimiter)] | None = None,
    header: bool | None = None,
    encoding: Annotated[str, Field(max_length=40)] | None = None,
    quote: Annotated[str, Field(min_length=1, max_length=4), AfterValidator(_quote)] = '"',
    skip_rows: Annotated[int, Field(ge=0, le=10_000)] = 0,
    comment: Annotated[str, Field(min_length=1, max_length=4)] | None = None,
    decimal: Decimal | None = None,
    date_format: DateFormat | None = None,
    null_values: Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=100)] | None = None,
    pad_rows: bool = False,
    types: dict[str, TypeName] | None = None,
    report: bool = False,
) -> CsvStats:
    """Describe a CSV or TSV file (also gzipped), column by column: type, nulls, distinct, range, quartiles, histogram.

    Delimiter (`tab` and `space` are names), header, encoding and types are found unless you give them. `skip_rows` is
    the number of lines before the table, `comment` begins a line to ignore, `quote` may be `none`, `pad_rows` fills
    short rows. `decimal` is `.` or `,` and allows groups of thousands (`1.234,56`), `date_format` is such as
    `%d.%m.%Y`, `null_values` replace NA, N/A, NULL, NaN and the like. Memory is bounded: 1 GB takes less than 500 MB.
    `report` adds one HTML page with a picture per column.
    """
    options = Options(
        delimiter=_NAMED.get(delimiter, delimiter) if delimiter else None,
        header=header,
        quote=_NAMED.get(quote, quote),
        skip_rows=skip_rows,
        comment=comment or "",
        pad_rows=pad_rows,
    )
    with tempfile.TemporaryDirectory() as name, file.path() as source:
        folder = Path(name)
        nulls = NULL_VALUES if null_values is None else null_values
        text = clean(
            source, folder / "table.csv", encoding, lambda read: ctx.progress(0, 100, f"read {read / 2**20:.0f} MiB")
        )
        dialect = find_dialect(text.path, options)
        _check_names(types or {}, dialect.names)
        read_rows = rewrite(
            text.path, folder / "rows.txt", dialect, nulls, lambda rows: ctx.progress(5, 100, f"read {rows} rows")
        )
        text.path.unlink()
        columns = _columns(ctx, read_rows, dialect.names, types or {}, candidates(decimal, date_format))
        stats = _described(text, dialect, read_rows, columns)
    if report:
        page = render(file.filename, stats.model_dump(mode="json"))
        stats.report = ctx.save("report.html", page.encode(), "text/html; charset=utf-8")
    if stats.column_count > _COLUMNS_IN_RESULT:
        stats.statistics = ctx.save("statistics.json", stats.model_dump_json().encode(), "application/json")
        stats.columns = stats.columns[:_COLUMNS_IN_RESULT]
    return stats


def _check_names(columns: Iterable[str], names: Sequence[str]) -> None:
    if unknown := [name for name in columns if name not in names]:
        shown = ", ".join(repr(name[:50]) for name in names[:20]) + (", …" if len(names) > 20 else "")
        raise TaskError("csv-no-such-column", f"No column is called {unknown[0][:50]!r}; these are: {shown}.")


def _columns(
    ctx: Context,
    read_rows: ReadRows,
    names: Sequence[str],
    declared_types: Mapping[str, TypeName],
    types: Sequence[Type],
) -> list[Column]:
    """Load and describe the columns in batches. `declared_types` are by name; `types` are those to try."""
    width = read_rows.width
    columns: list[Column] = []
    for start in range(0, width, _COLUMNS_PER_LOAD):
        batch = range(start, min(start + _COLUMNS_PER_LOAD, width))
        ctx.progress(10 + 90 * start / width, 100, f"loading columns {start + 1} to {batch.stop} of {width}")
        with opened(read_rows.path.parent, ctx.settings.worker_memory_limit) as connection:
            load(connection, read_rows, batch)
            for column in batch:
                ctx.progress(10 + 90 * column / width, 100, f"column {column + 1} of {width}")
                declared = declared_types.get(names[column])
                fit = declared_fit(column, declared, types) if declared else find_fit(connection, column, types)
                columns.append(describe(connection, column, names[column], fit))
    ctx.progress(100, 100, "done")
    return columns


def _described(text: Text, dialect: Dialect, read_rows: ReadRows, columns: list[Column]) -> CsvStats:
    return CsvStats(
        rows=read_rows.rows,
        column_count=len(columns),
        columns=columns,
        delimiter=dialect.syntax.delimiter,
        header=dialect.header,
        encoding=text.encoding,
        compressed=text.compressed,
        lines=read_rows.lines,
        longest_row=read_rows.long_row,
        skipped=read_rows.skipped,
        padded=read_rows.padded,
    )
