"""Changes of the list of tasks as server-sent events, for an open page.

    row     {"id", "status", "message", "started_ms", "seconds"}   a listed task that has changed
    fresh   {"count"}                                              the number of newer tasks that match the filters
    counts  {status: number}                                       the number of tasks in each tab

The page sends the ids of its tasks and the time when it was rendered, so a reconnected stream includes missed changes.
Each check reads the unfinished tasks among them and the newest ids, independent of the number of tasks or owners.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

from flask import Response, request

from server.store import Store
from server.store.api_keys import Caller
from server.store.ids import milliseconds
from server.store.listing import Filter
from server.store.record import Record, Status
from server.web.current import store
from server.web.errors import invalid
from server.web.long_poll import event_stream
from server.web.middleware import caller
from server.web.routes.bulk.task_list import requested_filter
from server.web.ui.blueprint import ui
from server.web.ui.format.attempts import run_seconds
from server.web.ui.format.filters import message
from server.web.ui.stream import LiveBody, sent_event
from server.web.ui.tasks import TASK_ID, counts_of, now_ms, reasons

_EVERY = 2.0  # seconds between two checks

#: Maximum number of tasks per page to follow, and maximum number of newer tasks to count.
_MAX_IDS, _MAX_FRESH = 100, 100

_MILLISECONDS = re.compile("[0-9]{1,15}")


@ui.get("/ui/tasks/events")
def list_events() -> Response:
    """Follow the tasks in `ids` since `at`, and count those newer than `top`, if it is given."""
    args = request.args
    ids = [each for each in args.get("ids", "").split(",") if each][:_MAX_IDS]
    at = int(args["at"]) if _MILLISECONDS.fullmatch(args.get("at", "")) else now_ms()
    top = args.get("top")
    if top and not TASK_ID.fullmatch(top):
        raise invalid("Input should be the id of a task", "query", "top")
    return event_stream(ListReader(store(), caller(), requested_filter(), ids, top, at))


class ListReader(LiveBody):
    """One page's view of the list."""

    def __init__(self, store: Store, viewer: Caller, wanted: Filter, ids: list[str], top: str | None, at: int) -> None:
        super().__init__(store, viewer, _EVERY)
        self._filter = wanted
        self._counts: dict[str, int] = {}
        self._wanted = replace(wanted, since=max(wanted.since or 0, milliseconds(top) if top else at))
        self._open = ids
        self._top = top
        self._at = at
        self._marks: dict[str, tuple[object, ...]] = {}
        self._fresh = 0

    def events(self) -> Iterator[bytes]:
        """Yield changed rows, and the number of newer tasks."""
        yield from self._rows()
        counts = counts_of(self._store, self._filter)
        if counts != self._counts:
            self._counts = counts
            yield sent_event("counts", counts)
        if self._top is None:
            return
        newest = self._store.listing.page(self._wanted, _MAX_FRESH).records
        fresh = sum(record.id > self._top for record in newest)
        if fresh != self._fresh:
            self._fresh = fresh
            yield sent_event("fresh", {"count": fresh})

    def _rows(self) -> Iterator[bytes]:
        records = self._store.tasks.get_many(self._open)
        visible = [record for record in records if record and self._viewer.sees(record.owner)]
        messages = reasons(self._store, self._viewer, visible)
        for record in visible:
            mark = (record.status, record.started_ms, record.retries, str(record.progress))
            missed = not record.status.done or (record.finished_ms or 0) >= self._at
            if mark != self._marks.get(record.id) and (missed or record.id in self._marks):
                yield sent_event("row", _row(record, messages.get(record.id)))
            self._marks[record.id] = mark
        self._open = [record.id for record in visible if not record.status.done]


def _row(record: Record, reason: str | None) -> dict[str, object]:
    runs = record.status in (Status.RUNNING, Status.CANCELING)
    return {
        "id": record.id,
        "status": record.status,
        "message": reason or message(record),
        "started_ms": record.started_ms if runs else None,
        "seconds": run_seconds(record, now_ms()),
    }
