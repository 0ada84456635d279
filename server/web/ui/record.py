"""A task's own page: the reason for a failure first, then attempts, input, log and result."""

import json
from dataclasses import dataclass
from typing import Any

import pydantic_core
from werkzeug.wrappers import Response as BaseResponse

from server.sdk.registry import definition, is_registered
from server.services.status import with_prefix
from server.store import ids
from server.store.record import Record, Status
from server.web.addresses import prefix
from server.web.current import store
from server.web.middleware import caller
from server.web.routes.inputs import input_of
from server.web.routes.tasks import find
from server.web.ui.blueprint import page, ui
from server.web.ui.format.attempts import waterfall
from server.web.ui.format.trace import traced
from server.web.ui.home import run_page
from server.web.ui.tasks import now_ms

#: Maximum characters of a result on its page, number of items and characters of each; a link leads to the rest.
_MAX_RESULT, _MAX_ITEMS, _MAX_ITEM = 20_000, 100, 1_000


@ui.get("/ui/tasks/<task_id>")
def task(task_id: str) -> BaseResponse:
    record, entries = find(task_id), store().tasks.events(task_id, 0)[1]
    result = _indented(with_prefix(store().tasks.result(record), prefix()))
    output = store().tasks.output(task_id, max(0, record.last_item - _MAX_ITEMS))
    lines = [entry for entry in entries if entry.event == "log"]
    return page(
        "record.html",
        "/ui/tasks",
        record=record,
        fall=waterfall(record, now_ms(), lines, _reports(record)),
        position=store().tasks.position(record),
        input="" if record.input_expired else json.dumps(input_of(record), indent=2, ensure_ascii=False),
        result="" if result == "null" else result[:_MAX_RESULT],
        cut=len(result) > _MAX_RESULT,
        output=output,
        items=[(number, value[:_MAX_ITEM].decode(errors="ignore")) for number, value in output.items],
        lines=lines,
        last=entries[-1].number if entries else 0,
        dropped=bool(entries) and entries[0].number > 1,  # the first entry has the number 1
        failure=_failure(record),
        retry=_retry(record.retried_as) if record.retried_as else None,
        runs_here=is_registered(record.task_type),
        tries=store().webhooks.attempts(task_id) if record.webhook else [],
        next_try=store().webhooks.next_ms(task_id) if record.webhook else None,
    )


def _indented(text: bytes) -> str:
    """Return JSON with a line for each value; unchanged if a number has more digits than Python reads, 4,300."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text.decode()


@ui.get("/ui/tasks/<task_id>/change")
def change(task_id: str) -> BaseResponse:
    """Show the form of a task's type with its input, to run it again with changes."""
    record = find(task_id)
    return run_page(definition(record.task_type), earlier=record, input_values=input_of(record))


@dataclass(frozen=True, slots=True)
class Retry:
    """The task that a retry created: when it was submitted, its status, and what became of it."""

    submitted_ms: int
    status: str
    text: str


def _retry(task_id: str) -> Retry:
    retry = store().tasks.get(task_id)
    if retry is None:
        return Retry(ids.milliseconds(task_id), "", "has been deleted")
    word = retry.status.value
    text = word if word in ("succeeded", "failed") else f"was {word}" if retry.status.done else f"is {word}"
    return Retry(retry.submitted_ms, word, text)


def _failure(record: Record) -> dict[str, Any] | None:
    """Return the reason for the failure, with the traceback, for admins only."""
    if record.status is not Status.FAILED or not caller().is_admin:
        return None
    (raw,) = store().tasks.failures([record.id])
    if raw is None:
        return None
    failure = pydantic_core.from_json(raw)
    return {**failure, "trace": traced(failure["traceback"])}


def _reports(record: Record) -> dict[int, dict[str, Any]]:
    """Return why earlier attempts failed, by their start, for admins only."""
    if not record.earlier_attempts or not caller().is_admin:
        return {}
    reports = store().tasks.attempt_reports(record.id)
    return {started: pydantic_core.from_json(report) for started, report in reports.items()}
