"""When a schedule is due: pure computation from what it says, never from when it fired last, so that nothing drifts.

Cron lines are read by cronsim, which follows Debian's cron; days and times are those of a time zone. Where clocks are
put forward or back, a line that names hours goes by the wall clock: a time that is skipped comes at the first instant
after the gap, a time that comes twice counts the first time. A line for every hour goes by the time that passes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

_HOURS = set(range(24))


@dataclass(frozen=True, slots=True)
class Timing:
    """Every so many seconds from a moment on (`anchor_ms`, since 1970), or by a cron line in a time zone."""

    every: float | None
    cron: str | None
    timezone: str
    anchor_ms: int

    def after(self, moment_ms: int) -> Iterator[int]:
        """The ticks later than a moment, in milliseconds since 1970."""
        if self.cron is not None:
            return _cron_ticks(self.cron, self.timezone, moment_ms)
        return _regular_ticks(round((self.every or 0) * 1000), self.anchor_ms, moment_ms)


def _regular_ticks(step_ms: int, anchor_ms: int, moment_ms: int) -> Iterator[int]:
    passed = max(0, (moment_ms - anchor_ms) // step_ms)
    tick = anchor_ms + passed * step_ms
    while True:
        tick += step_ms
        yield tick


def _cron_ticks(line: str, timezone: str, moment_ms: int) -> Iterator[int]:
    start = datetime.fromtimestamp(moment_ms / 1000, UTC).astimezone(ZoneInfo(timezone))
    last = moment_ms
    for moment in CronSim(_by_the_clock(line), start):
        tick = round(moment.timestamp() * 1000)
        if tick > last:  # begun in the second of two equal hours, cronsim gives times of the first
            last = tick
            yield tick


def _by_the_clock(line: str) -> str:
    """The same line with `*` for its hours where it means every hour, and else without any in minutes and hours.

    Debian's cron, and cronsim with it, takes a `*` there for "let so much time pass": a line such as `*/30 2 * * *`
    would not come at all on one day of the year, and twice as often on another.
    """
    minutes, hours, *days = line.split()
    if CronSim(line, datetime.now(UTC)).hours == _HOURS:
        return " ".join([minutes, "*", *days])
    return " ".join([minutes.replace("*", "0-59"), hours.replace("*", "0-23"), *days])


def check_cron(line: str) -> str:
    """The line as it is.

    Raises:
        ValueError: it is not one, or no day of the next fifty years fits it; the text says what is wrong.
    """
    if len(line.split()) != 5:
        raise ValueError("Input should have five fields: minute, hour, day, month, weekday")
    try:
        # In UTC: which days fit does not depend on the zone.
        comes = next(_cron_ticks(line, "UTC", round(datetime.now(UTC).timestamp() * 1000)), None)
    except CronSimError as error:
        raise ValueError(f"Input should be a cron line: {str(error).lower()}") from None
    if comes is None:
        raise ValueError("Input should be a cron line that comes: no day of the next 50 years fits this one")
    return line


def check_timezone(name: str) -> str:
    """The name as it is.

    Raises:
        ValueError: it is none of the IANA database's.
    """
    if name not in _timezones():
        raise ValueError("Input should be a time zone of the IANA database, such as Europe/Berlin")
    return name


@lru_cache(maxsize=1)
def _timezones() -> set[str]:
    return available_timezones()
