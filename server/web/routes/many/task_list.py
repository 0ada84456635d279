"""Lists of tasks, and bulk calls for all tasks that match a filter."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pydantic_core
from flask import Response, g, request
from pydantic import Field

from server.services.status import status_json
from server.services.submit import retry
from server.store.errors import CoatcheckError
from server.store.listing import Filter, Page
from server.store.record import Record, Status
from server.web.addresses import prefix
from server.web.current import store
from server.web.errors import Problem, as_problem
from server.web.middleware import caller, require_submit
from server.web.openapi import parts
from server.web.openapi.answers import OF_STORING, UNCHANGED, found
from server.web.openapi.route import Access, Api
from server.web.responses import json_answer
from server.web.schemas import ProblemObject, TaskStatus, WireObject

route = Api("lists", __name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TaskList(WireObject):
    """A page of tasks, newest first, without places in the queue."""

    tasks: list[TaskStatus]
    next: str | None = Field(description="The address of the next page.")


class TaskCount(WireObject):
    """How many tasks match."""

    total: int
    counts: dict[str, int] = Field(description="By status.", examples=[{"queued": 3, "succeeded": 7}])


class BulkRefused(WireObject):
    """A task that matched but could not be changed."""

    task_id: str
    problem: ProblemObject


class _Bulk(WireObject):
    refused: list[BulkRefused]
    more: bool = Field(description="More tasks match than one request handles.")
    next: str | None = Field(description="The address for the next call; null at the end.")


class BulkCanceled(_Bulk):
    """The result of `bulk/cancel`."""

    canceled: int


class BulkRetried(_Bulk):
    """The result of `bulk/retry`."""

    retried: int


PAGE, MAX_PAGE = 50, 500

#: Maximum number of tasks per request, so that it ends before a router times out. `next` continues.
MAX_CANCELED, MAX_RETRIED = 5_000, 500

#: Statuses of problems that the next task would have too.
_NO_ROOM = (429, 503)

#: The filters of a list and of a bulk call.
FILTERS = ("status", "task", "owner", "tag", "since", "until", "failure")


@route.get(
    "/tasks",
    "list_tasks",
    "many",
    "The caller's tasks, newest first",
    (found(TaskList, "A page of tasks; `next` and `Link` lead to the next one.", "Link"), UNCHANGED),
    description="Admins see all owners' tasks.",
    parameters=(*parts.FILTERS, "limit", "cursor", "If-None-Match"),
    problems=("invalid-input",),
)
def list_tasks() -> Response:
    """List the caller's tasks, newest first."""
    limit = page_limit()
    page = asked_page(limit)
    # The place in the queue costs a round trip per task; the task's own status has it.
    following = page.cursor and _next("/tasks", page.cursor)
    before = prefix()
    tasks = b",".join(status_json(record, None, before) for record in page.records)
    body = b'{"tasks":[%s],"next":%s}' % (tasks, pydantic_core.to_json(following and before + following))
    return json_answer(body, headers={"Link": f'<{following}>; rel="next"'} if following else None)


def _next(path: str, cursor: str) -> str:
    """The path and query of the next page, with the same filters."""
    given = [(name, text) for name in (*FILTERS, "limit") for text in request.args.getlist(name)]
    return f"{path}?{urlencode([*given, ('cursor', cursor)])}"


def asked_page(limit: int) -> Page:
    """Read the page of tasks that the query requests.

    Raises:
        Problem: `invalid-input`.
    """
    return store().listing.page(asked_filter(), limit, asked_cursor())


@route.get(
    "/tasks/count",
    "count_tasks",
    "many",
    "How many tasks match, by status",
    (found(TaskCount, "The number of matching tasks."), UNCHANGED),
    description="Admins count all owners' tasks.",
    parameters=(*parts.FILTERS, "If-None-Match"),
    problems=("invalid-input",),
)
def count_tasks() -> Response:
    """Count the caller's tasks."""
    counts = store().listing.count(asked_filter())
    return json_answer(TaskCount(total=sum(counts.values()), counts=counts))


@route.post(
    "/bulk/cancel",
    "bulk_cancel",
    "many",
    "Cancel every task that matches",
    (found(BulkCanceled, "How many were."),),
    Access.SUBMIT,
    "A filter is required. While there is a `next`, POST to it.",
    parameters=(*parts.FILTERS, "cursor"),
    problems=("bad-request", "invalid-input"),
    sample="?status=queued",
)
def bulk_cancel() -> Response:
    """Cancel every task that matches."""
    unfinished = [status for status in Status if not status.done and status is not Status.CANCELING]
    return _bulk(BulkCanceled, "canceled", unfinished, MAX_CANCELED, lambda record: store().tasks.cancel(record.id))


