"""Lists of tasks by a filter, which bulk calls and pages share."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pydantic_core
from flask import Response, request
from pydantic import Field

from server.services.status import status_json
from server.store.listing import Filter, Page
from server.store.record import Status
from server.web.addresses import prefix
from server.web.current import store
from server.web.errors import Problem
from server.web.middleware import caller
from server.web.openapi import parts
from server.web.openapi.answers import found
from server.web.openapi.route import Api
from server.web.responses import json_answer
from server.web.schemas import TaskStatus, WireObject

route = Api("lists", __name__, "many")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TaskList(WireObject):
    """A page of tasks, newest first, without places in the queue."""

    tasks: list[TaskStatus]
    next: str | None = Field(description="The address of the next page.")


class TaskCount(WireObject):
    """How many tasks match."""

    total: int
    counts: dict[str, int] = Field(description="By status.", examples=[{"queued": 3, "succeeded": 7}])


PAGE, MAX_PAGE = 50, 500

FILTERS = ("status", "task", "owner", "tag", "since", "until", "failure")  # the filters of a list and of a bulk call


@route.get(
    "/tasks",
    "The caller's tasks, newest first",
    found(TaskList, "A page of tasks; `next` and `Link` lead to the next one.", "Link"),
    description="Admins see all owners' tasks.",
    parameters=(*parts.FILTERS, "limit", "cursor"),
    problems=("invalid-input",),
)
def list_tasks() -> Response:
    limit = page_limit()
    page = asked_page(limit)
    # The place in the queue costs a round trip per task; the task's own status has it.
    following = page.cursor and next_page("/tasks", page.cursor)
    before = prefix()
    tasks = b",".join(status_json(record, None, before) for record in page.records)
    body = b'{"tasks":[%s],"next":%s}' % (tasks, pydantic_core.to_json(following and before + following))
    return json_answer(body, headers={"Link": f'<{following}>; rel="next"'} if following else None)


def next_page(path: str, cursor: str, *others: str) -> str:
    """The path and query of the next page, with the same filters, limit, and `others` of the query."""
    given = [(name, text) for name in (*FILTERS, "limit", *others) for text in request.args.getlist(name)]
    return f"{path}?{urlencode([*given, ('cursor', cursor)])}"


def asked_page(limit: int) -> Page:
    """Read the page of tasks that the query requests. Raises the problem `invalid-input`."""
    return store().listing.page(asked_filter(), limit, asked_cursor())


@route.get(
    "/tasks/count",
    "How many tasks match, by status",
    found(TaskCount, "The number of matching tasks."),
    description="Admins count all owners' tasks.",
    parameters=parts.FILTERS,
    problems=("invalid-input",),
)
def count_tasks() -> Response:
    counts = store().listing.count(asked_filter())
    return json_answer(TaskCount(total=sum(counts.values()), counts=counts))


def asked_filter(among: Sequence[Status] | None = None) -> Filter:
    """The filter that the query asks for. Raises the problem `invalid-input`."""
    statuses = [_status(word) for word in asked_words("status")] or list(Status)
    return Filter(
        owners=_asked_owners(),
        task_types=asked_words("task") or None,
        statuses=[status for status in statuses if among is None or status in among],
        tags=asked_words("tag"),
        since=moment_of("since"),
        until=moment_of("until"),
        failure=request.args.get("failure", ""),
    )


def _asked_owners() -> list[str] | None:
    """The owners that the query names and the caller may see; None for an admin who names none."""
    who, wanted = caller(), asked_words("owner")
    if who.is_admin:
        return wanted or None
    return [who.owner] if not wanted or who.owner in wanted else []


def asked_words(name: str) -> list[str]:
    """The words of a name in the query, which may be repeated and have comma lists."""
    return [word for text in request.args.getlist(name) for word in text.split(",") if word]


def _status(word: str) -> Status:
    try:
        return Status(word)
    except ValueError:
        raise invalid_query("status", f"Input should be one of {', '.join(Status)}") from None


def moment_of(name: str) -> int | None:
    """Parse an RFC 3339 time in the query to milliseconds since 1970."""
    if (text := request.args.get(name)) is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise invalid_query(name, "Input should be a time in RFC 3339 format") from None
    if moment.tzinfo is None:
        raise invalid_query(name, "Input should have a time zone, such as Z")
    return round((moment - _EPOCH) / timedelta(milliseconds=1))  # `timestamp()` overflows at both ends of time


def page_limit() -> int:
    """The number of entries per page. Raises the problem `invalid-input`."""
    text = request.args.get("limit", str(PAGE))
    if not re.fullmatch("[0-9]{1,9}", text) or not 1 <= int(text) <= MAX_PAGE:
        raise invalid_query("limit", f"Input should be a number from 1 to {MAX_PAGE}")
    return int(text)


def asked_cursor() -> str | None:
    """The cursor that the query asks for. Raises the problem `invalid-input`."""
    text = request.args.get("cursor")
    if text is not None and (len(text) != 36 or set(text) - set("0123456789abcdef-")):
        raise invalid_query("cursor", "Input should be the cursor of a previous page")
    return text


def invalid_query(name: str, message: str) -> Problem:
    """Build the problem of one name in the query."""
    return Problem("invalid-input", f"Invalid value for {name}.", errors=[{"loc": ["query", name], "msg": message}])
