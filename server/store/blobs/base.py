"""What a blob store is: the contract that every backend keeps, and the parts that they share.

A blob is a sequence of bytes under a key "<task id>/<name>". It is written once, front to back, and appears whole or
not at all. The name is text that a user may have chosen: any characters, "..", slashes; it never becomes a path.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import quote

CHUNK_BYTES = 256 * 1024
"""Bytes that a writer gathers before it hands them on, and the most that a reader gives at once. Redis keeps blobs in
pieces of this size: another value makes the blobs that are already there unreadable."""

IDLE_SECONDS = 900
"""Seconds without a new chunk after which a writer counts as dead and what it left may be collected."""

NAME_BYTES = 300
"""The longest name, in bytes of UTF-8: escaped, three times that, it still fits into the 1,024 bytes of an S3 key."""

_TASK_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class BlobWriter(ABC):
    """Takes the bytes of one blob. Use it in a `with`, from one thread.

    Leaving the block normally commits; leaving it by an exception, or `abort()`, leaves nothing behind. A backend
    says how a chunk is stored (`_put`), how all become one blob (`_commit`), how they are dropped (`_discard`).
    """

    def __init__(self) -> None:
        # Joined when there is a chunk of them: gathered in a `bytearray`, each byte was copied twice more.
        self._pieces: list[memoryview] = []
        self._room = CHUNK_BYTES
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._closed:
            return
        if kind is not None:
            self.abort()
            return
        try:
            self._flush()
            self._commit()
        except BaseException:
            self.abort()
            raise
        self._closed = True

    def write(self, data: bytes) -> int:
        """Add bytes at the end, and say how many. After any error but ValueError the writer has aborted.

        Raises:
            StorageFull: there is no room.
            ValueError: the writer has committed or aborted.
        """
        if self._closed:
            raise ValueError("This blob writer is closed.")
        rest = memoryview(data)
        try:
            while rest:
                taken = rest[: self._room]
                self._pieces.append(taken)
                self._room -= len(taken)
                rest = rest[len(taken) :]
                if not self._room:
                    self._flush()
        except BaseException:
            # Also for a caller that catches this inside its `with`: a blob with a hole must never be committed.
            self.abort()
            raise
        return len(data)

    def abort(self) -> None:
        """Drop what was written. Never raises for a store out of reach: what stays is collected when it is idle."""
        if not self._closed:
            self._closed = True
            self._pieces.clear()
            self._discard()

    def _flush(self) -> None:
        if self._pieces:
            chunk = b"".join(self._pieces)
            self._pieces.clear()
            self._room = CHUNK_BYTES
            self._put(chunk)

    @abstractmethod
    def _put(self, chunk: bytes) -> None:
        """Store the next chunk: CHUNK_BYTES long, the last one shorter."""

    @abstractmethod
    def _commit(self) -> None:
        """Make the blob readable under its key, in one step."""

    @abstractmethod
    def _discard(self) -> None:
        """Drop all chunks, without raising when the store cannot be reached."""


class BlobStore(Protocol):
    """Where bytes live.

    Every method raises ValueError for what is no key (see `split_key`), and StoreUnavailable, or one of
    `server.store.connection.UNREACHABLE`, when the store is out of reach.
    """

    def writer(self, key: str) -> BlobWriter:
        """Make a writer for a blob; on commit it replaces what the key held.

        Its `with` raises BlobMissing on leaving where nothing was written for IDLE_SECONDS and cleanup took the rest.
        """

    def size(self, key: str) -> int:
        """Bytes of the blob.

        Raises:
            BlobMissing: there is none.
        """

    def read(self, key: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` up to, not including, `stop` (both cut to the blob), at most CHUNK_BYTES at once.

        Raises:
            BlobMissing: there is none, by this call and not by the first `next()`. By a later `next()`: the blob was
                deleted or replaced meanwhile, and this backend cannot go on with the old bytes.
            ValueError: a negative bound.
        """

    def copy(self, source: str, target: str) -> None:
        """Put the bytes of one blob under a second key too, in one step.

        Raises:
            BlobMissing: there is no `source`.
            StorageFull: there is no room.
        """

    def delete(self, prefix: str) -> int:
        """Delete every blob whose key starts with "<prefix>/", and say how many. None is no error."""

    def prefixes(self) -> Iterator[tuple[str, float]]:
        """Each task id that holds blobs, with the newest change to them in unix seconds; no order.

        For maintenance, so it also collects what dead writers left. A task id may come twice while others write.
        """


def is_task_id(text: str) -> bool:
    """Whether this can stand in front of a key. What cannot is not ours: a store may hold other things."""
    return _TASK_ID.fullmatch(text) is not None


def split_key(key: str) -> tuple[str, str]:
    """Task id and name of "<task id>/<name>".

    Raises:
        ValueError: it is not of that form, or the name is longer than NAME_BYTES.
    """
    task_id, slash, name = key.partition("/")
    if not (slash and name and is_task_id(task_id)):
        raise ValueError(f"A blob key is '<task id>/<name>', not {key!r}.")
    if len(name.encode()) > NAME_BYTES:
        raise ValueError(f"A blob's name has at most {NAME_BYTES} bytes.")
    return task_id, name


def split_prefix(prefix: str) -> tuple[str, str]:
    """Task id, and what the names below the prefix start with ("" for all).

    Raises:
        ValueError: there is no task id in front.
    """
    task_id, _, rest = prefix.partition("/")
    if not is_task_id(task_id):
        raise ValueError(f"A blob prefix starts with a task id, not {prefix!r}.")
    return task_id, f"{rest}/" if rest else ""


def escape(name: str) -> str:
    """The name as one path segment of plain ASCII: no slash, no leading dot, and different for different names.

    Character by character, so that `escape(a + b)` starts with `escape(a)`.
    """
    escaped = quote(name, safe="")
    return f"%2E{escaped[1:]}" if escaped.startswith(".") else escaped


def clip(size: int, start: int, stop: int | None) -> tuple[int, int]:
    """The range cut to a blob of `size` bytes, with start <= stop.

    Raises:
        ValueError: a negative bound.
    """
    if start < 0 or (stop is not None and stop < 0):
        raise ValueError("A range of a blob has no negative bounds.")
    stop = size if stop is None else min(stop, size)
    return min(start, stop), stop
