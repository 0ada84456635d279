"""One batch: its status, events and results, and calls that change all its tasks.

An event id is a digest of the counts that the client has received, and `done` at the end. After `done` the answer is
204, which stops a browser's `EventSource`.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import pydantic_core
from flask import Response, g, request
from pydantic import Field

from server.services.retry import retry_all
from server.services.status import (
    BatchStatus,
    Failure,
    WireObject,
    batch_counts,
    batch_status,
    failure_object,
    with_prefix,
)
from server.store import Store
from server.store.api_keys import Caller
from server.store.batches import Batch
from server.store.record import Record, Status
from server.web.addresses import prefix
from server.web.body.options import read_flag
from server.web.current import store
from server.web.errors import STORING_PROBLEMS, Problem, as_problem
from server.web.long_poll import STREAM_HEADERS, Body, ParkedRequest, event_stream, long_poll
from server.web.middleware import caller
from server.web.openapi.route import STREAM, Access, Api, ResponseSpec, ok, stream_of
from server.web.responses import json_answer
from server.web.routes.bulk.actions import BulkRefused, handled, refusals
from server.web.routes.tasks import issued
from server.web.schemas import ProblemObject

route = Api("batch", "many")

#: The message of a batch's end. Each change of one of its tasks is the message `counts`.
_ENDED = frozenset({"ended"})
_CHANGES = frozenset({"ended", "counts"})
_PAUSE = 0.25  # seconds in which changes of a batch are collected for one event
_MAX_ERRORS = 5  # invalid values that the problem of one item names

#: Tasks that are read in one step for the results, and bytes of a result beyond which it is read by itself: so that
#: results of any size are never in memory together.
_TASKS_PER_READ, _MAX_SHORT_RESULT = 50, 64 * 1024

BATCH_PROBLEMS = ("unknown-batch", "expired-batch")


class BatchEvent(WireObject):
    """One event of a batch's stream. Comments in between are heartbeats."""

    id: str = Field(default_factory=str, description="The value for `Last-Event-ID`.")
    event: Literal["counts", "done"] = Field(default_factory=lambda: "counts")
    data: str = Field(
        default_factory=str,
        description="The batch's `batch_id`, `total`, `refused`, `done` and `counts`.",
        json_schema_extra={"contentMediaType": "application/json"},
    )
    retry: int = Field(default_factory=int, description="Milliseconds before a reconnect.")


class BatchResult(WireObject):
    """One line of a batch's results: an item with its task, or with the problem for which it has none."""

    index: int = Field(description="The number of the item, from 0.")
    task_id: str = Field(default_factory=str)
    status: Status = Field(default_factory=lambda: Status.SUCCEEDED)
    result: Any = Field(default_factory=type(None), description="Of a task that has succeeded.")
    error: Failure | None = Field(default_factory=type(None), description="Of a task that failed or was canceled.")
    problem: ProblemObject = Field(
        default_factory=lambda: ProblemObject(type="", title="", status=0, detail=""),
        description="The reason why the item was refused, or `expired-task` for a deleted record.",
    )


class BatchRetried(WireObject):
    """The result of a batch's retry."""

    retried: int
    task_ids: list[str] = Field(description="The new tasks.")
    refused: list[BulkRefused]
    more: bool = Field(description="Not all tasks fit into the queue; repeat the call later.")


@route.get(
    "/batches/<batch_id>",
    ok(
        BatchStatus,
        "The counts, with `Retry-After` until all tasks have ended.",
        "Retry-After",
        "Preference-Applied",
    ),
    parameters=("wait", "Prefer"),
    problems=(*BATCH_PROBLEMS, "invalid-input"),
)
def get_batch(batch_id: str) -> Response:
    """A batch's tasks, counted by status.

    With `wait`, the answer is held until all tasks have ended.
    """

    def poll(_: ParkedRequest | None) -> tuple[Response, bool]:
        g.watched = (batch_id,)
        body = _status(find_batch(batch_id))
        return json_answer(body, headers={} if body.done else {"Retry-After": "1"}), body.done

    return long_poll(_ENDED, poll)


def _status(batch: Batch) -> BatchStatus:
    return batch_status(batch, store().listing.count_by_status(batch.task_ids), prefix())


def find_batch(batch_id: str) -> Batch:
    """Find a batch of the caller, or say that it is unknown or expired."""
    batch = store().batches.get(batch_id)
    if batch is not None and caller().sees(batch.owner):
        return batch
    raise Problem("expired-batch" if batch is None and issued(batch_id) else "unknown-batch")


@route.get(
    "/batches/<batch_id>/events",
    *stream_of(BatchEvent, "Events `counts`, and finally `done`."),
    description=STREAM,
    parameters=("Last-Event-ID",),
    problems=BATCH_PROBLEMS,
)
def stream_batch_events(batch_id: str) -> Response:
    """The counts of a batch as they change."""
    batch = find_batch(batch_id)
    last = request.headers.get("Last-Event-ID", "")
    if last == "done" and _status(batch).done:
        return Response(status=204, headers=STREAM_HEADERS)
    return event_stream(CountsReader(store(), batch, caller(), last), batch_id, _CHANGES, _PAUSE)


class CountsReader(Body):
    """One client's view of the counts of a batch."""

    def __init__(self, store: Store, batch: Batch, caller: Caller, last: str) -> None:
        super().__init__(store, caller)
        self._batch = batch
        self._last = last

    def events(self) -> Iterator[bytes]:
        """Yield the counts if they are new."""
        counts = batch_counts(self._batch, self._store.listing.count_by_status(self._batch.task_ids))
        self.ended = counts.done
        data = counts.as_json()
        mark = "done" if counts.done else hashlib.blake2b(data, digest_size=6).hexdigest()
        if mark != self._last:
            self._last = mark
            name = b"done" if counts.done else b"counts"
            yield b"id: %s\nevent: %s\ndata: %s\n\n" % (mark.encode(), name, data)


