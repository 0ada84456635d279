"""One submit, from its first byte to its record; or from the stored request of an earlier one."""

import hashlib
import time
from dataclasses import dataclass
from typing import Self

from pydantic import BaseModel, ValidationError

from server import ids
from server.connections import UNREACHABLE
from server.context import STORED
from server.errors import Problem
from server.keys import secret
from server.records import IdempotencyKey, NewTask, Order, Record, Status, intake, records
from server.registry import Kind, kind
from server.registry.kind import problem_of
from server.submission.incoming import Incoming
from server.submission.options import Options
from server.submission.storing import first_record, store_and_publish


@dataclass(frozen=True, slots=True)
class Accepted:
    """A task that is stored, and what its owner has unfinished now; `replayed`: by an earlier request."""

    record: Record
    position: int | None
    unfinished: int
    replayed: bool = False


class Submission:
    """One submit. Used as a context: what is not submitted leaves nothing."""

    def __init__(
        self,
        kind: Kind,
        owner: str,
        request_id: str = "",
        options: Options | None = None,
        key: IdempotencyKey | None = None,
    ) -> None:
        self.kind = kind
        self.task_id = ids.new(owner, secret())
        self.uploads = Incoming(kind, self.task_id, owner)
        self._owner = owner
        self._request_id = request_id
        self._options = options or Options()
        self._key = key
        self._submitted = False

    def __enter__(self) -> Self:
        if self._key:
            intake().reserve(self._key)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._submitted:
            return
        if kind is not None and issubclass(kind, UNREACHABLE):
            return  # a client waits for its 503: what stays is collected, and a reserved key is free again soon
        self.uploads.discard()
        if self._key:
            intake().unreserve(self._key)

    def submit(self, given: BaseModel, *, retry_of: str = "") -> Accepted:
        """Store the task; from here on it ends as succeeded, failed or canceled, whatever dies.

        Raises:
            Problem: `over-quota`, `queue-full`, `unavailable`, `idempotency-key-reused`, or one of `prepare`.
        """
        task = self.prepare(given, retry_of=retry_of)
        fingerprint = self._fingerprint(task) if self._key else ""
        receipt = store_and_publish(Order(self._owner, [task], self._key, fingerprint))
        if receipt.replayed:
            record = self._replayed(receipt.replayed)
            return Accepted(record, records().position(record), receipt.unfinished, replayed=True)
        outcome = receipt.outcomes[0]
        if isinstance(outcome, Problem):
            raise outcome
        self._submitted = True
        return Accepted(first_record(task), outcome or None, receipt.unfinished)

    def prepare(self, given: BaseModel, *, retry_of: str = "") -> NewTask:
        """The task as it will be stored, with all its uploads in the blob store.

        Raises:
            Problem: as `Incoming.take_inline` and `Incoming.take_from_tasks`.
        """
        waits_for = self.uploads.take_from_tasks(given)
        self.uploads.take_inline(given)
        now = time.time_ns() // 1_000_000
        options = self._options
        return NewTask(
            id=self.task_id,
            owner=self._owner,
            kind=self.kind.name,
            input=given.model_dump_json(by_alias=True, exclude_unset=True, round_trip=True).encode(),
            queue=self.kind.queue,
            priority=options.priority,
            request_id=self._request_id,
            has_uploads=self.uploads.any,
            due_ms=options.due_ms(now),
            cancel_at_ms=options.cancel_at_ms(now),
            ttl=options.ttl,
            tags=options.tags,
            retry_of=retry_of,
            webhook=options.webhook,
            waits_for=waits_for,
        )

    def keep(self) -> None:
        """Leave the uploads: a batch stores the task, or discards it."""
        self._submitted = True

    def _fingerprint(self, task: NewTask) -> str:
        """Of all that makes two requests the same; an upload counts by its content."""
        content = task.input.replace(self.task_id.encode(), b"")
        return hashlib.blake2b(f"{task.kind} {self._options}".encode() + content, digest_size=12).hexdigest()

    def _replayed(self, task_id: str) -> Record:
        return records().get(task_id) or Record(task_id, self._owner, self.kind.name, Status.QUEUED)


def retry(record: Record, request_id: str) -> Accepted:
    """A new task from the stored request of one that has ended, uploads included.

    Raises:
        Problem: `task-not-done`, `invalid-input` where its kind takes another input by now, or one of
            `Submission.submit`.
    """
    if not record.status.done:
        raise Problem("task-not-done", f"It is {record.status}.")
    made = kind(record.kind)
    try:
        given = made.signature.model.model_validate_json(record.input, context=STORED)
    except ValidationError as error:
        raise problem_of(error, record.input) from None
    options = Options(priority=record.priority, tags=tuple(record.tags), ttl=record.ttl, webhook=record.webhook)
    with Submission(made, record.owner, request_id, options) as submission:
        submission.uploads.copy(given)
        return submission.submit(given, retry_of=record.id)
