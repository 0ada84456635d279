"""The table of tasks, and a task's own page. Both are whole without JavaScript; with it they follow what happens."""

import json
import re
import time
from datetime import UTC, datetime
from urllib.parse import urlencode

from flask import redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from server.sdk.registry import catalog
from server.services.status import timestamp
from server.store.record import Status
from server.store.tasks import Entry
from server.web.current import store
from server.web.middleware import caller
from server.web.routes.inputs import input_of
from server.web.routes.task_list import FILTERS, asked_page, page_limit
from server.web.routes.tasks import find
from server.web.ui.blueprint import page, ui
from server.web.ui.timeline import timeline

#: Characters of a result that its page shows; the rest is behind a link.
LONGEST = 20_000

_NONE = "\u2013"

_UNFINISHED = ",".join(status for status in Status if not status.done)


@ui.get("/ui/tasks")
def tasks() -> BaseResponse:
    """The tasks that one's key may see, newest first."""
    if wanted := request.args.get("id", "").strip():
        return redirect(url_for("ui.task", task_id=wanted[:64]), 303)
    if (tidy := _tidied()) != list(request.args.items(multi=True)):
        return redirect(_address(tidy), 303)
    found = asked_page(page_limit())
    query = {name: ",".join(request.args.getlist(name)) for name in (*FILTERS, "limit") if name in request.args}
    return page(
        "tasks.html",
        "tasks",
        records=found.records,
        now=_now(),
        next=_address([*query.items(), ("cursor", found.cursor)]) if found.cursor else None,
        later="cursor" in request.args,
        query=query,
        filters={name: query[name] for name in FILTERS if name in query},
        first=_address(list(query.items())),
        kinds={kind.name: kind.name for kind in catalog()},
        statuses={_UNFINISHED: "not done"} | {status: status for status in Status},
    )


def _tidied() -> list[tuple[str, str]]:
    """The query without what a form leaves empty, and with a zone where a form has none."""
    given = [(name, text.strip()) for name, text in request.args.items(multi=True)]
    return [(name, _zoned(text) if name in ("since", "until") else text) for name, text in given if text]


def _zoned(text: str) -> str:
    """What a `datetime-local` field says is meant in UTC, as the page shows its times."""
    return f"{text}Z" if re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+", text) else text


def _address(query: list[tuple[str, str]]) -> str:
    return f"/ui/tasks?{urlencode(query)}" if query else "/ui/tasks"


@ui.get("/ui/tasks/<task_id>")
def task(task_id: str) -> BaseResponse:
    """One task: what became of it and when, what went in and came out."""
    record, entries, now = find(task_id), store().tasks.events(task_id, 0)[1], _now()
    result = json.dumps(json.loads(record.result), indent=2, ensure_ascii=False) if record.result else ""
    return page(
        "record.html",
        "tasks",
        record=record,
        steps=timeline(record, now),
        place=store().tasks.position(record),
        input=json.dumps(input_of(record), indent=2, ensure_ascii=False),
        result=result[:LONGEST],
        cut=len(result) > LONGEST,
        lines=_lines(entries),
        tries=store().webhooks.attempts(task_id) if record.webhook else [],
        next_try=store().webhooks.next_ms(task_id) if record.webhook else None,
    )


def _now() -> int:
    return int(time.time() * 1000)


def _lines(entries: list[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.word == "log"]


@ui.app_template_filter("span")
def _span(seconds: float | None) -> str:
    """`40 ms`, `3.2 s`, `5 min`, `2 h`, `3 d`."""
    if seconds is None:
        return _NONE
    if seconds < 1:
        return f"{max(0, round(seconds * 1000))} ms"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    for most, unit, word in ((3600, 60, "min"), (86_400, 3600, "h")):
        if seconds < most:
            return f"{seconds / unit:.0f} {word}"
    return f"{seconds / 86_400:.0f} d"


@ui.app_template_filter("length_of")
def _length(seconds: float) -> str:
    """As `span`, and to the second: `1 min 59 s`."""
    if not 60 <= seconds < 86_400:
        return _span(seconds)
    hours, minutes, rest = int(seconds // 3600), int(seconds // 60 % 60), int(seconds % 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


@ui.app_template_filter("moment")
def _moment(milliseconds: int | None) -> str:
    """As the API has it."""
    return timestamp(milliseconds) or ""


@ui.app_template_filter("clock")
def _clock(milliseconds: int | None) -> str:
    """For a reader, in UTC, to the second."""
    return (timestamp(milliseconds) or _NONE).replace("T", " ").partition(".")[0]


@ui.app_template_filter("local")
def _local(text: str) -> str:
    """A moment of a query as a `datetime-local` field takes it, in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None).isoformat() if text else ""


@ui.app_template_filter("sized")
def _sized(size: int) -> str:
    """`5 B`, `3.2 kB`, `1.2 MB`."""
    if size < 1000:
        return f"{size} B"
    return f"{size / 1000:.1f} kB" if size < 1_000_000 else f"{size / 1_000_000:.1f} MB"


@ui.app_template_global("may_act")
def _may_act() -> bool:
    """Whether who looks may do more than look."""
    return caller().may_submit
