"""Formats values for pages: times, sizes, numbers, states, and a one-line summary of a task."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pydantic_core
from flask import g
from markupsafe import Markup, escape

from server.sdk.registry import secrets_of
from server.services.status import timestamp
from server.store.record import Record, Status
from server.web.current import store
from server.web.ui.blueprint import ui

NONE = "\u2013"

#: Maximum characters of a summary, and the number of values and the depth that it reads from an input.
_SUMMARY, _MAX_VALUES, _MAX_DEPTH = 120, 8, 3

_MAX_INPUT = 20_000  # longer inputs are not parsed for a list


@ui.app_template_global("icon")
def icon(name: str, spin: bool = False) -> Markup:
    return Markup('<svg class="i{}" aria-hidden="true"><use href="#i-{}"/></svg>').format(" spin" if spin else "", name)


@ui.app_template_global("state")
def state(status: str, text: str = "", size: str = "", silent: bool = False) -> Markup:
    """Show a status as shape, color and word; `silent` hides the word from the screen, not from screen readers."""
    symbol, hidden = icon(status, spin=status == Status.RUNNING), Markup(' class="sr"') if silent else ""
    return Markup('<span class="st {}{}">{}<span{}>{}</span></span>').format(
        status, f" {size}" if size else "", symbol, hidden, text or status.capitalize()
    )


@ui.app_template_filter("number")
def number(value: float | None) -> str:
    """Format a number with separators: `12,345`."""
    return NONE if value is None else f"{value:,}"


@ui.app_template_filter("counted")
def counted(count: int, word: str) -> str:
    """Format a number of things: `1 task`, `12,345 tasks`."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


@ui.app_template_filter("percent")
def percent(part: float, whole: float) -> str:
    """Format a percentage: `38%`; with one decimal place below ten."""
    if not whole:
        return NONE
    share = 100 * part / whole
    return f"{share:.1f}%" if 0 < share < 9.95 else f"{share:.0f}%"


@ui.app_template_filter("span")
def span(seconds: float | None) -> str:
    """Format a duration: `40 ms`, `3.2 s`, `5 min`, `2 h`, `3 d`."""
    if seconds is None:
        return NONE
    if seconds < 0.9995:
        return f"{max(0, round(seconds * 1000))} ms"
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    for limit, unit, word in ((3570, 60, "min"), (84_600, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {word}"
    return f"{seconds / 86_400:.0f} d"


@ui.app_template_filter("length_of")
def length(seconds: float) -> str:
    """Format a duration to the second: `1 min 59 s`."""
    if not 59.5 <= seconds < 86_400:
        return span(seconds)
    hours, minutes, rest = int(seconds // 3600), int(seconds // 60 % 60), int(seconds % 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


@ui.app_template_filter("clock")
def clock(milliseconds: int | None) -> str:
    """Format a time for a reader, in UTC, to the second."""
    return (timestamp(milliseconds) or NONE).replace("T", " ").partition(".")[0]


@ui.app_template_filter("at")
def at(value: int | str | None, form: str = "") -> Markup:
    """Show a time. A script converts it to the reader's zone; without JavaScript it is in UTC.

    `form` is empty (the time, with the day unless it is today), `ago`, `in`, `day` or `exact` (milliseconds).
    """
    milliseconds = int(datetime.fromisoformat(value).timestamp() * 1000) if isinstance(value, str) else value
    if milliseconds is None:
        return Markup(NONE)
    text = clock(milliseconds)
    if form in ("ago", "in"):
        seconds = abs(time.time() - milliseconds / 1000)
        shown = f"in {span(seconds)}" if form == "in" else span(seconds)
    elif form == "day":
        shown = text[:10]
    else:
        shown = f"{text[11:]} UTC" if text[:10] == clock(int(time.time() * 1000))[:10] else f"{text} UTC"
    marked = Markup(' data-form="{}"').format(form) if form else ""
    return Markup('<time datetime="{}" title="{} UTC"{}>{}</time>').format(timestamp(milliseconds), text, marked, shown)


@ui.app_template_filter("local")
def local(text: str) -> str:
    """Convert a time of a query to the value of a `datetime-local` field, in UTC."""
    if not text:
        return ""
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)
    except OverflowError:  # the first or last possible day, in another zone
        return ""
    digits = "milliseconds" if moment.microsecond else "seconds"  # the field has no more
    return moment.isoformat(timespec=digits)


@ui.app_template_filter("sized")
def sized(size: int) -> str:
    """Format a size: `5 B`, `3.2 kB`, `1.2 MB`."""
    for unit, word in ((1_000_000_000, "GB"), (1_000_000, "MB"), (1000, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {word}" if size < 99.95 * unit else f"{size / unit:.0f} {word}"
    return f"{size} B"


@ui.app_template_filter("code")
def code(text: str) -> Markup:
    """Convert `backticks` in a text to code elements."""
    parts = str(text).split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if index % 2 else escape(part) for index, part in enumerate(parts)
    )


@ui.app_template_filter("summary")
def summary(record: Record) -> str:
    """Summarize an input in one line: `INV-20931 · 189.0 · EUR`, file names first."""
    cached: dict[str, bytes] = g.get("inputs", {})
    input_json = cached[record.id] if record.id in cached else store().tasks.inputs([record], _MAX_INPUT)[0]
    if len(input_json) >= _MAX_INPUT:
        return f"More than {sized(_MAX_INPUT)} of input"
    return summarized(secrets_of(record.task_type).hide(pydantic_core.from_json(input_json or b"{}")))


def read_inputs(records: Sequence[Record]) -> None:
    """Read the inputs that the rows of a table are to summarize, in one round trip."""
    inputs = store().tasks.inputs(records, _MAX_INPUT)
    g.inputs = {record.id: input_json for record, input_json in zip(records, inputs, strict=True)}


def summarized(values: Any) -> str:
    """Summarize the values of an input in one line."""
    texts = list(_values(values, 0))
    files = [text for is_file, text in texts if is_file]
    others = [text for is_file, text in texts if not is_file]
    text = " · ".join([*files, *others][:_MAX_VALUES])
    return text if len(text) <= _SUMMARY else f"{text[: _SUMMARY - 1].rstrip()}…"


def _values(value: Any, depth: int, name: str = "") -> Iterator[tuple[bool, str]]:
    """Yield the scalars of a value, and whether each is a file's name."""
    if isinstance(value, dict):
        if file := value.get("filename") or (value.get("url") if "media_type" in value else None):
            yield True, str(file)
        elif depth < _MAX_DEPTH:
            for key, each in value.items():
                yield from _values(each, depth + 1, str(key))
    elif isinstance(value, list):
        if len(value) > 3:
            yield False, f"{len(value):,} {name}".strip()
        else:
            for each in value:
                yield from _values(each, depth + 1, name)
    elif isinstance(value, bool):
        yield False, name if value else f"no {name}"
    elif isinstance(value, int | float):
        yield False, f"{name} {value}".strip()
    elif isinstance(value, str) and value:
        yield False, " ".join(value[:_SUMMARY].split())


@ui.app_template_filter("message")
def message(record: Record) -> str:
    """Describe a task's state in one line: its error's message, its progress, or its position in the queue."""
    if record.status is Status.SUCCEEDED:
        return ""
    if record.error and record.status is not Status.RUNNING:
        return " ".join(str(record.error.get("detail") or record.error.get("title") or "").split())[:300]
    if record.progress and record.status in (Status.RUNNING, Status.CANCELING):
        text = record.progress.get("message") or ""
        return f"{record.progress['percent']}% {text}".strip()
    return ""
