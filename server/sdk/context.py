"""What a task's function gets in hand: its uploads, and a context to report to and to save files with."""

import hashlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict

from server.logs import event
from server.sdk.errors import Canceled
from server.sdk.file_names import LONGEST, file_name, is_media_type
from server.sdk.uploads import Upload
from server.settings import Settings
from server.store import Store
from server.store.blobs.base import BlobStore
from server.store.connection import UNREACHABLE, patiently
from server.store.tasks import Attempt

__all__ = ["Context", "OutputFile", "Upload"]

#: Seconds between two progress reports that are written; those in between only replace what is written next.
REPORT_EVERY = 0.1

_CHUNK = 2**18

log = logging.getLogger(__name__)


class OutputFile(BaseModel):
    """A file that a task made, as it stands in its result. An image has `width` and `height` too (pixels)."""

    model_config = ConfigDict(extra="allow")
    name: str
    media_type: str
    bytes: int
    sha256: str
    href: str


class Context:
    """A running task's line to its record. One for each run."""

    def __init__(self, store: Store, attempt: Attempt) -> None:
        self._store = store
        self._attempt = attempt
        self._reported = 0.0
        self.files: dict[str, OutputFile] = {}

    @property
    def task_id(self) -> str:
        """The id that the client holds."""
        return self._attempt.id

    @property
    def owner(self) -> str:
        """Whose task it is."""
        return self._attempt.owner

    @property
    def settings(self) -> Settings:
        """The server's settings; a task reads those that are its own."""
        return self._store.settings

    @property
    def retries(self) -> int:
        """How often the function has failed before this run."""
        return self._attempt.retries

    def progress(self, done: float, total: float, message: str = "") -> None:
        """Report how far the task is: `done` of `total`, in any unit.

        Raises:
            Canceled: the client asked the task to stop (or another run has it); let it pass.
        """
        last = done >= total
        if not last and time.monotonic() - self._reported < REPORT_EVERY:
            return
        percent = min(100, int(100 * done / total)) if total > 0 else 0
        self._report({"done": done, "total": total, "percent": percent, "message": message})

    def should_stop(self) -> bool:
        """Whether the client asked the task to stop; for functions that have something to tidy up first."""
        return self._tell(None) != "run"

    def _report(self, progress: dict[str, Any]) -> None:
        self._reported = time.monotonic()
        if self._tell(progress) != "run":
            raise Canceled

    def _tell(self, progress: dict[str, Any] | None, line: str = "") -> str:
        try:
            return self._store.tasks.progress(self._attempt.id, self._attempt.lease_token, progress, line)
        except UNREACHABLE:  # a report is not worth a task: the next one may come through
            return "run"

    def log(self, text: str) -> None:
        """A line in the worker's log, with the task's id, and for those who listen to the task's events."""
        event(log, "task.log", task_id=self._attempt.id, request_id=self._attempt.request_id, text=text)
        self._tell(None, text)

    def checkpoint(self, key: str, value: str) -> None:
        """Note something for a later run of this task (after a crash, say), before going on; through an outage.

        Raises:
            Canceled: it is noted, and the client asked the task to stop (or another run has it); let it pass.
        """
        if (
            patiently(
                lambda: self._store.tasks.save_checkpoint(self._attempt.id, self._attempt.lease_token, key, value)
            )
            != "run"
        ):
            raise Canceled

    def checkpoints(self) -> dict[str, str]:
        """What earlier runs have noted, those of the task that this one is a retry of, too."""
        return patiently(lambda: self._store.tasks.checkpoints(self._attempt.id))

    def save(self, name: str, data: bytes | BinaryIO | Path, media_type: str, **extra: Any) -> OutputFile:
        """Keep a file as part of the result; return it, or put it anywhere into what the function returns.

        `name` is its last path segment on the wire; `extra` stands beside the file's own fields.

        Raises:
            ValueError: the name is none, or too long, or the media type is none.
        """
        if not name or file_name(name) != name:
            raise ValueError(f"a file's name is one printable path segment of {LONGEST} bytes at most, not {name!r}")
        if not is_media_type(media_type, parameters=True):
            raise ValueError(f"a media type is like 'image/png', not {media_type!r}")
        # The run's own part of the key: a run that lost its lease must not write into the newer run's files.
        key = f"{self._attempt.id}/{self._attempt.deliveries}-{name}"
        size, sha256 = _save(self._store.blobs, key, data)
        href = f"/tasks/{self._attempt.id}/files/{quote(name, safe='')}"
        file = OutputFile(name=name, media_type=media_type, bytes=size, sha256=sha256, href=href, **extra)
        self.files[name] = file
        return file

    def stored_files(self) -> list[dict[str, Any]]:
        """What the record keeps of the files: enough to serve them without reading the result."""
        prefix = f"{self._attempt.id}/{self._attempt.deliveries}-"
        return [
            {"name": f.name, "key": prefix + f.name, "media_type": f.media_type, "bytes": f.bytes, "sha256": f.sha256}
            for f in self.files.values()
        ]


def _save(blobs: BlobStore, key: str, data: bytes | BinaryIO | Path) -> tuple[int, str]:
    """Keep it, and say its size and hash; through an outage, where it can be read a second time."""
    if isinstance(data, bytes | bytearray | memoryview | Path):
        return patiently(lambda: _save_once(blobs, key, data))
    if not data.seekable():
        return _save_once(blobs, key, data)
    start = data.tell()

    def save_again() -> tuple[int, str]:
        data.seek(start)
        return _save_once(blobs, key, data)

    return patiently(save_again)


def _save_once(blobs: BlobStore, key: str, data: bytes | BinaryIO | Path) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with blobs.writer(key) as writer:
        for chunk in _chunks(data):
            writer.write(chunk)
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


def _chunks(data: bytes | BinaryIO | Path) -> Iterator[bytes]:
    if isinstance(data, Path):
        with data.open("rb") as file:
            yield from _chunks(file)
    elif isinstance(data, bytes | bytearray | memoryview):
        for start in range(0, len(data), _CHUNK):
            yield bytes(data[start : start + _CHUNK])
    else:
        while chunk := data.read(_CHUNK):
            yield chunk
