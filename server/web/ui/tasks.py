"""The list of tasks: statuses as tabs, one search field, filters; each view is an address."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from flask import request
from werkzeug.wrappers import Response as BaseResponse

from server.sdk.registry import catalog
from server.store import Store
from server.store.api_keys import Caller
from server.store.causes import CAUSED, cause_of
from server.store.listing import Filter
from server.store.record import Record, Status
from server.web.current import store
from server.web.middleware import caller
from server.web.routes.bulk.task_list import FILTERS, requested_cursor, requested_filter
from server.web.routes.query_parameters import page_limit
from server.web.ui.blueprint import moved, page, ui, url
from server.web.ui.format.attempts import run_seconds
from server.web.ui.format.filters import read_inputs
from server.web.ui.search import SearchPage, search

TASK_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_MAX_EMPTY = 10  # maximum consecutive empty pages to skip: a tag also has tasks of other types and statuses

#: Tabs in order, and the minimum screen for each: any, a tablet, a wide screen.
_TABS = {
    "": "keep",
    Status.FAILED: "keep",
    Status.RUNNING: "keep",
    Status.QUEUED: "keep",
    Status.RETRYING: "mid",
    Status.SUCCEEDED: "mid",
    Status.SCHEDULED: "rest",
    Status.CANCELING: "rest",
    Status.CANCELED: "rest",
}


@dataclass(frozen=True, slots=True)
class Tab:
    """A status with its address and its number of tasks, if known."""

    status: str
    name: str
    address: str
    rank: str
    current: bool
    count: int | None = None


@ui.get("/ui/tasks")
def tasks() -> BaseResponse:
    """List the tasks that the viewer's key may see, newest first."""
    wanted = request.args.get("id", request.args.get("q", "")).strip().lower()
    if TASK_ID.fullmatch(wanted):
        return moved(f"/ui/tasks/{wanted}")
    if (tidy := _tidied()) != list(request.args.items(multi=True)):
        return moved(f"/ui/tasks?{urlencode(tidy)}" if tidy else "/ui/tasks")
    text = request.args.get("q", "")
    listed = search(requested_filter(), text, page_limit(), requested_cursor()) if text else _page()
    query = {name: ",".join(request.args.getlist(name)) for name in (*FILTERS, "limit") if name in request.args}
    searched = [("q", text)] if text else []
    filters = {name: query[name] for name in FILTERS if name in query}
    read_inputs(listed.records)
    counts = {} if text else counts_of(store(), requested_filter())
    return page(
        "tasks.html",
        "/ui/tasks",
        records=listed.records,
        reasons=reasons(store(), caller(), listed.records),
        now=now_ms(),
        next=url("/ui/tasks", [*query.items(), *searched, ("cursor", listed.cursor)]) if listed.cursor else None,
        looked_at=listed.looked_at,
        oldest_ms=listed.oldest_ms,
        later="cursor" in request.args,
        query=query,
        search=text,
        filters=filters,
        exported=urlencode([*query.items(), *searched]),
        more=", ".join(f"{name} {value}" for name, value in filters.items() if name != "status"),
        first=url("/ui/tasks", [*query.items(), *searched]),
        task_types={each.name: each.name for each in catalog()},
        tabs=_tabs(query, searched, counts),
        total=sum(counts[status] for status in requested_filter().statuses) if counts else None,
        live=_live(query, listed.records),
    )


def counts_of(store: Store, wanted: Filter) -> dict[str, int]:
    """Count a filter's tasks by status; empty if that would read every record."""
    return {} if wanted.reads_records else store.listing.count(replace(wanted, statuses=tuple(Status)))


def reasons(store: Store, viewer: Caller, records: Sequence[Record]) -> dict[str, str]:
    """Return the exceptions' own messages for admins; other viewers see a general message."""
    failed = [record for record in records if record.status in CAUSED and _is_vague(record)]
    if not failed or not viewer.is_admin:
        return {}
    reports = store.tasks.failures([record.id for record in failed])
    causes = {record.id: cause_of(record, report) for record, report in zip(failed, reports, strict=True) if report}
    return {task_id: f"{cause.exception.rpartition('.')[2]}: {cause.message}" for task_id, cause in causes.items()}


def _is_vague(record: Record) -> bool:
    return record.error is not None and str(record.error.get("type", "")).endswith("/task-error")


def _live(query: dict[str, str], shown: list[Record]) -> str:
    """Return the address of the page's event stream. Older pages do not count newer tasks."""
    filters = {name: text for name, text in query.items() if name != "limit"}
    ids = ",".join(record.id for record in shown[:100])
    top = {} if {"cursor", "q"} & set(request.args) else {"top": shown[0].id if shown else ""}
    return url("/ui/tasks/events", {**filters, "ids": ids, "at": now_ms(), **top})


def _page() -> SearchPage:
    """Return the requested page; empty pages before a full one are skipped."""
    limit, wanted, cursor = page_limit(), requested_filter(), requested_cursor()
    for _ in range(_MAX_EMPTY):
        listed = store().listing.page(wanted, limit, cursor)
        cursor = listed.cursor
        if listed.records or cursor is None:
            break
    return SearchPage(listed.records, len(listed.records), None, cursor)


def _tabs(query: dict[str, str], searched: list[tuple[str, str]], counts: dict[str, int]) -> list[Tab]:
    current, others = query.get("status", ""), [(name, text) for name, text in query.items() if name != "status"]
    others += searched
    return [
        Tab(
            status,
            status.capitalize() or "All",
            url("/ui/tasks", [("status", str(status)), *others] if status else others),
            rank,
            current == status,
            (counts[status] if status else sum(counts.values())) if counts else None,
        )
        for status, rank in _TABS.items()
        if rank != "rest" or status is not Status.CANCELING or current == status
    ]


def _tidied() -> list[tuple[str, str]]:
    """Return the query without empty fields, with the search field's terms as filters, and with UTC as time zone."""
    fields: list[tuple[str, str]] = []
    for name, text in request.args.items(multi=True):
        if name == "q":
            fields += _parsed(text)
        elif text.strip():
            fields.append((name, _zoned(text.strip()) if name in ("since", "until") else text.strip()))
    return fields


def _parsed(search: str) -> list[tuple[str, str]]:
    """Parse `tag:eu owner:billing refused` into filters and a text."""
    filters, rest = [], []
    for word in search.split():
        name, colon, value = word.partition(":")
        if colon and value and name in ("tag", "owner", "task", "status"):
            filters.append((name, value))
        else:
            rest.append(word)
    return [*filters, *([("q", " ".join(rest))] if rest else [])]


def _zoned(text: str) -> str:
    """Convert a time of a `datetime-local` field, which has no zone, to UTC."""
    return f"{text}Z" if re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+", text) else text


def now_ms() -> int:
    return int(time.time() * 1000)


ui.add_app_template_filter(run_seconds, "ran")
