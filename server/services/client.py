"""Submit a task from Python by the same steps as over HTTP, and read its state by its ticket."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any, BinaryIO, TypeVar

import pydantic_core

from server.logs.trace import NO_TRACE, Trace
from server.sdk.context import Submit
from server.sdk.definition import input_json
from server.sdk.errors import TaskError
from server.sdk.registry import definition as find_definition
from server.sdk.signature import TaskInput
from server.sdk.uploads import Upload
from server.services.errors import TaskExpired
from server.services.options import OptionsIn, parse_options
from server.services.status import TaskStatus, status_object
from server.services.submit import Submission
from server.services.uploads import IncomingUploads
from server.store import Store
from server.store.connection import UNREACHABLE, store_error
from server.store.errors import StoreUnavailable
from server.store.record import Record, Status
from server.store.submit import IdempotencyKey
from server.store.tasks import Attempt

T = TypeVar("T")

_MIN_POLL_INTERVAL, _MAX_POLL_INTERVAL = 0.02, 0.5  # seconds between two reads of a task's record

_CHUNK = 2**18


@dataclass(frozen=True, repr=False)
class Ticket:
    """A submitted task. Every address and log line has its `id`; a later process makes its own ticket from that."""

    _store: Store
    id: str

    def __repr__(self) -> str:
        return f"Ticket({self.id!r})"

    def status(self) -> TaskStatus:
        """Read the status object that `GET /tasks/{id}` answers with.

        Raises:
            TaskExpired: the id is unknown, or the task's record was deleted.
            StoreUnavailable: Redis does not answer.
        """
        with _as_coatcheck_errors():
            record = self._read(self._store.tasks.get_with_position)
            return status_object(record, record.position, self._store.settings.public_prefix)

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the end of the task and return its result, decoded from JSON. Waits through an outage of Redis.

        Raises:
            TimeoutError: the task has not ended within `timeout` seconds.
            TaskError: the task failed, or was canceled (its type is then `task-canceled`).
            TaskExpired: as `status`.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        wait = _MIN_POLL_INTERVAL
        while True:
            try:
                record = self._read(self._store.tasks.get)
                if record.status.done:
                    return self._outcome(record)
            except (*UNREACHABLE, StoreUnavailable):
                wait = _MAX_POLL_INTERVAL
            left = wait if deadline is None else deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"The task {self.id} has not ended within {timeout:g} seconds.")
            time.sleep(min(wait, left))
            wait = min(_MAX_POLL_INTERVAL, wait * 1.5)

    def read_file(self, name: str) -> bytes:
        """Read a file that the task has saved.

        Raises:
            KeyError: it has saved no file of this name.
            TaskExpired, StoreUnavailable: as `status`.
        """
        with _as_coatcheck_errors():
            files = {file["name"]: file["key"] for file in self._read(self._store.tasks.get).files}
            return b"".join(self._store.blobs.read(files[name]))

    def cancel(self) -> None:
        """Cancel the task, or ask it to stop. A task that has ended does not change.

        Raises:
            StoreUnavailable: as `status`.
        """
        with _as_coatcheck_errors():
            self._store.tasks.cancel(self.id)

    def _read(self, read: Callable[[str], Record | None]) -> Record:
        record = read(self.id)
        if record is None:
            raise TaskExpired(f"The task {self.id} is unknown, or its record was deleted.")
        return record

    def _outcome(self, record: Record) -> Any:
        if record.status is Status.SUCCEEDED:
            return pydantic_core.from_json(self._store.tasks.result(record))
        if record.error is None:
            raise TaskError("task-canceled", f"The task {self.id} was canceled.")
        raise TaskError(record.error["type"].rpartition("/")[2], record.error["detail"])


class Client:
    """Submits tasks to one store. Threads may share it, and forked processes."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def ticket(self, task_id: str) -> Ticket:
        return Ticket(self.store, task_id)

    def submit(
        self,
        task: str,
        arguments: Mapping[str, Any],
        *,
        owner: str,
        idempotency_key: IdempotencyKey | None = None,
        request_id: str = "",
        trace: Trace = NO_TRACE,
        queue: str = "",
    ) -> Ticket:
        """Store a task and return its ticket. `arguments` has its parameters and the options of a submit, by name.
        `queue` replaces that of the task type.

        Raises:
            CoatcheckError: nothing was stored: `UnknownTaskType`, `InvalidInput`, `QuotaExceeded`, `StoreUnavailable`
                and the other reasons for which HTTP refuses a submit.
        """
        parameters = {name: value for name, value in arguments.items() if name not in OptionsIn.model_fields}
        option_values = {name: value for name, value in arguments.items() if name in OptionsIn.model_fields}
        options = parse_options(option_values, "options", allow_private=self.store.settings.allow_private_addresses)
        definition = find_definition(task)
        if queue:
            definition = replace(definition, queue=queue)
        submission = Submission(self.store, definition, owner, request_id, options, idempotency_key, trace)
        with _as_coatcheck_errors(), submission:
            accepted = submission.submit(self._input(submission, parameters))
            return Ticket(self.store, accepted.record.id)

    def submit_of(self, attempt: Attempt) -> Submit:
        """Return the function by which an attempt of a task submits others, each of them once in all attempts."""

        def submit(task: str, arguments: Mapping[str, Any], key: str) -> str:
            idempotency_key = IdempotencyKey(attempt.owner, f"task {attempt.id} {key}", compared=False)
            origin: dict[str, Any] = {"request_id": attempt.request_id, "trace": attempt.trace}
            ticket = self.submit(task, arguments, owner=attempt.owner, idempotency_key=idempotency_key, **origin)
            return ticket.id

        return submit

    def _input(self, submission: Submission, parameters: Mapping[str, Any]) -> TaskInput:
        uploads = submission.definition.uploads
        fields = {
            name: _received(submission.uploads, value)
            if name in uploads
            else pydantic_core.from_json(input_json(value, [name]))
            for name, value in parameters.items()
        }
        allow_private = self.store.settings.allow_private_addresses
        return submission.definition.validate_fields(fields, allow_private=allow_private)


@contextmanager
def _as_coatcheck_errors() -> Iterator[None]:
    """Convert an outage to the one error that callers handle."""
    try:
        yield
    except UNREACHABLE as error:
        raise store_error(error) or error from error


def _received(uploads: IncomingUploads, value: Any) -> Any:
    """Store a caller's file. Return any other value as it is, for the validation."""
    if isinstance(value, list | tuple):
        return [_received(uploads, each) for each in value]
    if isinstance(value, bytes | bytearray):
        return uploads.receive("", "", [bytes(value)] if value else [])
    if isinstance(value, Path):
        with value.open("rb") as file:
            return uploads.receive(value.name, "", _chunks(file))
    if isinstance(value, Upload):
        with value.open() as file:
            return uploads.receive(value.filename, value.media_type, _chunks(file))
    if not hasattr(value, "read"):
        return value
    if getattr(value, "seekable", bool)():
        value.seek(0)  # it may be a second try, after an outage
    # An open file, Werkzeug's `FileStorage`, or Django's `UploadedFile`.
    name = getattr(value, "filename", None) or getattr(value, "name", None)
    media_type = getattr(value, "content_type", None) or ""
    return uploads.receive(PurePath(name).name if isinstance(name, str) else "", media_type, _chunks(value))


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk
