"""Medians, ratios, and what was to be reached."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Ratio:
    """A figure by another one of the same round, over all rounds: so what slows a round down slows both."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{shown(self.median)} x ({shown(self.low)} to {shown(self.high)})"


def ratio(ones: Sequence[float], others: Sequence[float]) -> Ratio:
    """Of two series, round by round."""
    each = [one / other for one, other in zip(ones, others, strict=True) if other]
    if not each:
        raise ValueError("no round has both figures")
    return Ratio(statistics.median(each), min(each), max(each))


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so large a share of all values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def shown(value: float) -> str:
    """A number with as many digits as it is worth."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was to be reached, what was, and why not more; `met` is None where nothing was to be."""

    goal: str
    figure: str
    met: bool | None
    why: str = ""


def at_least(goal: float, figure: Ratio | float, what: str, why: str = "", unit: str = "x") -> Finding:
    """A figure that was to be so large."""
    value = figure.median if isinstance(figure, Ratio) else figure
    text = str(figure) if isinstance(figure, Ratio) else f"{shown(figure)} {unit}"
    return Finding(f"at least {shown(goal)} {unit} {what}", text, value >= goal, why)


def at_most(goal: float, figure: Ratio | float, what: str, why: str = "", unit: str = "x") -> Finding:
    """A figure that was to be no larger."""
    value = figure.median if isinstance(figure, Ratio) else figure
    text = str(figure) if isinstance(figure, Ratio) else f"{shown(figure)} {unit}"
    return Finding(f"at most {shown(goal)} {unit} {what}", text, value <= goal, why)


@dataclass(slots=True)
class Topic:
    """One table: series of figures, a figure a round."""

    title: str
    unit: str
    series: dict[str, list[float]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, value: float) -> None:
        """One round's figure."""
        self.series.setdefault(name, []).append(value)

    def median(self, name: str) -> float:
        """Of a series."""
        return statistics.median(self.series[name])

    def ratio(self, name: str, other: str) -> Ratio:
        """Of two series."""
        return ratio(self.series[name], self.series[other])
