"""From a validated request to a stored task: uploads to the blob store, then record and message in one step."""

import hashlib
import mimetypes
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from pydantic import BaseModel, ValidationError

from server import chains, ids
from server.blobs.process import store
from server.broker.message import for_broker
from server.broker.outside import announce
from server.connections import UNREACHABLE
from server.context import STORED, Upload
from server.errors import BlobMissing, BlobsFull, Problem
from server.keys import secret
from server.names import is_media_type
from server.records import (
    IdempotencyKey,
    NewTask,
    Receipt,
    Record,
    Status,
    Tick,
    intake,
    records,
)
from server.registry import Kind, kind
from server.registry.kind import problem_of
from server.settings import settings

_UNKNOWN_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Options:
    """How to run a task; `delay`, `ttl` and `cancel_after` in seconds, `not_before_ms` since 1970."""

    delay: float = 0.0
    not_before_ms: int = 0
    priority: str = "normal"
    tags: tuple[str, ...] = ()
    ttl: int | None = None
    cancel_after: float = 0.0
    webhook: str = ""

    def due_ms(self, now_ms: int) -> int:
        """When the task is due; 0 is at once."""
        return max(now_ms + int(self.delay * 1000) if self.delay else 0, self.not_before_ms)

    def cancel_at_ms(self, now_ms: int) -> int:
        """When the task is to be canceled; 0 is never."""
        return now_ms + int(self.cancel_after * 1000) if self.cancel_after else 0


@dataclass(frozen=True, slots=True)
class Accepted:
    """A task that is stored, and what its owner has unfinished now; `replayed`: by an earlier request."""

    record: Record
    position: int | None
    unfinished: int
    replayed: bool = False


class Submission:
    """One submit, from its first byte to its record. Used as a context: what is not submitted leaves nothing."""

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
        self._owner = owner
        self._request_id = request_id
        self._options = options or Options()
        self._key = key
        self._received = 0
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
        self.discard()
        if self._key:
            intake().unreserve(self._key)

    def discard(self) -> None:
        """Drop the uploads that were received."""
        if self._received:
            store().delete(self.task_id)

    def receive(self, filename: str, media_type: str, chunks: Iterable[bytes]) -> Upload:
        """Take an upload, chunk by chunk.

        Raises:
            Problem: `unsupported-media-type`, `too-large`, or `storage-full`.
        """
        upload = self._announce(filename, media_type)
        digest = hashlib.sha256()
        try:
            with store().writer(upload.key) as writer:
                for chunk in chunks:
                    upload.size += len(chunk)
                    self._check_size(upload.size)
                    digest.update(chunk)
                    writer.write(chunk)
        except BlobsFull:
            raise Problem("storage-full", headers={"Retry-After": "30"}) from None
        upload.sha256 = digest.hexdigest()
        return upload

    def _announce(self, filename: str, media_type: str) -> Upload:
        declared = media_type.partition(";")[0].strip().lower()
        if declared in ("", _UNKNOWN_TYPE):
            declared = mimetypes.guess_type(filename)[0] or _UNKNOWN_TYPE
        if not is_media_type(declared):
            raise Problem("unsupported-media-type", f"{declared[:80]!r} is no media type.")
        self._check_type(declared)
        return Upload(self._next_key(), filename, declared, 0)

    def _check_type(self, declared: str) -> None:
        accepts = self.kind.accepts
        if accepts and declared != _UNKNOWN_TYPE and not any(_matches(declared, taken) for taken in accepts):
            raise Problem("unsupported-media-type", f"{declared} is not taken; these are: {', '.join(accepts)}.")

    def _next_key(self) -> str:
        key = f"{self.task_id}/in-{self._received}"
        self._received += 1
        return key

    def _check_size(self, size: int) -> None:
        limit = self.kind.max_upload_bytes or settings().max_upload_bytes
        if size > limit:
            raise Problem("too-large", f"A file of {self.kind.name} has {limit} bytes at most.", limit=limit)

    def submit(self, given: BaseModel, *, retry_of: str = "") -> Accepted:
        """Store the task; from here on it ends as succeeded, failed or canceled, whatever dies.

        Raises:
            Problem: `over-quota`, `queue-full`, `unavailable`, `idempotency-key-reused`, or one of `receive`.
        """
        task = self.prepare(given, retry_of=retry_of)
        fingerprint = self._fingerprint(task) if self._key else ""
        receipt = store_and_publish(self._owner, [task], key=self._key, fingerprint=fingerprint)
        if receipt.replayed:
            record = self._replayed(receipt.replayed)
            return Accepted(record, records().position(record), receipt.unfinished, replayed=True)
        outcome = receipt.outcomes[0]
        if isinstance(outcome, Problem):
            raise outcome
        self._submitted = True
        return Accepted(first_record(task), outcome or None, receipt.unfinished)

    def prepare(self, given: BaseModel, *, retry_of: str = "") -> NewTask:
        """The task as it will be stored; uploads that came inside a JSON body go to the blob store, too."""
        waits_for = self._take_from_tasks(given)
        for upload in uploads_of(given):
            if upload.inline is not None:
                stored = self.receive(upload.filename, upload.media_type, [upload.inline])
                upload.key, upload.sha256, upload.inline = stored.key, stored.sha256, None
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
            has_uploads=self._received > 0,
            due_ms=options.due_ms(now),
            cancel_at_ms=options.cancel_at_ms(now),
            ttl=options.ttl,
            tags=options.tags,
            retry_of=retry_of,
            webhook=options.webhook,
            waits_for=waits_for,
        )

    def _take_from_tasks(self, given: BaseModel) -> tuple[str, ...]:
        """Copy files of tasks that have succeeded; the ids of those that are still to.

        Raises:
            Problem: `invalid-input` where there is no such task or file, or the task did not succeed.
        """
        waits_for = []
        for upload in uploads_of(given):
            if not upload.task_id:
                continue
            found = chains.find(upload, self._owner)
            if found is None:
                waits_for.append(upload.task_id)
                continue
            source = found["key"]
            chains.become(upload, found)
            self._check_type(upload.media_type)
            self._check_size(upload.size)
            upload.key = self._next_key()
            self._copy(source, upload.key)
        return tuple(dict.fromkeys(waits_for))

    def keep(self) -> None:
        """Leave the uploads: a batch stores the task, or discards it."""
        self._submitted = True

    def _fingerprint(self, task: NewTask) -> str:
        """Of all that makes two requests the same; an upload counts by its content."""
        content = task.input.replace(self.task_id.encode(), b"")
        return hashlib.blake2b(f"{task.kind} {self._options}".encode() + content, digest_size=12).hexdigest()

    def _replayed(self, task_id: str) -> Record:
        return records().get(task_id) or Record(task_id, self._owner, self.kind.name, Status.QUEUED)

    def copy_uploads(self, given: BaseModel) -> None:
        """Make the uploads of an earlier task this task's own.

        Raises:
            Problem: `storage-full`, or `expired-task` where their bytes are gone.
        """
        for upload in uploads_of(given):
            if upload.url or upload.task_id:
                continue  # it is fetched again
            source, upload.key = upload.key, self._next_key()
            self._copy(source, upload.key)

    def _copy(self, source: str, target: str) -> None:
        try:
            store().copy(source, target)
        except BlobsFull:
            raise Problem("storage-full", headers={"Retry-After": "30"}) from None
        except BlobMissing:
            raise Problem("expired-task", "The bytes of a file are gone.") from None


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
        raise problem_of(error) from None
    options = Options(priority=record.priority, tags=tuple(record.tags), ttl=record.ttl, webhook=record.webhook)
    with Submission(made, record.owner, request_id, options) as submission:
        submission.copy_uploads(given)
        return submission.submit(given, retry_of=record.id)


