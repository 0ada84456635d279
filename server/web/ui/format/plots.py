"""Plots over time as SVG: values on hover, a sentence for screen readers, and the numbers as a table.

The last step has not ended: lines stop before it, and its values so far stand apart, as dots and lighter bars.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

#: Marks the values of the running step.
SO_FAR = " so far"


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar, all in percent of the plot."""

    x: float
    y: float
    width: float
    height: float
    so_far: bool = False


@dataclass(frozen=True, slots=True)
class Hit:
    """A part of the plot that shows its values on hover."""

    x: float
    width: float
    text: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines or bars on one scale."""

    sentence: str
    grid: list[tuple[float, str]]
    lines: list[tuple[str, str]] = field(default_factory=list)
    #: The values of the running step: class and height.
    dots: list[tuple[str, float]] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    low: bool = False


@dataclass(frozen=True, slots=True)
class Series:
    """Values at equal steps, oldest first; the last step is incomplete."""

    name: str
    css: str
    values: Sequence[float]
    bar: bool = False

    @property
    def value(self) -> str:
        """The value of the last complete step, for the legend."""
        return f"{self.values[-2]:,g}"


@dataclass(frozen=True, slots=True)
class Plot:
    """Charts above each other with one time axis, and their numbers."""

    id: str
    title: str
    legend: Sequence[Series]
    charts: list[Chart]
    hits: list[Hit]
    times: list[tuple[int, str, str, int]]
    table: list[tuple[int | str, ...]]
    days: bool  # whether times include the day


def plot(
    name: str,
    title: str,
    series: Sequence[Series],
    step_seconds: int,
    unit: str,
    fold: Callable[[Iterable[float]], float] = sum,
) -> Plot:
    """Build a plot of series with one unit; series of bars get their own low chart below.

    `fold` combines several steps into one number, for the table.
    """
    count = len(series[0].values)
    now = int(time.time()) // step_seconds * step_seconds
    starts = [(now - (count - 1 - at) * step_seconds) * 1000 for at in range(count)]
    days = count * step_seconds > 86_400
    lines = [each for each in series if not each.bar]
    return Plot(
        id=name,
        title=title,
        legend=series,
        charts=[_line_chart(title, lines), *(_bar_chart(each, unit) for each in series if each.bar)],
        hits=[_hit(at, count, start, series) for at, start in enumerate(starts)],
        times=_times(starts, days),
        table=_table(starts, series, fold),
        days=days,
    )


def _hit(at: int, count: int, start: int, series: Sequence[Series]) -> Hit:
    values = ", ".join(f"{each.values[at]:,g} {each.name.lower()}" for each in series)
    return Hit(round(100 * at / count, 2), round(100 / count, 2), values + (SO_FAR if at == count - 1 else ""), start)


def _line_chart(title: str, series: Sequence[Series]) -> Chart:
    top = _nice(max((max(each.values) for each in series), default=0))
    sentence = "; ".join(f"{each.name}: {_range(each.values)}" for each in series)
    paths = [(each.css, _path(each.values, top)) for each in series]
    dots = [(each.css, _height(each.values[-1], top)) for each in series]
    return Chart(f"{title}. {sentence}.", _grid(top), lines=paths, dots=dots)


def _bar_chart(series: Series, unit: str) -> Chart:
    top, count = _nice(max(series.values)), len(series.values)
    bars = [_bar(at, count, 100 * value / top) for at, value in enumerate(series.values) if value]
    grid = [(100.0, "0"), (0.0, f"{top:,g}")]
    return Chart(f"{series.name} {unit}: {_range(series.values)}.", grid, bars=bars, low=True)


def _bar(at: int, count: int, height: float) -> Bar:
    left, width = round(100 * at / count, 2), round(70 / count, 2)
    return Bar(left, round(100 - height, 1), width, round(height, 1), so_far=at == count - 1)


def _range(values: Sequence[float]) -> str:
    *ended, running = values
    return f"{ended[-1]:,g} at the end, {min(ended):,g} to {max(ended):,g}, then {running:,g}{SO_FAR}"


def _path(values: Sequence[float], top: float) -> str:
    last = len(values) - 1
    return "M" + "L".join(f"{100 * at / last:.2f} {_height(value, top)}" for at, value in enumerate(values[:-1]))


def _height(value: float, top: float) -> float:
    return round(100 - 100 * value / top, 1)


def _grid(top: float) -> list[tuple[float, str]]:
    return [(round(100 - 100 * part / 4, 1), f"{top * part / 4:,g}") for part in (0, 2, 4)]


def _nice(value: float) -> float:
    """Return the smallest of 4, 8, 12, 20, 40, 80, 120 … that is at least the value."""
    unit = 1.0
    while True:
        for factor in (4, 8, 12, 20):
            if value <= factor * unit:
                return factor * unit
        unit *= 10


def _times(starts: list[int], days: bool) -> list[tuple[int, str, str, int]]:
    """Return the marks of the time axis in UTC; a script converts them to the reader's zone."""
    form = "%a %H:%M" if days else "%H:%M"
    moments = [starts[part * (len(starts) - 1) // 4] for part in range(5)]
    anchors = ("start", "middle", "middle", "middle", "end")
    return [
        (25 * part, time.strftime(form, time.gmtime(moment / 1000)), anchors[part], moment)
        for part, moment in enumerate(moments)
    ]


def _table(
    starts: list[int], series: Sequence[Series], fold: Callable[[Iterable[float]], float]
) -> list[tuple[int | str, ...]]:
    """Build a table of at most twelve rows, by combining steps."""
    group = -(-len(starts) // 12)
    return [
        (starts[at], *(f"{fold(each.values[at : at + group]):,g}" for each in series))
        for at in range(0, len(starts), group)
    ]
