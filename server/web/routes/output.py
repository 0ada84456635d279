"""The output of a task: the items that its function has yielded or emitted so far."""

import re
from typing import Any

from flask import Response, request
from pydantic import Field

from server.services.status import WireObject, with_prefix
from server.store.record import Record, Status
from server.store.tasks import OutputPage
from server.web.addresses import prefix
from server.web.current import store
from server.web.errors import TASK_PROBLEMS, invalid
from server.web.long_poll import ENDS, ParkedRequest, long_poll
from server.web.openapi.route import Api, ok
from server.web.responses import json_answer
from server.web.routes.tasks import find

route = Api("output", "tickets")


class OutputItem(WireObject):
    """An item of a task's output."""

    number: int = Field(description="Counts up from 1 and is never used again, in later attempts neither.")
    value: Any


class TaskOutput(WireObject):
    """The items that the task's latest attempt has given."""

    task_id: str = Field(json_schema_extra={"format": "uuid"})
    status: Status
    attempt: int = Field(
        description="The attempt that gave them, as `deliveries` counts. If it differs from that of your last answer, "
        "the items before `first` are of an attempt that did not end well."
    )
    first: int = Field(description="The number of the oldest item that is kept.")
    dropped: int = Field(description="How many of the attempt's oldest items are not kept, because it gave too much.")
    items: list[OutputItem] = Field(description="Up to 1,000 items or 1 MiB.")
    ended: bool = Field(description="Whether the task has ended and these are the last items.")


@route.get(
    "/tasks/<task_id>/output",
    ok(TaskOutput, "The items after `after`.", "Preference-Applied"),
    parameters=("after", "wait", "Prefer"),
    problems=(*TASK_PROBLEMS, "invalid-input"),
)
def get_output(task_id: str) -> Response:
    """The output of a task, as it comes.

    For tasks that yield items or emit them. Repeat with the number of the last item as `after` until `ended`. With
    `wait`, the answer is held until there are further items or the task has ended.
    """
    after = _after()

    def poll(_: ParkedRequest | None) -> tuple[Response, bool]:
        record = find(task_id)
        output = store().tasks.output(task_id, after)
        return _answer(record, output), bool(output.items) or record.status.done

    return long_poll(ENDS | {"output"}, poll)


def _after() -> int:
    text = request.args.get("after", "0")
    if not re.fullmatch("[0-9]{1,15}", text):
        raise invalid("Input should be the number of an item", "query", "after")
    return int(text)


def _answer(record: Record, output: OutputPage) -> Response:
    """The record was read before the items: if it has ended, there are no later ones."""
    ended = record.status.done and (not output.items or output.items[-1][0] == output.last)
    empty = TaskOutput(
        task_id=record.id,
        status=record.status,
        attempt=output.attempt,
        first=output.first,
        dropped=output.dropped,
        items=[],
        ended=ended,
    ).as_json()
    items = b",".join(b'{"number":%d,"value":%s}' % item for item in output.items)
    return json_answer(empty.replace(b'"items":[]', b'"items":[%s]' % with_prefix(items, prefix()), 1))