def store_and_publish(
    owner: str,
    tasks: Sequence[NewTask],
    *,
    key: IdempotencyKey | None = None,
    fingerprint: str = "",
    batch: str = "",
    places: Sequence[int] | None = None,
    tick: Tick | None = None,
) -> Receipt:
    """Records and messages in one script where the broker is this Redis; else the records first.

    Raises:
        Problem: `idempotency-key-reused` or `unavailable`.
    """
    pairs = [(task, for_broker(task.id, task.kind, task.queue, task.rank, "web")) for task in tasks]
    receipt = intake().submit(owner, pairs, key=key, fingerprint=fingerprint, batch=batch, places=places, tick=tick)
    if receipt.replayed is None:
        queued = [task for task, place in zip(tasks, receipt.outcomes, strict=True) if isinstance(place, int) and place]
        announce(queued)
    return receipt


def first_record(task: NewTask) -> Record:
    """The record as it is when it has just been stored, without asking."""
    due = task.due_ms > ids.milliseconds(task.id)
    scheduled = due or bool(task.waits_for)
    return Record(
        task.id,
        task.owner,
        task.kind,
        Status.SCHEDULED if scheduled else Status.QUEUED,
        queue=task.queue,
        priority=task.priority,
        request_id=task.request_id,
        due_ms=task.due_ms if due else None,
        tags=list(task.tags),
        retry_of=task.retry_of,
        waits_for=list(task.waits_for),
    )


def uploads_of(given: BaseModel) -> Iterable[Upload]:
    """Every upload in a validated input."""
    for _, value in given:
        values: list[Any] = value if isinstance(value, list) else [value]
        yield from (item for item in values if isinstance(item, Upload))


def _matches(media_type: str, taken: str) -> bool:
    return taken in ("*/*", media_type) or (taken.endswith("/*") and media_type.startswith(taken[:-1]))
