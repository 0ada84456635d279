"""Medians, ratios, and the goals that they are compared with."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Ratio:
    """Ratios of two figures of the same round, over all rounds. Other load on the machine affects both alike."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{shown(self.median)} x ({shown(self.low)} to {shown(self.high)})"


def ratio(ones: Sequence[float], others: Sequence[float]) -> Ratio:
    """Compute the ratio of two series, round by round."""
    each = [one / other for one, other in zip(ones, others, strict=True) if other]
    if not each:
        raise ValueError("no round has both figures")
    return Ratio(statistics.median(each), min(each), max(each))


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def shown(value: float) -> str:
    """Format a number with three significant digits."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


@dataclass(frozen=True, slots=True)
class Finding:
    """A goal, the measured figure, and the reason if it was missed; `met` is None without a goal."""

    goal: str
    figure: str
    met: bool | None
    reason: str = ""


def minimum(goal: float, figure: Ratio | float, label: str, reason: str = "", unit: str = "x") -> Finding:
    """A finding whose figure should reach a minimum."""
    value = figure.median if isinstance(figure, Ratio) else figure
    text = str(figure) if isinstance(figure, Ratio) else f"{shown(figure)} {unit}"
    return Finding(f"at least {shown(goal)} {unit} {label}", text, value >= goal, reason)


def maximum(goal: float, figure: Ratio | float, label: str, reason: str = "", unit: str = "x") -> Finding:
    """A finding whose figure should not exceed a maximum."""
    value = figure.median if isinstance(figure, Ratio) else figure
    text = str(figure) if isinstance(figure, Ratio) else f"{shown(figure)} {unit}"
    return Finding(f"at most {shown(goal)} {unit} {label}", text, value <= goal, reason)


@dataclass(slots=True)
class Topic:
    """One table: series with one figure for each round."""

    title: str
    unit: str
    series: dict[str, list[float]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    remarks: dict[str, str] = field(default_factory=dict)
    """A last column of the table, by series."""

    def add(self, name: str, value: float) -> None:
        """Add the figure of one round."""
        self.series.setdefault(name, []).append(value)

    def median(self, name: str) -> float:
        """The median of one series."""
        return statistics.median(self.series[name])

    def ratio(self, name: str, other: str) -> Ratio:
        """The ratio of two series."""
        return ratio(self.series[name], self.series[other])
