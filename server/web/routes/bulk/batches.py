"""Batches: many submits in one request. Valid items are stored in one step; invalid ones do not stop them."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pydantic_core
from flask import Response, g, request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from server.logs.trace import Trace
from server.sdk.registry import definition
from server.services.options import Options
from server.services.status import BatchLinks, StatusLinks, WireObject, batch_links, links
from server.services.submit import Submission, first_status, store_and_publish
from server.store import Store, ids
from server.store.api_keys import Caller
from server.store.errors import CoatcheckError
from server.store.record import NewTask, Status
from server.store.submit import SubmitRequest, SubmitResult
from server.web.addresses import prefix
from server.web.body.options import NESTED, nested_options, read_key, read_options
from server.web.body.read import MAX_VALUES, read_json, read_text
from server.web.current import store
from server.web.errors import BODY_PROBLEMS, KEY_PROBLEMS, Problem, as_problem
from server.web.middleware import caller
from server.web.openapi.route import CACHED, Access, Api, ResponseSpec
from server.web.responses import json_answer
from server.web.routes.bulk.batch import problem_of_item, problems_of
from server.web.schemas import ProblemObject

route = Api("batches", "many")


MAX_ITEMS = 1_000


class BatchItem(BaseModel):
    """One submit of a batch."""

    model_config = ConfigDict(extra="forbid", strict=True)
    task: str
    input: dict[str, Any] = Field(default_factory=dict, description="The task's parameters, as in its JSON body.")
    options: dict[str, Any] = Field(default_factory=dict, description="As in a submit's query: `priority`, `tag`, …")


class BatchRequest(BaseModel):
    """Up to 1,000 submits in one request."""

    model_config = ConfigDict(extra="forbid")
    items: list[BatchItem] = Field(min_length=1, max_length=MAX_ITEMS)


class BatchTask(WireObject):
    """An accepted item. A replayed answer only has `task_id` and `links`; an earlier task has no `status` here."""

    task_id: str
    links: StatusLinks
    task: str = Field(default_factory=str)
    status: Status = Field(default_factory=lambda: Status.QUEUED)
    deduplicated: bool = Field(default_factory=bool, description="An earlier task has the same key of `unique`.")


class BatchRefusal(WireObject):
    """An item that was refused."""

    problem: ProblemObject


class BatchTicket(WireObject):
    """The answer to a batch, with its items in order."""

    batch_id: str
    items: list[BatchTask | BatchRefusal]
    links: BatchLinks


_LINES = ("application/x-ndjson", "application/jsonl", "application/ndjson")  # media types of NDJSON


Prepared = tuple[Submission, NewTask] | Problem  # an item that is ready to be stored, or its problem

#: The fields of a `BatchTask`, or of a `BatchRefusal`: to make a model of each would cost several times as much.
Line = dict[str, Any]


_EXAMPLE = {"items": [{"task": "divide", "input": {"x": 1, "y": 2}}]}
_BATCH: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {"schema": BatchRequest, "example": _EXAMPLE},
        "application/x-ndjson": {"schema": {"type": "string", "description": "One `BatchItem` per line."}},
    },
}


@route.post(
    "/batches",
    ResponseSpec(
        202,
        "A `task_id` or a problem for each item. An invalid item does not stop the others.",
        BatchTicket,
        (*CACHED, "Location", "Operation-Location", "Retry-After", "Idempotency-Replayed"),
        ("batch",),
    ),
    access=Access.SUBMIT,
    parameters=("webhook", "Idempotency-Key"),
    body=_BATCH,
    problems=(*BODY_PROBLEMS, "bad-request", *KEY_PROBLEMS, "storage-full"),
    sample=f" -H 'Content-Type: application/json' -d '{json.dumps(_EXAMPLE)}'",
)
def submit_batch() -> Response:
    """Up to 1,000 submits in one request.

    Either `items`, or NDJSON with one item per line. Files are sent as Base64.
    """
    submitter = caller()
    key = read_key(submitter)
    by_line = request.mimetype in _LINES
    text = read_text() if by_line else read_json(MAX_VALUES * 10)
    items = _lines(text) if by_line else _items(text)
    if not 1 <= len(items) <= MAX_ITEMS:
        raise Problem("invalid-input", f"A batch must have 1 to {MAX_ITEMS} items.", errors=[])
    webhook = read_options().webhook
    batch_id = ids.new(submitter.owner, store().secret, store().clock.now_ns())
    if key:
        store().submits.reserve_key(key)
    stored = False
    prepared: list[Prepared] = []
    try:
        current_store, request_id, trace = store(), g.request_id, g.trace
        prepared = [_prepare(current_store, submitter, item, request_id, trace) for item in items]
        fingerprint = hashlib.blake2b(text + webhook.encode(), digest_size=12).hexdigest() if key else ""
        result = _store(SubmitRequest(submitter.owner, [], key, fingerprint, batch_id), prepared, webhook)
        stored = not result.replayed
    finally:
        _discard_uploads(prepared, stored)
        if key and not stored:
            store().submits.release_key(key)
    if result.replayed:
        return _replayed(result.replayed)
    outcomes, base = iter([result.existing.get(index, each) for index, each in enumerate(result.outcomes)]), prefix()
    item_outcomes = [each if isinstance(each, Problem) else _outcome(*each, next(outcomes)) for each in prepared]
    return _ticket(batch_id, [_line(each, result.now_ms, base) for each in item_outcomes])


def _store(empty: SubmitRequest, prepared: Sequence[Prepared], webhook: str) -> SubmitResult:
    """Store the items that are ready, and the problems of the others."""
    problems = {index: problem_of_item(each, "") for index, each in enumerate(prepared) if isinstance(each, Problem)}
    tasks = [each[1] for each in prepared if not isinstance(each, Problem)]
    indexes = [index for index in range(len(prepared)) if index not in problems] if problems else None
    store().batches.announce(empty.batch, webhook, problems, g.request_id, g.trace)
    return store_and_publish(store(), replace(empty, tasks=tasks, item_numbers=indexes))


def _lines(text: bytes) -> list[Any]:
    """Parse the items of NDJSON, one per line."""
    return [_parsed(line) for line in text.splitlines() if line.strip()]


def _items(text: bytes) -> list[Any]:
    """Parse the items of `{"items": […]}`."""
    body = _parsed(text)
    if isinstance(body, Problem):
        raise body
    if not isinstance(body, dict) or not isinstance(body.get("items"), list) or len(body) != 1:
        errors = [{"loc": ["items"], "msg": "Input should be a list"}]
        raise Problem("invalid-input", 'The body must be {"items": [{"task": "…", "input": {…}}, …]}.', errors=errors)
    items: list[Any] = body["items"]
    return items


def _parsed(text: bytes) -> Any:
    try:
        return pydantic_core.from_json(text, allow_inf_nan=False)
    except ValueError as error:
        return Problem("malformed-body", f"{error}.")


def _prepare(current_store: Store, submitter: Caller, item: Any, request_id: str, trace: Trace) -> Prepared:
    try:
        if isinstance(item, Problem):
            return item
        batch_item = BatchItem.model_validate(item)
        task_type = definition(batch_item.task)
        options = nested_options(batch_item.options, NESTED) if batch_item.options else Options()
        submission = Submission(current_store, task_type, submitter.owner, request_id, options, trace=trace)
        validated = task_type.validate_json(
            pydantic_core.to_json(batch_item.input), allow_private=current_store.settings.allow_private_addresses
        )
        with submission:
            task = submission.prepare(validated)
            submission.keep()
        return submission, task
    except ValidationError as error:
        errors = [
            {"loc": list(each["loc"]), "msg": each["msg"]}
            for each in error.errors(include_url=False, include_input=False)
        ]
        return Problem("invalid-input", 'An item must be {"task": "…", "input": {…}}.', errors=errors)
    except CoatcheckError as error:
        return as_problem(error)


def _discard_uploads(prepared: Sequence[Prepared], stored: bool) -> None:
    """Delete the uploads of all items if nothing was stored."""
    for each in prepared:
        if not stored and not isinstance(each, Problem):
            each[0].uploads.discard()


def _outcome(submission: Submission, task: NewTask, outcome: CoatcheckError | int | str) -> NewTask | Line | Problem:
    """The item's task, the earlier one that has its key (an id), or the problem."""
    if isinstance(outcome, int):
        return task
    submission.uploads.discard()
    if isinstance(outcome, CoatcheckError):
        return as_problem(outcome)
    flag = {"deduplicated": True} if task.on_conflict == "return" else {}
    return {"task_id": outcome, "links": links(outcome, prefix()), "task": task.task_type, **flag}


