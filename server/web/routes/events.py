"""Server-sent events of a task: `status` at each change, `progress`, `log`, `output`, and finally `done`.

An event id describes everything that the client has received: `<number>.<status>-<deliveries>-<retries>`, with the
number of the last entry of the task's log and the last status, and at the end `<number>.done`. With output, the number
of its last item follows the first number: `<number>-<item>.…`. Numbers are never reused, and status, deliveries and
retries never return to earlier values. So `Last-Event-ID` determines what is missing: later entries and items (the
oldest of very many are not kept), and the status if it has changed. A status that passed
while the client was not connected is not sent, because its successor contains its information. After `done` the answer
is 204, which stops a browser's `EventSource`.

`EventSource` cannot send headers. If keys are configured, a page uses the session of the signed-in browser (see
`sessions.py`).

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import re
from collections.abc import Iterator
from typing import Literal

import pydantic_core
from flask import Response, request
from pydantic import Field

from server.services.status import WireObject, status_json, timestamp, with_prefix
from server.store import Store
from server.store.api_keys import Caller
from server.store.record import Record, Status
from server.store.tasks import Entry
from server.web.addresses import prefix
from server.web.current import store
from server.web.errors import TASK_PROBLEMS
from server.web.long_poll import STREAM_HEADERS, Body, event_stream
from server.web.middleware import caller
from server.web.openapi.route import STREAM, Api, stream_of
from server.web.routes.tasks import find

_ID = re.compile(r"(\d{1,15})(?:-(\d{1,15}))?\.([a-z]+(?:-\d+-\d+)?)")

route = Api("events", "tickets")


class TaskEvent(WireObject):
    """One event of a task's stream. Comments in between are heartbeats."""

    id: str = Field(default_factory=str, description="The value for `Last-Event-ID`.", examples=["3.running-1-0"])
    event: Literal["status", "progress", "log", "output", "done"] = Field(default_factory=lambda: "status")
    data: str = Field(
        default_factory=str,
        description="For `status` and `done` the status object, for `output` the item with its `number`, `value` "
        "and `attempt`, otherwise the entry and its time `at`.",
        json_schema_extra={"contentMediaType": "application/json"},
    )
    retry: int = Field(default_factory=int, description="Milliseconds before a reconnect.")


@route.get(
    "/tasks/<task_id>/events",
    *stream_of(TaskEvent, "Events `status`, `progress`, `log`, `output`, and finally `done`."),
    description=STREAM,
    parameters=("Last-Event-ID",),
    problems=TASK_PROBLEMS,
)
def stream_events(task_id: str) -> Response:
    """The events of a task."""
    record = find(task_id)
    number, item, mark = _last_seen()
    if mark == "done" and record.status.done:
        return Response(status=204, headers=STREAM_HEADERS)
    return event_stream(Reader(store(), task_id, caller(), prefix(), number, item, mark), task_id)


def _last_seen() -> tuple[int, int, str]:
    match = _ID.fullmatch(request.headers.get("Last-Event-ID", ""))
    return (int(match[1]), int(match[2] or 0), match[3]) if match else (0, 0, "new")


class Reader(Body):
    """One client's position in the events of a task."""

    def __init__(
        self, store: Store, task_id: str, caller: Caller, prefix: str, number: int, item: int, mark: str
    ) -> None:
        super().__init__(store, caller)
        self._task_id = task_id
        self._prefix = prefix
        self._number = number
        self._item = item
        self._mark = mark
        #: Whether there are further items, which did not fit into one read.
        self._has_more = False

    @property
    def due(self) -> float:
        """The time of the next heartbeat, or of the next read."""
        return 0.0 if self._has_more else super().due

    def events(self) -> Iterator[bytes]:
        self._has_more = False
        record, entries = self._store.tasks.events(self._task_id, self._number)
        if record is None:
            self.ended = True
            return
        running = record.status is Status.RUNNING  # sent first; any other status follows the attempt's entries
        yield from self._status(record) if running else ()
        yield from map(self._entry, entries)
        yield from self._items(record)
        if self._has_more:
            return
        yield from self._status(record) if not running else ()
        if record.status.done:
            self.ended = True
            self._mark = "done"
            yield self._event("done", self._status_object(record))

    def _status(self, record: Record) -> Iterator[bytes]:
        mark = f"{record.status}-{record.deliveries}-{record.retries}"
        if mark != self._mark:
            self._mark = mark
            yield self._event("status", self._status_object(record))

    def _status_object(self, record: Record) -> bytes:
        return status_json(record, self._store.tasks.position(record), self._prefix)

    def _entry(self, entry: Entry) -> bytes:
        self._number = entry.number
        return self._event(entry.event, pydantic_core.to_json({**entry.content, "at": timestamp(entry.at_ms)}))

    def _items(self, record: Record) -> Iterator[bytes]:
        if record.last_item <= self._item:
            return
        output = self._store.tasks.output(self._task_id, self._item)
        for number, value in output.items:
            self._item = number
            data = b'{"number":%d,"value":%s,"attempt":%d}' % (number, value, output.attempt)
            yield self._event("output", with_prefix(data, self._prefix))
        self._has_more = bool(output.items) and self._item < output.last

    def _event(self, name: str, data: bytes) -> bytes:
        position = f"{self._number}-{self._item}" if self._item else str(self._number)
        return f"id: {position}.{self._mark}\nevent: {name}\ndata: ".encode() + data + b"\n\n"
