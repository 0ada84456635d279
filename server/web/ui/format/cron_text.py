"""Common cron lines as a sentence; other lines are shown unchanged."""

from itertools import pairwise

from server.services.cron import NICKNAMES

_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_UNITS = ((604_800, "week"), (86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def interval_text(seconds: float) -> str:
    """`Every 5 minutes`, `Every 90 seconds`."""
    for unit, word in _UNITS:
        if seconds % unit == 0:
            count = int(seconds // unit)
            return f"Every {word}" if count == 1 else f"Every {count:,} {word}s"
    return f"Every {seconds:g} seconds"


def cron_text(line: str) -> str:
    """Return `Monday to Friday at 06:45`, or `By its cron line` for an unusual line."""
    fields = NICKNAMES.get(line.strip().lower(), line).split()
    if len(fields) != 5:
        return "By its cron line"
    minute, hour, day, month, weekday = fields
    when = _time(minute, hour)
    days = _days(day, month, weekday)
    if when is None or days is None:
        return "By its cron line"
    every_day = days == "Every day"
    if when.startswith("Every"):
        return when if every_day else f"{when}, {days[0].lower() + days[1:] if days.startswith('On') else days}"
    return f"{days} {when}"


def _time(minute: str, hour: str) -> str | None:
    if minute == "*" and hour == "*":
        return "Every minute"
    if minute.startswith("*/") and minute[2:].isdigit() and hour == "*":
        return f"Every {minute[2:]} minutes"
    if not minute.isdigit():
        return None
    if hour == "*":
        return "Every hour" if minute == "0" else f"Every hour at :{int(minute):02}"
    if hour.startswith("*/") and hour[2:].isdigit():
        return f"Every {hour[2:]} hours at :{int(minute):02}"
    hours = hour.split(",")
    if not all(each.isdigit() for each in hours):
        return None
    return "at " + ", ".join(f"{int(each):02}:{int(minute):02}" for each in hours)


def _days(day: str, month: str, weekday: str) -> str | None:
    if day == month == weekday == "*":
        return "Every day"
    if day == month == "*":
        return _weekdays(weekday)
    months = _numbers(month, [name.lower() for name in _MONTHS], 1)
    days = _numbers(day, [], 0)
    if weekday != "*" or days is None or (month != "*" and months is None):
        return None
    listed = ", ".join(str(each) for each in days)
    if month == "*":
        return f"On day {listed} of every month"
    return f"On {listed} {', '.join(_MONTHS[each - 1] for each in months or [])}"


def _weekdays(text: str) -> str | None:
    numbers = _numbers(text, [name[:3].lower() for name in _DAYS], 0)
    if numbers is None:
        return None
    names = [_DAYS[each % 7] for each in numbers]
    if len(numbers) > 2 and all(after == before + 1 for before, after in pairwise(numbers)):
        return f"{names[0]} to {names[-1]}"
    return f"Every {' and '.join(names)}" if len(names) < 3 else ", ".join(names)


def _numbers(text: str, names: list[str], first: int) -> list[int] | None:
    """Convert `1-5` or `MON,WED` to numbers; None for anything else."""
    numbers: list[int] = []
    for part in text.lower().split(","):
        begin, dash, end = part.partition("-")
        values = [_number(each, names, first) for each in ([begin, end] if dash else [begin])]
        if None in values:
            return None
        low, high = values[0], values[-1]
        assert low is not None and high is not None
        numbers += range(low, high + 1)
    return numbers or None


def _number(text: str, names: list[str], first: int) -> int | None:
    if text.isdigit():
        return int(text)
    return names.index(text[:3]) + first if text[:3] in names else None
