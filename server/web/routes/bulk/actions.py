"""Bulk calls: cancel or retry all tasks that match a filter, in steps of a limited size."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from flask import Response, g, request
from pydantic import Field

from server.services.retry import retry_all
from server.services.status import TaskStatus, WireObject, status_object
from server.store.errors import CAPACITY_ERRORS, AlreadyRetried, CoatcheckError
from server.store.listing import Filter
from server.store.record import Record, Status
from server.web.addresses import prefix
from server.web.body.options import read_flag
from server.web.current import store
from server.web.errors import STORING_PROBLEMS, Problem, as_problem
from server.web.openapi import parameters
from server.web.openapi.route import Access, Api, ok
from server.web.responses import json_answer
from server.web.routes.bulk.task_list import FILTERS, requested_cursor, requested_filter
from server.web.routes.query_parameters import next_page, query_values
from server.web.schemas import ProblemObject

route = Api("bulk", "many")


class BulkRefused(WireObject):
    """A task that matched but could not be changed."""

    task_id: str
    problem: ProblemObject


class _Bulk(WireObject):
    refused: list[BulkRefused]
    more: bool = Field(description="More tasks match than one request handles.")
    next: str | None = Field(description="The address for the next call; null at the end.")
    matching: int = Field(default_factory=int, description="With `dry_run`: the number of tasks that it would change.")
    already_retried: int = Field(
        default_factory=int, description="With `dry_run`: tasks that match and are left out, as they were retried."
    )
    sample: list[TaskStatus] = Field(
        default_factory=list, description="With `dry_run`: the newest of the tasks that it would change."
    )


class BulkCanceled(_Bulk):
    """The result of a call of `bulk/cancel`."""

    canceled: int


class BulkRetried(_Bulk):
    """The result of a call of `bulk/retry`."""

    retried: int


#: Maximum number of tasks per request, so that it ends before a router times out. `next` continues.
MAX_CANCELED, MAX_RETRIED = 5_000, 500

_SAMPLE = 3  # tasks of a dry run's sample

#: The outcome of each task in order, or of the first ones: a status or an id, an error, or None if nothing has changed.
Outcomes = Sequence[object]


@route.post(
    "/bulk/cancel",
    ok(BulkCanceled, "How many were."),
    access=Access.SUBMIT,
    parameters=(*parameters.FILTERS, "cursor", "dry_run"),
    problems=("bad-request", "invalid-input"),
    sample="?status=queued",
)
def bulk_cancel() -> Response:
    """Cancel every task that matches.

    A filter is required. While there is a `next`, POST to it.
    """
    _check_filters("dry_run")
    wanted = requested_filter([status for status in Status if not status.done and status is not Status.CANCELING])
    if read_flag("dry_run"):
        return _dry_run(BulkCanceled, "canceled", wanted)
    return _bulk(BulkCanceled, "canceled", wanted, MAX_CANCELED, _cancel_all)


def _cancel_all(records: Sequence[Record]) -> Outcomes:
    return [store().tasks.cancel(record.id) for record in records]


@route.post(
    "/bulk/retry",
    ok(BulkRetried, "The number of retried tasks, and those that could not be retried."),
    access=Access.SUBMIT,
    parameters=(*parameters.FILTERS, "cursor", "again", "dry_run"),
    problems=("bad-request", "invalid-input", *STORING_PROBLEMS),
    sample="?status=failed",
)
def bulk_retry() -> Response:
    """Retry every ended task that matches.

    A filter is required. Without `status`, it retries tasks that failed or were canceled. A task that has been retried
    already is left out, so a call may be repeated; with `again=true` it is retried again. While there is a `next`, POST
    to it.
    """
    _check_filters("again", "dry_run")
    again = read_flag("again")
    ended = [Status.FAILED, Status.CANCELED] if "status" not in request.args else [s for s in Status if s.done]
    matching = requested_filter(ended)
    wanted = replace(matching, unretried=not again)
    if read_flag("dry_run"):
        already = 0 if again else _count(matching) - _count(wanted)
        return _dry_run(BulkRetried, "retried", wanted, already_retried=max(0, already))
    return _bulk(
        BulkRetried,
        "retried",
        wanted,
        MAX_RETRIED,
        lambda records: retry_all(store(), records, g.request_id, again=again, trace=g.trace),
    )


def _bulk(
    answer: type[_Bulk], counter: str, wanted: Filter, limit: int, act: Callable[[Sequence[Record]], Outcomes]
) -> Response:
    # Read all before acting, because acting changes a task's position in the indexes.
    matched = store().listing.gather(wanted, limit, requested_cursor())
    records, cursor = matched.records, matched.cursor
    pairs = handled(records, act(records))
    if len(pairs) < len(records):
        cursor = records[len(pairs) - 1].id
    g.audit_count = done = sum(isinstance(each, str) for _, each in pairs)
    following = next_page(request.path, cursor, *FILTERS, "again")
    address = following and prefix() + following
    body = {counter: done, "refused": refusals(pairs), "more": address is not None, "next": address}
    return json_answer(answer.model_validate(body))


def handled(records: Sequence[Record], outcomes: Outcomes) -> list[tuple[Record, object]]:
    """Pair tasks with their outcomes, up to the last one that was within capacity; the next call handles the rest.

    Raises:
        CoatcheckError: there was no space for any.
    """
    count = max((number for number, each in enumerate(outcomes, 1) if not isinstance(each, CAPACITY_ERRORS)), default=0)
    if records and not count and isinstance(first := outcomes[0], CoatcheckError):
        raise first
    return list(zip(records, outcomes, strict=False))[:count]


def refusals(pairs: Sequence[tuple[Record, object]]) -> list[dict[str, Any]]:
    """The fields of `BulkRefused`. Another call may have retried a task meanwhile: it is left out, too."""
    return [
        {"task_id": record.id, "problem": as_problem(error).body(prefix())}
        for record, error in pairs
        if isinstance(error, CoatcheckError) and not isinstance(error, AlreadyRetried)
    ]


def _dry_run(answer: type[_Bulk], counter: str, wanted: Filter, **others: Any) -> Response:
    """Answer how many tasks match, and change nothing."""
    g.audit_count = 0
    sample = store().listing.gather(wanted, _SAMPLE).records
    body = {counter: 0, "refused": [], "more": False, "next": None, "matching": _count(wanted), **others}
    return json_answer(
        answer.model_validate({**body, "sample": [status_object(record, None, prefix()) for record in sample]})
    )


def _count(wanted: Filter) -> int:
    return sum(store().listing.count(wanted).values())


def _check_filters(*others: str) -> None:
    """Refuse a missing, empty or misspelled filter, which would match more than intended."""
    if unknown := sorted(set(request.args) - {*FILTERS, "cursor", *others}):
        raise Problem("bad-request", f"Not known in the query: {', '.join(unknown)}.")
    if not any(query_values(name) for name in FILTERS):
        raise Problem("bad-request", f"A filter is needed: one of {', '.join(FILTERS)}.")
