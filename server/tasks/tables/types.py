"""Finds the type that fits all values of a column, not only a sample."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

TypeName = Literal["integer", "number", "boolean", "date", "timestamp", "text"]
Decimal = Literal[".", ","]

_DAY = "[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}"
_CLOCK = "[ T][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?"

#: Allowed separators of thousands, in addition to the point or comma that is not the decimal sign.
_GROUP_SPACES = "' \u00a0\u202f\u2019"

#: Directives of a date format that DuckDB reads, and those that turn a date into a timestamp.
DATE_FORMAT = re.compile(r"(?:[^%\x00-\x1f]|%-?[dmyHIMSj]|%[aAbBYfpzZ%])+")
_TIME_OF_DAY = re.compile(r"%-?[HIMSfpzZ]")


@dataclass(frozen=True, slots=True)
class Type:
    """A type: the pattern of its values, and the SQL that reads one from `{}` (timestamps as microseconds since 1970).

    `inferred` is stricter than `declared`: "007" is an identifier, unless the client declares the column as integers.
    """

    name: TypeName
    sql: str
    inferred: str
    declared: str

    def values(self, column: int, *, declared: bool) -> str:
        """Return SQL for the column's values, NULL for a value that does not fit."""
        text = f"trim(c{column})"
        pattern = self.declared if declared else self.inferred
        return f"CASE WHEN regexp_full_match({text}, '{pattern}') THEN {self.sql.format(text)} END"


_INTEGER = Type(
    "integer", "TRY_CAST({} AS BIGINT)", "[+-]?(0|[1-9][0-9]{0,17})", "[+-]?[0-9]{1,18}"
)  # more than 18 digits are an identifier, too: a float would lose some of them
_NUMBER = Type(
    "number",
    "TRY_CAST({} AS DOUBLE)",
    "[+-]?((0|[1-9][0-9]{0,17})([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]{1,2})?",
    "[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]{1,2})?",
)
#: A column of single letters (y, n, t, f) is text, because they may be codes.
_BOOLEAN = Type(
    "boolean",
    "lower({}) IN ('true', 't', 'yes', 'y', '1')",
    "(?i)true|false|yes|no",
    "(?i)true|false|t|f|yes|no|y|n|0|1",
)
_DATE = Type("date", "epoch_us(TRY_CAST({} AS DATE))", *[_DAY] * 2)
_TIMESTAMP = Type("timestamp", "epoch_us(TRY_CAST({} AS TIMESTAMPTZ))", *[f"{_DAY}({_CLOCK})?"] * 2)


def candidates(decimal: Decimal | None, date_format: str | None) -> tuple[Type, ...]:
    """Return the types to try, narrower ones first. A `decimal` allows groups of thousands."""
    numbers = (_INTEGER, _NUMBER) if decimal is None else (_grouped(_INTEGER, decimal), _grouped(_NUMBER, decimal))
    dates = (_DATE, _TIMESTAMP) if date_format is None else (_formatted(date_format), _DATE, _TIMESTAMP)
    return (*numbers, _BOOLEAN, *dates)


def _grouped(plain: Type, decimal: Decimal) -> Type:
    """Return the type with this decimal sign and with groups of thousands: `1.234,56`."""
    other = "," if decimal == "." else "."
    group = "[" + (other + _GROUP_SPACES).replace("'", "''") + "]"
    grouped = f"[1-9][0-9]{{0,2}}({group}[0-9]{{3}}){{1,5}}"
    if plain.name == "number":
        grouped += f"([{decimal}][0-9]*)?"
    inferred, declared = (
        f"{pattern.replace('[.]', f'[{decimal}]')}|[+-]?{grouped}" for pattern in (plain.inferred, plain.declared)
    )
    bare = f"replace(regexp_replace({{}}, '{group}', '', 'g'), '{decimal}', '.')"
    return Type(plain.name, plain.sql.replace("{}", bare), inferred, declared)


def _formatted(date_format: str) -> Type:
    """Return a type for dates or timestamps in the client's own format."""
    quoted = date_format.replace("'", "''").replace("{", "{{").replace("}", "}}")
    name: TypeName = "timestamp" if _TIME_OF_DAY.search(date_format) else "date"
    return Type(name, f"epoch_us(try_strptime({{}}, '{quoted}'))", *["(?s).+"] * 2)


@dataclass(frozen=True, slots=True)
class Fit:
    """A column's type, and SQL for its values. `expected` is the type, if some values do not match it.

    It is the declared type, or in a column of mixed types the type of more than half of its values.
    """

    name: TypeName
    values: str
    expected: Type | None = None


def declared_fit(column: int, name: TypeName, types: Sequence[Type]) -> Fit:
    if name == "text":
        return Fit("text", f"c{column}")
    chosen = next(each for each in types if each.name == name)
    return Fit(name, chosen.values(column, declared=True), chosen)


def find_fit(connection: "DuckDBPyConnection", column: int, types: Sequence[Type]) -> Fit:
    """Return the narrowest type that all of the column's values match, else text."""
    counts = ", ".join(f"count({each.values(column, declared=False)})" for each in types)
    total, *fitting = connection.execute(f"SELECT count(c{column}), {counts} FROM rows").fetchall()[0]
    for candidate, number in zip(types, fitting, strict=True):
        if total and number == total:
            return Fit(candidate.name, candidate.values(column, declared=False))
    number, likely = max(zip(fitting, types, strict=True), key=lambda pair: int(pair[0]))
    return Fit("text", f"c{column}", likely if number * 2 > total else None)
