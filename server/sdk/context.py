"""The objects that a task function works with: uploads, output files, and a context to report progress."""

import hashlib
import io
import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, ParamSpec, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict

from server.logs import event, redact
from server.sdk.errors import Canceled, TaskError, text_of
from server.sdk.file_names import MAX_FILE_NAME_LENGTH, file_name, is_media_type
from server.sdk.output import OutputWriter, item_type
from server.sdk.steps import PREFIX, Steps
from server.sdk.uploads import Upload
from server.settings import Settings
from server.store import Store
from server.store.blobs.base import BlobStore
from server.store.connection import UNREACHABLE, until_available
from server.store.errors import BytesExceeded, StorageFull
from server.store.tasks import MAX_LINE_LENGTH, Attempt

__all__ = ["Context", "OutputFile", "Upload"]

_CHUNK = 2**18
_UNCHECKED_RESULT = 2**14  # results of up to this length are counted without a check, which costs a round trip
_ANY_ITEM = item_type(Any)  # of the items of a function that does not yield, and so declares no type for them
P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)


class OutputFile(BaseModel):
    """A file in a task's result. An image also has `width` and `height` in pixels."""

    model_config = ConfigDict(extra="allow")
    name: str
    media_type: str
    bytes: int
    sha256: str
    href: str


#: Submits a task by its name, with its input and options, once for each key. Returns its id.
Submit = Callable[[str, Mapping[str, Any], str], str]


