"""The statistics of one column."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel, Field

from server.tasks.tables.types import Fit, Type, TypeName

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Value = int | float | bool | str

MAX_FREQUENT = 10
BINS = 20

#: Maximum number of values with exact quartiles. More would not fit into memory; then a t-digest estimates them.
EXACT_QUARTILES = 1_000_000

_MAX_TEXT_LENGTH = 200
_EPOCH = datetime(1970, 1, 1)
_DAY = 86_400_000_000


class Frequent(BaseModel):
    """A value and its number of occurrences."""

    value: Value
    count: int


class Bin(BaseModel):
    """The number of values from `low` to below `high` (the last bin includes `high`)."""

    low: Value
    high: Value
    count: int


class Misfits(BaseModel):
    """Values that do not match a column's type: the given one, or the likely one of a text column.

    Rows count from 1, without the header and skipped rows; lines are those of the file.
    """

    type: TypeName
    count: int
    first_row: int
    first_line: int
    first_value: str


class Column(BaseModel):
    """A column. Dates are ISO 8601, timestamps with an offset are in UTC; a text of more than 200 characters is cut."""

    name: str
    type: TypeName
    nulls: int = Field(description="Empty values, and misfits of a given type.")
    distinct: int
    min: Value | None = None
    max: Value | None = None
    mean: Value | None = None
    std: float | None = Field(None, description="Of a sample (n - 1); of dates and timestamps in seconds.")
    quartiles: list[Value] | None = Field(None, description="At 25, 50 and 75 %.")
    quartiles_approximate: bool = False
    most_frequent: list[Frequent] = Field(default_factory=list, description="The 10 most frequent values.")
    histogram: list[Bin] | None = Field(None, description="20 bins of equal width.")
    misfits: Misfits | None = None


class _Values:
    """The values of a column of the table `rows`, read as its type."""

    def __init__(self, connection: "DuckDBPyConnection", column: int, fit: Fit) -> None:
        self._connection = connection
        self._column = column
        self._source = f"(SELECT {fit.values} AS v, rowid FROM rows)"

    def query(self, expressions: str, clauses: str = "") -> list[tuple[Any, ...]]:
        """Run an SQL query over `v`; it contains no text from the file."""
        return self._connection.execute(f"SELECT {expressions} FROM {self._source} {clauses}").fetchall()

    def distinct(self) -> int:
        """Count the different values by grouping, which spills to disk where count(DISTINCT) may not."""
        groups = f"(SELECT v FROM {self._source} WHERE v IS NOT NULL GROUP BY v)"
        return int(self._connection.execute(f"SELECT count(*) FROM {groups}").fetchall()[0][0])

    def misfits(self, expected: Type) -> Misfits | None:
        values = expected.values(self._column, declared=True)
        count, first, line, value = self._connection.execute(
            f"SELECT count(*), min(rowid), arg_min(line, rowid), arg_min(c{self._column}, rowid) FROM rows "
            f"WHERE c{self._column} IS NOT NULL AND ({values}) IS NULL"
        ).fetchall()[0]
        if not count:
            return None
        text = value[:_MAX_TEXT_LENGTH]
        return Misfits(type=expected.name, count=count, first_row=first + 1, first_line=line, first_value=text)


def describe(connection: "DuckDBPyConnection", column: int, name: str, fit: Fit) -> Column:
    """Compute all statistics of a column of the table `rows`."""
    values = _Values(connection, column, fit)
    rows, filled, minimum, maximum = values.query("count(*), count(v), min(v), max(v)")[0]
    stats = Column(name=name, type=fit.name, nulls=rows - filled, distinct=0)
    stats.misfits = values.misfits(fit.expected) if fit.expected else None
    if not filled:
        return stats
    stats.min, stats.max, stats.distinct = _as_value(fit.name, minimum), _as_value(fit.name, maximum), values.distinct()
    frequent = values.query("v, count(*) n", f"WHERE v IS NOT NULL GROUP BY v ORDER BY n DESC, v LIMIT {MAX_FREQUENT}")
    stats.most_frequent = [Frequent(value=_as_value(fit.name, value), count=count) for value, count in frequent]
    if fit.name not in ("text", "boolean"):
        _measure(stats, values, filled)
        stats.histogram = _histogram(values, fit.name, minimum, maximum)
    return stats


def _measure(stats: Column, values: _Values, filled: int) -> None:
    """Compute mean, deviation and quartiles. The types keep every sum of squares within a float's range."""
    stats.quartiles_approximate = filled > EXACT_QUARTILES
    quantile = "approx_quantile" if stats.quartiles_approximate else "quantile_cont"
    mean, std, quartiles = values.query(f"avg(v), stddev_samp(v), {quantile}(v, [0.25, 0.5, 0.75])")[0]
    moment = stats.type in ("date", "timestamp")
    stats.mean = _as_value(stats.type, int(mean)) if moment else mean
    stats.std = std / 1e6 if moment and std is not None else std
    stats.quartiles = [_as_value(stats.type, int(each)) if moment else each for each in quartiles]


def _histogram(values: _Values, type_: TypeName, minimum: float, maximum: float) -> list[Bin]:
    """Count values in bins of equal width: whole numbers for integers, whole days for dates."""
    unit = {"integer": 1, "date": _DAY}.get(type_)
    if unit:
        width: float = unit * -(-((maximum - minimum) // unit + 1) // BINS)
        bins = int((maximum - minimum) // width) + 1
    else:
        bins = BINS if maximum > minimum else 1
        width = (maximum - minimum) / bins
    bin_number = f"least(CAST(floor((v - ({minimum!r})) / {width!r}) AS INTEGER), {bins - 1})" if width else "0"
    counts = dict(values.query(f"{bin_number} AS bin, count(*)", "WHERE v IS NOT NULL GROUP BY bin"))
    edges = [minimum + number * width for number in range(bins)] + [maximum if unit is None else minimum + bins * width]
    bounds = [_as_value(type_, edge if type_ in ("integer", "number") else int(edge)) for edge in edges]
    return [Bin(low=bounds[n], high=bounds[n + 1], count=counts.get(n, 0)) for n in range(bins)]


def _as_value(type_: TypeName, value: Any) -> Value:
    if type_ == "text":
        text = str(value)
        return text if len(text) <= _MAX_TEXT_LENGTH else text[:_MAX_TEXT_LENGTH] + "…"
    if type_ not in ("date", "timestamp"):
        return cast(Value, value)
    try:
        moment = _EPOCH + timedelta(microseconds=value)
    except OverflowError:
        return "after 9999"
    return moment.date().isoformat() if type_ == "date" else moment.isoformat()