@route.get(
    "/batches/<batch_id>/results",
    ResponseSpec(
        200,
        "A line of JSON (`BatchResult`) for each item, in order.",
        BatchResult,
        ("Cache-Control",),
        media_type="application/jsonl",
    ),
    problems=BATCH_PROBLEMS,
)
def get_batch_results(batch_id: str) -> Response:
    """The results of a batch, one line per item.

    A task that has not ended has a line without `result`. Lines are sent as they are read.
    """
    batch, base = find_batch(batch_id), prefix()
    # An iterator, as their length is not known: `b""` would announce a length of 0.
    lines = iter(()) if request.method == "HEAD" else _result_lines(store(), batch, problems_of(batch, base), base)
    return Response(lines, headers={"Cache-Control": "no-store"}, content_type="application/jsonl")


def _result_lines(store: Store, batch: Batch, problems: Mapping[int, dict[str, Any]], base: str) -> Iterator[bytes]:
    """Yield the lines: those of short results together, and each longer one by itself."""
    all_indexes = sorted({*batch.items, *problems})
    for start in range(0, len(all_indexes), _TASKS_PER_READ):
        indexes = all_indexes[start : start + _TASKS_PER_READ]
        tasks = [batch.items[index] for index in indexes if index in batch.items]
        records = dict(zip(tasks, store.tasks.get_many(tasks), strict=True))
        ended = [each for each in records.values() if each and each.status is Status.SUCCEEDED]
        short = dict(zip((each.id for each in ended), store.tasks.results(ended, _MAX_SHORT_RESULT), strict=True))
        piece = b""
        for index in indexes:
            if index in problems:
                piece += _line({"index": index, "problem": problems[index]})
                continue
            task_id = batch.items[index]
            record = records[task_id]
            if record and task_id in short and short[task_id] is None:
                yield piece
                yield _task_line(index, task_id, record, store.tasks.result(record), base)
                piece = b""
            else:
                piece += _task_line(index, task_id, record, short.get(task_id), base)
        yield piece


def _task_line(index: int, task_id: str, record: Record | None, result: bytes | None, base: str) -> bytes:
    line: dict[str, Any] = {"index": index, "task_id": task_id}
    if record is None:
        return _line(line | {"problem": problem_of_item(Problem("expired-task", task_id=task_id), base)})
    line["status"] = record.status
    if result is not None:
        return _line(line)[:-2] + b',"result":' + with_prefix(result, base) + b"}\n"
    if record.status.done:
        line["error"] = record.error and failure_object(record.error, base)
    return _line(line)


def _line(fields: dict[str, Any]) -> bytes:
    return pydantic_core.to_json(fields) + b"\n"


@route.post(
    "/batches/<batch_id>/cancel", ok(BatchStatus, "The new counts."), access=Access.SUBMIT, problems=BATCH_PROBLEMS
)
def cancel_batch(batch_id: str) -> Response:
    """Cancel every task of a batch.

    As `POST /tasks/{task_id}/cancel` for each task that has not ended.
    """
    batch = find_batch(batch_id)
    unfinished = [each.id for each in _records(batch) if not each.status.done and each.status is not Status.CANCELING]
    g.audit_count = sum(store().tasks.cancel(task_id) is not None for task_id in unfinished)
    return json_answer(_status(batch))


@route.post(
    "/batches/<batch_id>/retry",
    ok(BatchRetried, "The new tasks, and those that could not be retried."),
    access=Access.SUBMIT,
    parameters=("again",),
    problems=(*BATCH_PROBLEMS, "bad-request", "invalid-input", *STORING_PROBLEMS),
)
def retry_batch(batch_id: str) -> Response:
    """Retry the failed tasks of a batch.

    As `POST /tasks/{task_id}/retry` for each task that has failed. Tasks that were retried already are left out, so the
    call may be repeated; with `again=true` they are retried again.
    """
    again, batch = read_flag("again"), find_batch(batch_id)
    failed = [each for each in _records(batch) if each.status is Status.FAILED and (again or not each.retried_as)]
    pairs = handled(failed, retry_all(store(), failed, g.request_id, again=again, trace=g.trace))
    task_ids = [outcome for _, outcome in pairs if isinstance(outcome, str)]
    g.audit_count = len(task_ids)
    more = len(pairs) < len(failed)
    body = {"retried": len(task_ids), "task_ids": task_ids, "refused": refusals(pairs), "more": more}
    return json_answer(BatchRetried.model_validate(body))


def _records(batch: Batch) -> list[Record]:
    return [record for record in store().tasks.get_many(batch.task_ids) if record is not None]


def problems_of(batch: Batch, base: str) -> dict[int, dict[str, Any]]:
    """The problem of each refused item, by its number."""
    problems = {index: problem_of_item(as_problem(error), base) for index, error in batch.refusals.items()}
    for index, body in store().batches.problems(batch.id).items():
        problems[index] = {**body, "type": base + body["type"]}
    return problems


def problem_of_item(problem: Problem, base: str) -> dict[str, Any]:
    """The problem of one item, as an RFC 9457 object."""
    return ProblemObject.model_validate(problem.body(base, _MAX_ERRORS)).model_dump(exclude_unset=True)