class Context:
    """The connection of a running task to its record. Each attempt has its own."""

    report_every = 0.1  # seconds between two progress reports that are stored; those in between are dropped

    def __init__(self, store: Store, attempt: Attempt, submit: Submit) -> None:
        self._store = store
        self._attempt = attempt
        self._submit = submit
        self._submitted = 0
        self._reported = 0.0
        append = partial(store.tasks.append_output, attempt.id, attempt.lease_token)
        self.output = OutputWriter(append, self.settings.storage_wait_seconds)
        self._steps = Steps(self._all_checkpoints, self.checkpoint)
        self.files: dict[str, OutputFile] = {}

    @property
    def task_id(self) -> str:
        """The task's id, as the client knows it."""
        return self._attempt.id

    @property
    def owner(self) -> str:
        return self._attempt.owner

    @property
    def traceparent(self) -> str:
        """The `traceparent` of the request that submitted the task (W3C Trace Context), or nothing."""
        return self._attempt.trace.parent

    @property
    def tracestate(self) -> str:
        """The `tracestate` of that request, or nothing."""
        return self._attempt.trace.state

    @property
    def settings(self) -> Settings:
        """The server's settings; a task reads its own from them."""
        return self._store.settings

    @property
    def deliveries(self) -> int:
        """How often a worker has started the task, with this attempt."""
        return self._attempt.deliveries

    @property
    def retries(self) -> int:
        """The number of failed attempts before this one."""
        return self._attempt.retries

    def progress(self, done: float, total: float, message: str = "") -> None:
        """Report the task's progress: `done` of `total`, in any unit.

        Raises:
            Canceled: the client has canceled the task, or another attempt runs it. Do not catch it.
        """
        is_final = done >= total
        if not is_final and time.monotonic() - self._reported < self.report_every:
            return
        self._reported = time.monotonic()
        if self._report(_progress(done, total, message)) != "run":
            raise Canceled

    def should_stop(self) -> bool:
        """Whether the client has canceled the task; for functions that clean up first."""
        return self._report(None) != "run"

    def _report(self, progress: dict[str, Any] | None, line: str = "") -> str:
        try:
            return self._store.tasks.progress(self._attempt.id, self._attempt.lease_token, progress, line)
        except (*UNREACHABLE, StorageFull):  # a lost report is not worth a failed task
            return "run"

    def emit(self, item: Any) -> None:
        """Add an item to the task's output, which clients read while the task runs; as `yield` in a task that yields.

        Raises:
            Canceled: the client has canceled the task, or another attempt runs it. Do not catch it.
            TaskError: `invalid-result` if it does not fit JSON, `result-too-large` above 1 MiB, `storage-full`.
        """
        self.output.add(_ANY_ITEM.to_json(item))

    def log(self, text: str, *, keep: bool = True) -> None:
        """Write a line to the worker's log, with the task's id, and to the task's events unless `keep` is false."""
        event(log, "task.log", **self._attempt.log_ids, text=text)
        if keep:
            self.keep_line(text)

    def keep_line(self, text: str) -> None:
        """Write a line to the task's events alone."""
        self._report(None, redact(text))

    def step(self, name: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function once in all attempts of this task, and return its value; `await` the step of an `async def`.

        A later attempt, for example after a crash, gets the stored value without a call. A function that raises is
        called again; so is one whose worker died before its value was stored. A retry by a client is a new task, which
        repeats all steps. The value becomes JSON and the function's declared return type again.

        Raises:
            Canceled, TaskError: as `checkpoint`; `invalid-result` if the value does not fit its declared type or JSON,
                `result-too-large` above 4 MiB for all steps together.
            ValueError: a step with this name has ended in this attempt.
        """
        value: T = self._steps.run(name, function, args, kwargs)
        return value

    def checkpoint(self, key: str, value: str) -> None:
        """Store a value for a later attempt of this task, for example after a crash. Waits during an outage of Redis.

        Raises:
            Canceled: the value is stored, but the client has canceled the task, or another attempt runs it.
            TaskError: `storage-full`, as for `save`.
        """
        save = partial(self._store.tasks.save_checkpoint, self._attempt.id, self._attempt.lease_token, key, value)
        try:
            state = until_available(save, storage_wait_seconds=self.settings.storage_wait_seconds)
        except StorageFull:
            raise _storage_full() from None
        if state != "run":
            raise Canceled

    def checkpoints(self) -> dict[str, str]:
        """The values that earlier attempts stored, including those of the task that this one retries."""
        return {key: text for key, text in self._all_checkpoints().items() if not key.startswith(PREFIX)}

    def _all_checkpoints(self) -> dict[str, str]:
        return until_available(lambda: self._store.tasks.checkpoints(self._attempt.id))

    def submit(self, task: str, parameters: Mapping[str, Any] | None = None, /, *, key: str = "", **more: Any) -> str:
        """Submit another task for the same owner, with parameters and options as `server.submit`. Return its id.

        A repeated attempt does not submit it again: it gets the id of the first task. Its position among this attempt's
        submits identifies it, or `key` where the order may differ. Waits during an outage of Redis.

        Raises:
            CoatcheckError: as `server.submit`.
        """
        self._submitted += 1
        name = f"key {key}" if key else str(self._submitted)
        return until_available(lambda: self._submit(task, {**(parameters or {}), **more}, name))

    def submit_many(self, tasks: Iterable[tuple[str, Mapping[str, Any]]]) -> list[str]:
        """Submit several tasks, each a name with its parameters and options. Return their ids.

        Raises:
            CoatcheckError: as `submit`; the tasks before it are stored.
        """
        return [self.submit(task, arguments) for task, arguments in tasks]

    def save(self, name: str, data: bytes | BinaryIO | Path, media_type: str, **extra: Any) -> OutputFile:
        """Store a file as part of the result. Return it, or put it anywhere in the function's result.

        `name` is the last path segment of its address; `extra` adds fields to the file's own.

        Raises:
            TaskError: `storage-full`: there was no space, also after `STORAGE_WAIT_SECONDS`, or the owner's quota is
                exceeded.
            ValueError: the name is not valid or too long, or the media type is not valid.
        """
        if not name or file_name(name) != name:
            limit = f"at most {MAX_FILE_NAME_LENGTH} bytes"
            raise ValueError(f"a file name must be one printable path segment of {limit}, not {name!r}")
        if not is_media_type(media_type, parameters=True):
            raise ValueError(f"a media type must be like 'image/png', not {media_type!r}")
        # The key contains the attempt: one that lost its lease must not overwrite files of the newer attempt.
        key = f"{self._attempt.id}/{self._attempt.deliveries}-{name}"
        try:
            check = partial(self._check_quota, replaced=name)
            size, sha256 = _save(self._store.blobs, key, data, self.settings.storage_wait_seconds, check)
        except StorageFull:
            raise _storage_full() from None
        href = f"/tasks/{self._attempt.id}/files/{quote(name, safe='')}"
        file = OutputFile(name=name, media_type=media_type, bytes=size, sha256=sha256, href=href, **extra)
        self.files[name] = file
        return file

    def check_result(self, length: int) -> None:
        """Raise `storage-full` if a result of this length does not fit in the owner's quota."""
        if length > _UNCHECKED_RESULT:
            until_available(lambda: self._check_quota(length))

    def _check_quota(self, added_bytes: int, replaced: str = "") -> None:
        saved_bytes = sum(file.bytes for name, file in self.files.items() if name != replaced)
        try:
            self._store.tasks.check_quota(self.owner, saved_bytes + added_bytes)
        except BytesExceeded as error:
            raise TaskError("storage-full", error.detail) from None

    def stored_files(self) -> list[dict[str, Any]]:
        """The description of the files for the record: enough to serve them without reading the result."""
        prefix = f"{self._attempt.id}/{self._attempt.deliveries}-"
        return [
            {"name": f.name, "key": prefix + f.name, "media_type": f.media_type, "bytes": f.bytes, "sha256": f.sha256}
            for f in self.files.values()
        ]


def _progress(done: float, total: float, message: object) -> dict[str, Any]:
    """A report that every status can show, whatever the function reports: JSON has no infinity and no NaN."""
    done, total = (each if math.isfinite(each) else 0 for each in (done, total))
    percent = int(min(100, max(0, 100 * done / total))) if total > 0 else 0
    text = redact(text_of(message))[:MAX_LINE_LENGTH]
    return {"done": done, "total": total, "percent": percent, "message": text}


def _storage_full() -> TaskError:
    return TaskError("storage-full", "There is no space to store the output of the task.")


def _save(
    blobs: BlobStore, key: str, data: bytes | BinaryIO | Path, storage_wait_seconds: float, check: Callable[[int], None]
) -> tuple[int, str]:
    """Store the data and return its size and hash. Retry during an outage, and for a while when the storage is full.

    Data that cannot be read a second time is not retried. `check` may refuse the size.
    """
    stream = None if isinstance(data, bytes | bytearray | memoryview | Path) else data
    start = stream.tell() if stream is not None and stream.seekable() else None

    def save() -> tuple[int, str]:
        if stream is not None and start is not None:
            stream.seek(start)
        digest, size = hashlib.sha256(), 0
        with blobs.writer(key) as writer, _opened(data) as file:
            while chunk := file.read(_CHUNK):
                writer.write(chunk)
                digest.update(chunk)
                size += len(chunk)
            check(size)  # before the end of the block, so that a refused file leaves nothing behind
        return size, digest.hexdigest()

    return (
        save()
        if stream is not None and start is None
        else until_available(save, storage_wait_seconds=storage_wait_seconds)
    )


def _opened(data: bytes | BinaryIO | Path) -> AbstractContextManager[BinaryIO]:
    if isinstance(data, bytes | bytearray | memoryview):
        return io.BytesIO(data)
    return data.open("rb") if isinstance(data, Path) else nullcontext(data)
