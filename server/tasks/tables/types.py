"""Which type fits a column: found over all of its values, never over a sample alone."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

TypeName = Literal["integer", "number", "boolean", "date", "timestamp", "text"]

_DAY = "[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}"
_CLOCK = "[ T][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?"


@dataclass(frozen=True, slots=True)
class Type:
    """A type: what its values look like, and the SQL that reads one from `{}` (a moment as microseconds since 1970).

    `found` is stricter than `given`: "007" is an identifier, unless the client says that the column holds integers.
    """

    name: TypeName
    sql: str
    found: str
    given: str

    def values(self, column: int, *, given: bool) -> str:
        """SQL for the column's values, NULL where one does not fit."""
        text = f"trim(c{column})"
        pattern = self.given if given else self.found
        return f"CASE WHEN regexp_full_match({text}, '{pattern}') THEN {self.sql.format(text)} END"


_INTEGER = Type(
    "integer", "TRY_CAST({} AS BIGINT)", "[+-]?(0|[1-9][0-9]{0,17})", "[+-]?[0-9]{1,18}"
)  # more digits than 18 are an identifier, too: a float would not keep them
_NUMBER = Type(
    "number",
    "TRY_CAST({} AS DOUBLE)",
    "[+-]?((0|[1-9][0-9]{0,17})([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]{1,2})?",
    "[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]{1,2})?",
)
_BOOLEAN = Type("boolean", "lower({}) IN ('true', 't', 'yes', 'y')", *["(?i)true|false|t|f|yes|no|y|n"] * 2)
_DATE = Type("date", "epoch_us(TRY_CAST({} AS DATE))", *[_DAY] * 2)
_TIMESTAMP = Type("timestamp", "epoch_us(TRY_CAST({} AS TIMESTAMPTZ))", *[f"{_DAY}({_CLOCK})?"] * 2)

#: The narrower before the wider.
_CANDIDATES = (_INTEGER, _NUMBER, _BOOLEAN, _DATE, _TIMESTAMP)


@dataclass(frozen=True, slots=True)
class Fit:
    """A column's type, and SQL for its values. `expected` is what its values should be and may not be: the given type,
    or for a column of mixed types the one that more than half of its values have."""

    name: TypeName
    values: str
    expected: Type | None = None


def given(column: int, name: TypeName) -> Fit:
    """The type that the client says."""
    if name == "text":
        return Fit("text", f"c{column}")
    chosen = next(each for each in _CANDIDATES if each.name == name)
    return Fit(name, chosen.values(column, given=True), chosen)


def find(connection: "DuckDBPyConnection", column: int) -> Fit:
    """The narrowest type that all of the column's values have, else text."""
    counts = ", ".join(f"count({each.values(column, given=False)})" for each in _CANDIDATES)
    total, *fitting = connection.execute(f"SELECT count(c{column}), {counts} FROM rows").fetchall()[0]
    for candidate, number in zip(_CANDIDATES, fitting, strict=True):
        if total and number == total:
            return Fit(candidate.name, candidate.values(column, given=False))
    number, likely = max(zip(fitting, _CANDIDATES, strict=True), key=lambda pair: int(pair[0]))
    return Fit("text", f"c{column}", likely if number * 2 > total else None)
