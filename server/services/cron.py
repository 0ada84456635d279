"""Compute when a schedule is due. The result never depends on the last run, so times do not drift.

Cron lines are parsed by cronsim, which follows Debian's cron; days and times are in a time zone. When clocks change, a
line that names hours uses the wall clock: a skipped time fires right after the gap, and a time that occurs twice fires
the first time. A line for every hour uses elapsed time.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain, count, pairwise, takewhile
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

_HOURS = set(range(24))
_timezones = lru_cache(maxsize=1)(available_timezones)

#: Names for common lines, as cron has them.
NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


@dataclass(frozen=True, slots=True)
class Timing:
    """An interval in seconds that starts at `anchor_ms` (since 1970), or a cron line in a time zone.

    No time is before `start_ms` or after `end_ms`; an interval counts from `start_ms` if there is one. Each time is
    delayed by up to `jitter_ms`. The delay follows from `seed` and the time, so it is the same in every process.
    """

    every: float | None
    cron: str | None
    timezone: str
    anchor_ms: int
    start_ms: int | None = None
    end_ms: int | None = None
    jitter_ms: int = 0
    seed: str = ""

    def identity(self) -> str:
        """Return a text that identifies equal timings: JSON by name, without defaults."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        if self.cron is not None:
            del values["anchor_ms"]
        return json.dumps({name: value for name, value in values.items() if value})

    def after(self, moment_ms: int) -> Iterator[int]:
        """Yield the fire times after a moment, in milliseconds since 1970."""
        if not self.jitter_ms:
            yield from self._regular(moment_ms)
            return
        for regular, following in pairwise(chain(self._regular(moment_ms - self.jitter_ms), (None,))):
            assert regular is not None
            # Never past the next time, so that the order stays, nor past the end.
            last = following if self.end_ms is None or following is not None else self.end_ms + 1
            max_offset_ms = self.jitter_ms if last is None else min(self.jitter_ms, last - regular)
            delayed_ms = regular + self._offset(regular, max_offset_ms)
            if delayed_ms > moment_ms:
                yield delayed_ms

    def _regular(self, moment_ms: int) -> Iterator[int]:
        """Yield the times without jitter, between start and end."""
        if self.start_ms is not None:
            moment_ms = max(moment_ms, self.start_ms - 1)
        if self.cron is not None:
            times: Iterator[int] = _cron_times(self.cron, self.timezone, moment_ms)
        else:
            step_ms = round((self.every or 0) * 1000)
            anchor_ms = self.anchor_ms if self.start_ms is None else self.start_ms - step_ms
            passed = max(0, (moment_ms - anchor_ms) // step_ms)
            times = count(anchor_ms + (passed + 1) * step_ms, step_ms)
        end_ms = self.end_ms
        return times if end_ms is None else takewhile(lambda time_ms: time_ms <= end_ms, times)

    def _offset(self, regular_ms: int, max_offset_ms: int) -> int:
        digest = hashlib.sha256(f"{self.seed} {regular_ms}".encode()).digest()
        return int.from_bytes(digest[:8]) * max_offset_ms >> 64


def _cron_times(line: str, timezone: str, moment_ms: int) -> Iterator[int]:
    start = datetime.fromtimestamp(moment_ms / 1000, UTC).astimezone(ZoneInfo(timezone))
    last = moment_ms
    for moment in CronSim(_wall_clock_line(line), start):
        time_ms = round(moment.timestamp() * 1000)
        if time_ms > last:  # if it starts in the second of two equal hours, cronsim returns times of the first
            last = time_ms
            yield time_ms


def _wall_clock_line(line: str) -> str:
    """Normalize the hours: `*` if the line means every hour, otherwise no `*` in minutes and hours.

    Debian's cron, and therefore cronsim, treats a `*` there as elapsed time: a line such as `*/30 2 * * *` would not
    fire at all on one day of the year, and twice as often on another.
    """
    line = NICKNAMES.get(line.lower(), line)
    minutes, hours, *days = line.split()
    if CronSim(line, datetime.now(UTC)).hours == _HOURS:
        return " ".join([minutes, "*", *days])
    return " ".join([minutes.replace("*", "0-59"), hours.replace("*", "0-23"), *days])


def check_cron(line: str) -> str:
    """Return a cron line; raises ValueError if it is not valid, or if no day of the next fifty years matches."""
    if len(line.split()) != 5 and line.lower() not in NICKNAMES:
        names = ", ".join(NICKNAMES)
        raise ValueError(f"Input should have five fields (minute, hour, day, month, weekday), or be one of {names}")
    try:
        # In UTC: the matching days do not depend on the zone.
        first_ms = next(_cron_times(line, "UTC", round(datetime.now(UTC).timestamp() * 1000)), None)
    except CronSimError as error:
        raise ValueError(f"Input should be a cron line: {str(error).lower()}") from None
    if first_ms is None:
        raise ValueError("Input should be a cron line that matches a day of the next 50 years")
    return line


def check_timezone(name: str) -> str:
    """Return the name of a time zone; raises ValueError if the IANA database does not have it."""
    if name not in _timezones():
        raise ValueError("Input should be a time zone of the IANA database, such as Europe/Berlin")
    return name