@route.post(
    "/bulk/retry",
    "bulk_retry",
    "many",
    "Retry every ended task that matches",
    (found(BulkRetried, "The number of retried tasks, and those that could not be retried."),),
    Access.SUBMIT,
    "A filter is required. Without `status`, it retries tasks that failed or were canceled. While there is a "
    "`next`, POST to it: a task that has been retried still matches.",
    parameters=(*parts.FILTERS, "cursor"),
    problems=("bad-request", "invalid-input", *OF_STORING),
    sample="?status=failed",
)
def bulk_retry() -> Response:
    """Retry every ended task that matches, by default those that failed or were canceled."""
    ended = [Status.FAILED, Status.CANCELED] if "status" not in request.args else [s for s in Status if s.done]
    return _bulk(BulkRetried, "retried", ended, MAX_RETRIED, lambda record: retry(store(), record, g.request_id))


def _bulk(
    answer: type[_Bulk], word: str, statuses: Sequence[Status], most: int, act: Callable[[Record], object]
) -> Response:
    require_submit()
    _check_filters()
    wanted = asked_filter(statuses)
    # Read all before acting, because acting changes a task's place in the indexes.
    matched = store().listing.gather(wanted, most, asked_cursor()) if wanted.statuses else Page([], None)
    done, refused, cursor = 0, [], matched.cursor
    for at, record in enumerate(matched.records):
        try:
            act(record)
            done += 1
        except CoatcheckError as error:
            problem = as_problem(error)
            if problem.status not in _NO_ROOM:
                refused.append({"task_id": record.id, "problem": problem.body(prefix())})
            elif done:
                cursor = matched.records[at - 1].id
                break
            else:
                raise
    g.audit_count = done
    following = cursor and _next(request.path, cursor)
    body = {word: done, "refused": refused, "more": following is not None, "next": following and prefix() + following}
    return json_answer(answer.model_validate(body))


def _check_filters() -> None:
    """Refuse a missing, empty or misspelled filter, which would match more than intended."""
    if unknown := sorted(set(request.args) - {*FILTERS, "cursor"}):
        raise Problem("bad-request", f"Not known in the query: {', '.join(unknown)}.")
    if not any(_words(name) for name in FILTERS):
        raise Problem("bad-request", f"A filter is needed: one of {', '.join(FILTERS)}.")


def asked_filter(among: Sequence[Status] | None = None) -> Filter:
    """The filter that the query asks for.

    Raises:
        Problem: `invalid-input`.
    """
    statuses = [_status(word) for word in _words("status")] or list(Status)
    return Filter(
        owners=_asked_owners(),
        task_types=_words("task") or None,
        statuses=[status for status in statuses if among is None or status in among],
        tags=_words("tag"),
        since=moment_of("since"),
        until=moment_of("until"),
        failure=request.args.get("failure", ""),
    )


def _asked_owners() -> list[str] | None:
    """The owners that the query names and the caller may see; None for an admin who names none."""
    who, wanted = caller(), _words("owner")
    if who.is_admin:
        return wanted or None
    return [who.owner] if not wanted or who.owner in wanted else []


def _words(name: str) -> list[str]:
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
    """The number of entries per page.

    Raises:
        Problem: `invalid-input`.
    """
    text = request.args.get("limit", str(PAGE))
    if not re.fullmatch("[0-9]{1,9}", text) or not 1 <= int(text) <= MAX_PAGE:
        raise invalid_query("limit", f"Input should be a number from 1 to {MAX_PAGE}")
    return int(text)


def asked_cursor() -> str | None:
    """The cursor that the query asks for.

    Raises:
        Problem: `invalid-input`.
    """
    text = request.args.get("cursor")
    if text is not None and (len(text) != 36 or set(text) - set("0123456789abcdef-")):
        raise invalid_query("cursor", "Input should be the cursor of a previous page")
    return text


def invalid_query(name: str, message: str) -> Problem:
    """Build the problem of one name in the query."""
    return Problem("invalid-input", f"Invalid value for {name}.", errors=[{"loc": ["query", name], "msg": message}])
