"""Submit a task, from the first byte of its request to its record; store any number of tasks in one step."""

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import Any, Self

from server.logs.trace import NO_TRACE, Trace
from server.sdk.definition import TaskDefinition
from server.sdk.errors import InvalidInput
from server.sdk.signature import TaskInput
from server.services.options import Options
from server.services.uploads import IncomingUploads
from server.store import Store, ids
from server.store.connection import UNREACHABLE
from server.store.errors import CoatcheckError, DuplicateTask
from server.store.record import NewTask, Record, Status
from server.store.submit import IdempotencyKey, SubmitRequest, SubmitResult


@dataclass(frozen=True, slots=True)
class Accepted:
    """A stored task, and its owner's number of unfinished tasks.

    `replayed`: the response to an earlier request, with the same idempotency key. `deduplicated`: an earlier task, with
    the same key of `unique`.
    """

    record: Record
    position: int | None
    unfinished: int
    replayed: bool = False
    deduplicated: bool = False


@dataclass
class Submission:
    """One submit, as a context: without a call of `submit`, nothing is left behind.

    `location` is the first part of the `loc` of errors in options, as in `parse_options`.
    """

    store: Store
    definition: TaskDefinition
    owner: str
    request_id: str = ""
    options: Options = field(default_factory=Options)
    key: IdempotencyKey | None = None
    trace: Trace = NO_TRACE
    location: str = "options"

    def __post_init__(self) -> None:
        self.task_id = ids.new(self.owner, self.store.secret, self.store.clock.now_ns())
        self.uploads = IncomingUploads(self.store, self.definition, self.task_id, self.owner)
        key = self.key
        if key and key.owner != self.owner:  # an admin's, for another owner's task
            self.key = key = replace(key, owner=self.owner, text=f"{key.owner} {key.text}")
        self._compared = key if key and key.compared else None
        self._submitted = False

    def __enter__(self) -> Self:
        if self._compared:
            self.store.submits.reserve_key(self._compared)
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if self._submitted:
            return
        if error is not None and issubclass(error, UNREACHABLE):
            return  # answer 503 without delay: blob cleanup deletes the rest, and a reserved key expires
        self.uploads.discard()
        if self._compared:
            self.store.submits.release_key(self._compared)

    def submit(self, task_input: TaskInput, *, retry_of: str = "", again: bool = False) -> Accepted:
        """Store the task. From now on it will end as succeeded, failed or canceled.

        Raises:
            QuotaExceeded, QueueFull, StoreUnavailable, IdempotencyKeyReused, DuplicateTask: nothing was stored. Also as
                `prepare`.
            AlreadyRetried: `retry_of` was retried before, and not `again`.
        """
        task = self.prepare(task_input, retry_of=retry_of)
        fingerprint = self._fingerprint(task, again) if self._compared else ""
        result = store_and_publish(self.store, SubmitRequest(self.owner, [task], self.key, fingerprint, again=again))
        if result.replayed:
            unread = Record(result.replayed, self.owner, self.definition.name, Status.QUEUED)
            record = self.store.tasks.get(result.replayed) or unread
            position = self.store.tasks.position(record)
            return Accepted(record, position, result.unfinished, replayed=True, deduplicated=result.replayed_existing)
        if result.existing:
            return self._existing(result.existing[0], result.unfinished)
        outcome = result.outcomes[0]
        if isinstance(outcome, CoatcheckError):
            raise outcome
        self._submitted = True
        return Accepted(first_record(self.store, task, result.now_ms), outcome or None, result.unfinished)

    def prepare(self, task_input: TaskInput, *, retry_of: str = "") -> NewTask:
        """Build the task to store, with all its uploads in the blob store.

        Raises:
            CoatcheckError: as `IncomingUploads.store_inline` and `IncomingUploads.copy_from_tasks`.
            InvalidInput: the type of the task does not allow one of its options.
        """
        unique, on_conflict = resolve_uniqueness(self.definition, self.options, task_input, self.location)
        waits_for: tuple[str, ...] = ()
        if self.definition.uploads:
            waits_for = self.uploads.copy_from_tasks(task_input)
            self.uploads.store_inline(task_input)
        options = self.options
        return NewTask(
            id=self.task_id,
            owner=self.owner,
            task_type=self.definition.name,
            input=task_input.stored(),
            queue=self.definition.queue,
            priority=options.priority or self.definition.priority,
            request_id=self.request_id,
            has_uploads=self.uploads.any,
            upload_bytes=self.uploads.bytes,
            delay_ms=_milliseconds(options.delay),
            not_before_ms=options.not_before_ms,
            cancel_after_ms=_milliseconds(options.cancel_after),
            start_within_ms=_milliseconds(options.start_within),
            limit_scope=self.definition.limit_scope(task_input, self.owner),
            unique=unique,
            unique_for_ms=_milliseconds(options.unique_for),
            on_conflict=on_conflict,
            ttl=self.definition.ttl if options.ttl is None else options.ttl,
            input_ttl=self.definition.input_ttl,
            tags=options.tags,
            retry_of=retry_of,
            webhook=options.webhook,
            waits_for=waits_for,
            trace=self.trace,
        )

    def _existing(self, task_id: str, unfinished: int) -> Accepted:
        """The task that has the key of this one: the same response as for a new task."""
        record = self.store.tasks.get_with_position(task_id)
        if record is None:  # it has expired, and keeps its key for some time
            raise DuplicateTask(task_id)
        return Accepted(record, record.position, unfinished, deduplicated=not self.options.debounce)

    def keep(self) -> None:
        """Keep the uploads: the batch stores the task or discards it."""
        self._submitted = True

    def _fingerprint(self, task: NewTask, again: bool) -> str:
        """A hash of everything that makes two requests equal; uploads count by their content."""
        content = task.input.replace(self.task_id.encode(), b"")
        named: dict[str, Any] = {"task": task.task_type, "options": self.options.identity()}
        if task.retry_of:
            named |= {"retry_of": task.retry_of, "again": again}
        return hashlib.blake2b(json.dumps(named).encode() + content, digest_size=12).hexdigest()


