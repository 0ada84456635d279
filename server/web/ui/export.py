"""Exports the list of tasks: the newest tasks of a view, as CSV or JSON."""

import csv
import io
import json
import re
from collections.abc import Sequence

from flask import Response, request

from server.services.status import timestamp
from server.store.record import Record
from server.web.current import store
from server.web.errors import Problem
from server.web.middleware import caller
from server.web.routes.bulk.task_list import requested_filter
from server.web.ui.blueprint import ui
from server.web.ui.format.attempts import run_seconds
from server.web.ui.format.filters import message, summary
from server.web.ui.search import search
from server.web.ui.tasks import now_ms, reasons

MAX_EXPORTED = 10_000  # maximum number of tasks per file
#: Text that a spreadsheet would run as a formula. After a minus, only a number and nothing else is none.
_FORMULA = re.compile(r"[=+@\t\r]|-(?!\d*\.?\d+\Z)")
Row = dict[str, str | float | None]


@ui.get("/ui/tasks/export")
def export() -> Response:
    file_format = request.args.get("format", "csv")
    if file_format not in ("csv", "json"):
        raise Problem("bad-request", "The format of an export is csv or json.")
    records = _records()
    messages = reasons(store(), caller(), records)
    rows = [_row(record, messages.get(record.id, "")) for record in records]
    text = _csv(rows) if file_format == "csv" else json.dumps(rows, indent=1, ensure_ascii=False)
    response = Response(text, mimetype="text/csv" if file_format == "csv" else "application/json")
    response.headers["Content-Disposition"] = f'attachment; filename="tasks.{file_format}"'
    response.headers["Cache-Control"] = "private, no-store"
    return response


def _records() -> list[Record]:
    if text := request.args.get("q", ""):
        return search(requested_filter(), text, MAX_EXPORTED, None).records
    return store().listing.gather(requested_filter(), MAX_EXPORTED).records


def _row(record: Record, reason: str) -> Row:
    return {
        "task_id": record.id,
        "task": record.task_type,
        "status": record.status,
        "owner": record.owner,
        "tags": " ".join(record.tags),
        "input": summary(record),
        "message": reason or message(record),
        "submitted_at": timestamp(record.submitted_ms),
        "started_at": timestamp(record.started_ms),
        "finished_at": timestamp(record.finished_ms),
        "run_seconds": run_seconds(record, now_ms()),
        "deliveries": record.deliveries,
        "retries": record.retries,
    }


def _csv(rows: Sequence[Row]) -> str:
    file = io.StringIO()
    writer = csv.writer(file)
    names = list(rows[0]) if rows else ["task_id"]
    writer.writerow(names)
    writer.writerows([_cell(row[name]) for name in names] for row in rows)
    return file.getvalue()


def _cell(value: str | float | None) -> str | float | None:
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value
