"""Compute when a schedule is due. The result never depends on the last run, so times do not drift.

Cron lines are parsed by cronsim, which follows Debian's cron; days and times are in a time zone. When clocks change, a
line that names hours uses the wall clock: a skipped time fires right after the gap, and a time that occurs twice fires
the first time. A line for every hour uses elapsed time.
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
    """An interval in seconds that starts at `anchor_ms` (since 1970), or a cron line in a time zone."""

    every: float | None
    cron: str | None
    timezone: str
    anchor_ms: int

    def after(self, moment_ms: int) -> Iterator[int]:
        """Yield the fire times after a moment, in milliseconds since 1970."""
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
        if tick > last:  # if it starts in the second of two equal hours, cronsim returns times of the first
            last = tick
            yield tick


def _by_the_clock(line: str) -> str:
    """Normalize the hours: `*` if the line means every hour, otherwise no `*` in minutes and hours.

    Debian's cron, and therefore cronsim, treats a `*` there as elapsed time: a line such as `*/30 2 * * *` would not
    fire at all on one day of the year, and twice as often on another.
    """
    minutes, hours, *days = line.split()
    if CronSim(line, datetime.now(UTC)).hours == _HOURS:
        return " ".join([minutes, "*", *days])
    return " ".join([minutes.replace("*", "0-59"), hours.replace("*", "0-23"), *days])


def check_cron(line: str) -> str:
    """Check a cron line and return it unchanged.

    Raises:
        ValueError: it is not a cron line, or no day of the next fifty years matches; the message says what is wrong.
    """
    if len(line.split()) != 5:
        raise ValueError("Input should have five fields: minute, hour, day, month, weekday")
    try:
        # In UTC: the matching days do not depend on the zone.
        comes = next(_cron_ticks(line, "UTC", round(datetime.now(UTC).timestamp() * 1000)), None)
    except CronSimError as error:
        raise ValueError(f"Input should be a cron line: {str(error).lower()}") from None
    if comes is None:
        raise ValueError("Input should be a cron line that matches a day of the next 50 years")
    return line


def check_timezone(name: str) -> str:
    """Check a time zone and return its name unchanged.

    Raises:
        ValueError: the IANA database does not have it.
    """
    if name not in _timezones():
        raise ValueError("Input should be a time zone of the IANA database, such as Europe/Berlin")
    return name


@lru_cache(maxsize=1)
def _timezones() -> set[str]:
    return available_timezones()
