"""Lists of tasks by a filter, which bulk calls and pages share."""

import re
from collections.abc import Sequence

import pydantic_core
from flask import Response, request
from pydantic import Field

from server.services.status import TaskStatus, WireObject, status_json
from server.store.listing import Filter
from server.store.record import Status
from server.web.addresses import prefix
from server.web.current import store
from server.web.errors import invalid
from server.web.middleware import caller
from server.web.openapi import parameters
from server.web.openapi.route import Api, ok
from server.web.responses import json_answer
from server.web.routes.query_parameters import link_to, next_page, page_cursor, page_limit, query_time, query_values

route = Api("lists", "many")

_ID = re.compile("[0-9a-f-]{36}")


class TaskList(WireObject):
    """A page of tasks, newest first, without places in the queue."""

    tasks: list[TaskStatus]
    next: str | None = Field(description="The address of the next page.")


class TaskCount(WireObject):
    """How many tasks match, by status."""

    total: int
    counts: dict[str, int] = Field(description="By status.", examples=[{"queued": 3, "succeeded": 7}])


FILTERS = ("status", "task", "owner", "tag", "since", "until", "failure")  # the filters of a list and of a bulk call


@route.get(
    "/tasks",
    ok(TaskList, "A page of tasks; `next` and `Link` lead to the next one.", "Link"),
    parameters=(*parameters.FILTERS, "limit", "cursor"),
    problems=("invalid-input",),
)
def list_tasks() -> Response:
    """The caller's tasks, newest first.

    Admins see all owners' tasks.
    """
    page = store().listing.page(requested_filter(), page_limit(), requested_cursor())
    # The position in the queue costs a round trip per task; the task's own status has it.
    following = next_page("/tasks", page.cursor, *FILTERS)
    base = prefix()
    tasks = b",".join(status_json(record, None, base) for record in page.records)
    body = b'{"tasks":[%s],"next":%s}' % (tasks, pydantic_core.to_json(following and base + following))
    return json_answer(body, headers=link_to(following))


@route.get(
    "/tasks/count",
    ok(TaskCount, "The number of matching tasks."),
    parameters=parameters.FILTERS,
    problems=("invalid-input",),
)
def count_tasks() -> Response:
    """How many tasks match, by status.

    Admins count all owners' tasks.
    """
    counts = store().listing.count(requested_filter())
    return json_answer(TaskCount(total=sum(counts.values()), counts=counts))


def requested_filter(among: Sequence[Status] | None = None) -> Filter:
    """The filter that the query asks for. Raises the problem `invalid-input`."""
    statuses = [_status(text) for text in query_values("status")] or list(Status)
    return Filter(
        owners=_requested_owners(),
        task_types=query_values("task") or None,
        statuses=[status for status in statuses if among is None or status in among],
        tags=query_values("tag"),
        since=query_time("since"),
        until=query_time("until"),
        failure=request.args.get("failure", ""),
    )


def _requested_owners() -> list[str] | None:
    """The owners that the query names and the caller may see; None for an admin who names none."""
    viewer, owners = caller(), query_values("owner")
    if viewer.is_admin:
        return owners or None
    return [viewer.owner] if not owners or viewer.owner in owners else []


def _status(text: str) -> Status:
    try:
        return Status(text)
    except ValueError:
        raise invalid(f"Input should be one of {', '.join(Status)}", "query", "status") from None


def requested_cursor() -> str | None:
    """The cursor that the query asks for. Raises the problem `invalid-input`."""
    return page_cursor(_ID)
