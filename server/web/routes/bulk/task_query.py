"""The status, and the results, of up to 500 tasks in one request."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from flask import Response, g
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from server.sdk.definition import read_body, with_integers
from server.services.status import TaskStatus, WireObject, filled_status, status_template
from server.store import Store
from server.store.record import Record, Status
from server.store.tasks import TaskState
from server.web.addresses import prefix
from server.web.body.read import read_json
from server.web.current import store
from server.web.errors import BODY_PROBLEMS, Problem
from server.web.long_poll import ENDS, MAX_WAIT, ParkedRequest, long_poll, parked_request
from server.web.middleware import caller
from server.web.openapi.route import Api, json_body, ok
from server.web.responses import (
    MAX_RETRY_AFTER,
    MIN_RETRY_AFTER,
    json_answer,
    retry_after,
    seconds_to_start,
    with_result,
)
from server.web.routes.tasks import issued
from server.web.schemas import ProblemObject

route = Api("task_query", "many")

MAX_TASKS = 500
MAX_RESULT = 64 * 1024  # maximum bytes of a result in such an answer; a longer one is left to `links.result`


class TaskQuery(BaseModel):
    """The tasks to read, and how long to wait for their ends."""

    model_config = ConfigDict(extra="forbid", strict=True)

    task_ids: list[Annotated[str, Field(max_length=36)]] = Field(min_length=1, max_length=MAX_TASKS)
    include: list[Literal["result"]] = Field(
        default_factory=list, description="`result` adds the results of up to 64 KiB of tasks that have succeeded."
    )
    wait: Annotated[int, BeforeValidator(with_integers)] = Field(
        default=0, ge=0, description="Seconds to hold the answer, 25 at most."
    )
    until: Literal["any", "all"] = Field(
        default="any", description="Wait until one more task has ended, or until all have."
    )


class FoundTask(TaskStatus):
    """The status of a task, with its result if it was asked for and is not too long."""

    result: Any = Field(default_factory=type(None))


class MissingTask(WireObject):
    """A task that does not exist (any more), or is not the caller's."""

    task_id: str
    problem: ProblemObject


class TaskAnswers(WireObject):
    """The tasks, in the order of `task_ids`."""

    tasks: list[FoundTask | MissingTask]


_EXAMPLE = {"task_ids": ["01997b5c-0a1e-7c3d-9f00-2b7c1d4e5f60"], "include": ["result"], "wait": 20, "until": "all"}


@route.blueprint.route("/tasks", methods=["QUERY"])
@route.post(
    "/tasks/query",
    ok(TaskAnswers, "The tasks in the order asked.", "Retry-After", "Preference-Applied"),
    body=json_body(TaskQuery, _EXAMPLE),
    problems=(*BODY_PROBLEMS, "bad-request"),
    sample=f" -H 'Content-Type: application/json' -d '{json.dumps(_EXAMPLE)}'",
)
def query_tasks() -> Response:
    """The status of up to 500 tasks.

    With `include`, their results. With `wait`, the answer is held until one more task has ended, or with `"until":
    "all"` until all have. `QUERY /tasks` (RFC 10008) is the same.
    """
    if parked_request() is None:
        g.query = read_body(TaskQuery, read_json())
    return long_poll(ENDS, _poll, min(g.query.wait, MAX_WAIT))


def _poll(parked: ParkedRequest | None) -> tuple[Response, bool]:
    """The answer, and whether the wait is over. Until then, the tasks are only counted."""
    settled = False
    if parked is not None:
        counts = store().listing.count_by_status(g.watched)
        left = len(g.watched) - sum(counts.get(name, 0) for name in ("expired", *(s for s in Status if s.done)))
        settled = left == 0 or (g.query.until == "any" and left < len(g.watched))
        if not settled and not parked.over:
            return parked.first, False
    response, unfinished = _answer()
    if parked is None:
        g.watched = tuple(dict.fromkeys(unfinished))
    return response, settled or not unfinished


def _answer() -> tuple[Response, list[str]]:
    """The answer, and the tasks that have not ended."""
    current_store, owner, base = store(), None if caller().is_admin else caller().owner, prefix()
    states: Iterable[TaskState | None] = current_store.tasks.statuses(g.query.task_ids)
    results: Mapping[str, bytes | None] = {}
    if "result" in g.query.include:
        states = list(states)
        results = _results(states, owner)
    secret, next_poll, templates = b"", _RetryAfter(current_store, g.query.until), dict[Record, str]()
    tasks: list[bytes] = []
    unfinished: list[str] = []
    for task_id, state in zip(g.query.task_ids, states, strict=True):
        if state is None or owner not in (None, state[0].owner):
            secret = secret or current_store.read_secret()
            tasks.append(_missing(task_id, secret))
            continue
        record, started_ms, finished_ms, expires_ms, position, _ = state
        template = templates.get(record)
        if template is None:
            template = templates[record] = status_template(record, base)
        text = filled_status(template, task_id, started_ms, finished_ms, expires_ms, position)
        result = results.get(task_id)
        tasks.append(text if result is None else with_result(text, result, base))
        if not record.status.done:
            unfinished.append(task_id)
            next_poll.add(record, position)
    headers = {"Retry-After": str(next_poll.seconds)} if unfinished else {}
    return json_answer(b'{"tasks":[%s]}' % b",".join(tasks), headers=headers), unfinished


def _results(states: Sequence[TaskState | None], owner: str | None) -> dict[str, bytes | None]:
    """The results of the tasks that have succeeded; None for one that is too long."""
    existing = [(task_id, state) for task_id, state in zip(g.query.task_ids, states, strict=True) if state]
    ended = [
        replace(record, id=task_id, result=result)
        for task_id, (record, *_, result) in existing
        if record.status is Status.SUCCEEDED and owner in (None, record.owner)
    ]
    return dict(zip((each.id for each in ended), store().tasks.results(ended, MAX_RESULT), strict=True))


class _RetryAfter:
    """When the first, or the last of several tasks will probably have changed."""

    def __init__(self, current_store: Store, until: str) -> None:
        self._store = current_store
        self._outermost, self._limit = (min, MIN_RETRY_AFTER) if until == "any" else (max, MAX_RETRY_AFTER)
        self.seconds = MIN_RETRY_AFTER + MAX_RETRY_AFTER - self._limit

    def add(self, record: Record, position: int | None) -> None:
        """Take an unfinished task into account, unless the limit of a wait is reached."""
        if self.seconds != self._limit:
            to_start = seconds_to_start(self._store, record, position)
            self.seconds = self._outermost(self.seconds, retry_after(record, to_start, self._store.clock))


def _missing(task_id: str, secret: bytes) -> bytes:
    problem = Problem("expired-task" if issued(task_id, secret) else "unknown-task")
    return MissingTask(task_id=task_id, problem=ProblemObject.model_validate(problem.body(prefix()))).as_json()