def resolve_uniqueness(
    definition: TaskDefinition, options: Options, task_input: TaskInput, location: str
) -> tuple[str, str]:
    """Return the key of `unique` or `debounce`, and the action if another task has it; both may be empty.

    Raises:
        InvalidInput: the task type does not allow one of the options; `location` as in `Submission`.
    """
    if options.debounce:
        if definition.uploads or definition.unique:
            raise _unsuitable(location, "debounce", f"{definition.name} has uploads, or is unique by its parameters")
        return options.debounce, f"debounce {_milliseconds(options.max_delay)}"
    unique = options.unique or definition.unique_key(task_input)
    if not unique and (options.unique_for or options.on_conflict):
        raise _unsuitable(location, "unique", "unique_for and on_conflict need it")
    return unique, (options.on_conflict or "return") if unique else ""


def _unsuitable(location: str, option: str, reason: str) -> InvalidInput:
    return InvalidInput(f"Invalid value for {option}: {reason}.", errors=[{"loc": [location, option], "msg": reason}])


def _milliseconds(seconds: float) -> int:
    """Never 0 for a time above 0: 0 means none."""
    return max(1, round(seconds * 1000)) if seconds else 0


def store_and_publish(store: Store, request: SubmitRequest) -> SubmitResult:
    """Store records and messages by one script if the broker is this Redis, otherwise the records first.

    Raises:
        IdempotencyKeyReused, StoreUnavailable: nothing was stored.
    """
    store.before_publish(request.tasks)
    result = store.submits.submit(request)
    if result.replayed is None:
        outcomes = list(zip(request.tasks, result.outcomes, strict=True))
        queued = [task for task, position in outcomes if isinstance(position, int) and position]
        store.publish_new(queued, result.now_ms)
        store.after_publish([task for task, position in outcomes if isinstance(position, int)])
    return result


def first_status(task: NewTask, due_ms: int) -> Status:
    return Status.SCHEDULED if task.waits_for or due_ms else Status.QUEUED


def first_record(store: Store, task: NewTask, now_ms: int) -> Record:
    """The record of a task that was stored at this moment, without a read."""
    due = task.due_ms(now_ms)
    status = first_status(task, due)
    return Record(
        task.id,
        task.owner,
        task.task_type,
        status,
        queue=task.queue,
        priority=task.priority,
        request_id=task.request_id,
        trace_parent=task.trace.parent,
        trace_state=task.trace.state,
        due_ms=due or None,
        tags=task.tags,
        retry_of=task.retry_of,
        waits_for=task.waits_for,
        paused=status is Status.QUEUED and store.pauses.cover(task.queue, task.task_type),
    )