def _line(outcome: NewTask | Line | Problem, now_ms: int, base: str) -> Line:
    if isinstance(outcome, dict):
        return outcome
    if isinstance(outcome, Problem):
        return {"problem": problem_of_item(outcome, base)}
    status = first_status(outcome, outcome.due_ms(now_ms))
    return {"task_id": outcome.id, "links": links(outcome.id, base), "task": outcome.task_type, "status": status}


def _ticket(batch_id: str, items: list[Line], *, replayed: bool = False) -> Response:
    body = pydantic_core.to_json({"batch_id": batch_id, "items": items, "links": batch_links(batch_id, prefix())})
    headers = {"Location": f"/batches/{batch_id}", "Operation-Location": f"/batches/{batch_id}", "Retry-After": "1"}
    if replayed:
        headers["Idempotency-Replayed"] = "true"
    return json_answer(body, 202, headers)


def _replayed(batch_id: str) -> Response:
    """Repeat the answer to the first request."""
    batch, base = store().batches.get(batch_id), prefix()
    if batch is None:
        raise Problem("expired-batch")
    lines: dict[int, Line] = {
        index: {"task_id": task_id, "links": links(task_id, base)} for index, task_id in batch.items.items()
    }
    lines |= {index: {"problem": problem} for index, problem in problems_of(batch, base).items()}
    return _ticket(batch_id, [lines[index] for index in sorted(lines)], replayed=True)
