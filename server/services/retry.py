"""Retry tasks that have ended: a new task from the stored request of each, uploads included.

A task is retried once, unless `again` is set: the step that stores a retry marks the earlier task.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pydantic_core

from server.logs.trace import NO_TRACE, Trace
from server.sdk.definition import TaskDefinition, input_json
from server.sdk.errors import InvalidInput
from server.sdk.registry import definition as find_definition
from server.sdk.signature import TaskInput
from server.services.errors import InputExpired, TaskNotDone
from server.services.options import Options
from server.services.submit import Accepted, Submission, store_and_publish
from server.store import Store
from server.store.connection import UNREACHABLE
from server.store.errors import CAPACITY_ERRORS, AlreadyRetried, CoatcheckError
from server.store.record import UNIQUE, NewTask, Record
from server.store.submit import IdempotencyKey, SubmitRequest

#: Tasks, and bytes of their inputs, that one step stores: a longer script call would block Redis for other clients.
_STEP_TASKS, _STEP_BYTES = 100, 2**20

Outcome = str | CoatcheckError  # the id of the new task, or the reason why there is none


def retry(
    store: Store,
    record: Record,
    request_id: str,
    changes: Mapping[str, Any] | None = None,
    *,
    key: IdempotencyKey | None = None,
    again: bool = False,
    copy: bool = False,
    trace: Trace = NO_TRACE,
) -> Accepted:
    """Submit a new task from the stored request of one that has ended.

    `changes` replace parameters; null sets one to its default. A `copy` is not a retry of the other task, which may be
    unfinished: neither names the other.

    Raises:
        TaskNotDone: the task has not ended.
        InputExpired: its input is deleted.
        AlreadyRetried: it was retried before, and not `again`.
        InvalidInput: the changes do not fit, or the signature of its task type has changed. Also as
            `Submission.submit`.
    """
    if record.retried_as and not (again or key or copy):  # a request with this key may have retried it
        raise AlreadyRetried(record.retried_as)
    submission, task_input = _begin(store, record, request_id, trace, changes, key, copy=copy)
    with submission:
        submission.uploads.copy(task_input)
        return submission.submit(task_input, retry_of="" if copy else record.id, again=again)


def retry_all(
    store: Store, records: Iterable[Record], request_id: str, *, again: bool = False, trace: Trace = NO_TRACE
) -> list[Outcome]:
    """Retry many tasks, in steps of up to 100. A repeated call only retries those that are left.

    Returns:
        The outcome of each, in order. The list ends after a step in which a task did not fit (see `CAPACITY_ERRORS`),
        and before a step that could not reach the store.

    Raises:
        StoreUnavailable, StorageFull: nothing was stored.
    """
    outcomes: list[Outcome] = []
    left = iter(records)
    try:
        while stored := _retry_step(store, left, request_id, again, trace):
            outcomes += stored
            if any(isinstance(outcome, CAPACITY_ERRORS) for outcome in stored):
                break
    except (*CAPACITY_ERRORS, *UNREACHABLE):
        if not outcomes:
            raise
    return outcomes


def _retry_step(store: Store, left: Iterator[Record], request_id: str, again: bool, trace: Trace) -> list[Outcome]:
    """Retry the next of these, as many as one step may have, by one script call for each owner."""
    outcomes: list[Outcome] = []
    by_owner: dict[str, list[tuple[int, Submission, NewTask]]] = {}  # with their indexes in `outcomes`
    size = 0
    while len(outcomes) < _STEP_TASKS and size < _STEP_BYTES and (record := next(left, None)):
        try:
            submission, task = _prepare(store, record, request_id, again, trace)
        except CoatcheckError as error:
            outcomes.append(error)
            continue
        by_owner.setdefault(task.owner, []).append((len(outcomes), submission, task))
        outcomes.append(task.id)
        size += len(task.input)
    for owner, items in by_owner.items():
        request = SubmitRequest(owner, [task for _, _, task in items], again=again)
        for (index, submission, _), outcome in zip(items, store_and_publish(store, request).outcomes, strict=True):
            if isinstance(outcome, CoatcheckError):
                submission.uploads.discard()
                outcomes[index] = outcome
    return outcomes


def _prepare(store: Store, record: Record, request_id: str, again: bool, trace: Trace) -> tuple[Submission, NewTask]:
    if record.retried_as and not again:
        raise AlreadyRetried(record.retried_as)
    submission, task_input = _begin(store, record, request_id, trace)
    with submission:
        submission.uploads.copy(task_input)
        task = submission.prepare(task_input, retry_of=record.id)
        submission.keep()
    return submission, task


def _begin(
    store: Store,
    record: Record,
    request_id: str,
    trace: Trace,
    changes: Mapping[str, Any] | None = None,
    key: IdempotencyKey | None = None,
    *,
    copy: bool = False,
) -> tuple[Submission, TaskInput]:
    """Read the stored request of a task, for a submission with the same options but no delay."""
    if not (record.status.done or copy):
        raise TaskNotDone(f"The task is {record.status}.")
    definition = find_definition(record.task_type)
    task_input = definition.read_stored(_changed(definition, stored_input(store, record), changes or {}), store.blobs)
    is_unique = record.unique.startswith(UNIQUE) and not copy
    options = Options(
        priority=record.priority,
        tags=tuple(record.tags),
        ttl=record.ttl,
        cancel_after=record.cancel_after_ms / 1000,
        start_within=record.start_within_ms / 1000,
        webhook=record.webhook,
        unique=record.unique if is_unique and not (changes and definition.unique) else "",
        unique_for=record.unique_for_ms / 1000 if is_unique else 0,
        on_conflict="reject" if is_unique else "",
    )
    return Submission(store, definition, record.owner, request_id, options, key, trace), task_input


def stored_input(store: Store, record: Record) -> bytes:
    """Return the input (JSON) of a task; raises InputExpired if it is deleted."""
    stored = None if record.input_expired else store.tasks.input(record)
    if stored is None:
        raise InputExpired("Its task type keeps inputs for a shorter time than records. Submit the input again.")
    return stored


def _changed(definition: TaskDefinition, stored: bytes, changes: Mapping[str, Any]) -> bytes:
    """The stored input with the changes; a placeholder keeps its secret.

    A stored upload names a file of the store, which no client may choose.
    """
    if not changes:
        return stored
    if uploads := sorted(definition.uploads.keys() & changes.keys()):
        message = "The files of a retry cannot be changed. Submit a new task."
        raise InvalidInput(message, errors=[{"loc": ["input", name], "msg": message} for name in uploads])
    before = pydantic_core.from_json(stored)
    changed = before | definition.secrets.restore(changes, before)
    kept = {name: value for name, value in changed.items() if changes.get(name, value) is not None}
    return input_json(kept, ["input"])
