"""The contract of all blob stores, and their common parts.

A blob is a sequence of bytes under a key "<task id>/<name>". It is written once, from start to end, and becomes visible
as a whole or not at all. Users may choose the name: any characters, "..", slashes; it never becomes a path.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import quote

CHUNK_BYTES = 256 * 1024
"""Maximum bytes of a piece that a reader returns. Redis keeps blobs in pieces of this size: with another value, the
stored blobs would be unreadable."""

IDLE_SECONDS = 900
"""Seconds without a new chunk after which a writer counts as dead and its chunks may be deleted."""

NAME_BYTES = 300
"""The longest name, in bytes of UTF-8: escaped, three times that, it still fits into the 1,024 bytes of an S3 key."""

_MAX_PIECES = 16
"""Maximum pieces that are stored as they came: more of them are joined first."""

_TASK_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class BlobWriter(ABC):
    """Writes the bytes of one blob. Use it in a `with` block, from one thread.

    A normal end of the block commits; an exception or `abort()` leaves nothing behind. A backend defines how to store a
    chunk (`_put`), to publish all chunks as one blob (`_commit`), and to drop them (`_discard`).
    """

    #: Bytes to gather before they are stored.
    gathered = CHUNK_BYTES

    def __init__(self) -> None:
        self._pieces: list[memoryview] = []
        self._free = self.gathered
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._closed:
            return
        if error_type is not None:
            self.abort()
            return
        try:
            self._commit(self._gathered_pieces())
        except BaseException:
            self.abort()
            raise
        self._closed = True

    def write(self, data: bytes | memoryview) -> int:
        """Append bytes, which must not change, and return their number. Any error except ValueError aborts the writer.

        Raises:
            StorageFull: the storage is full.
            ValueError: the writer has committed or aborted.
        """
        if self._closed:
            raise ValueError("This blob writer is closed.")
        rest = memoryview(data)
        try:
            while rest:
                piece, rest = rest[: self._free], rest[self._free :]
                self._pieces.append(piece)
                self._free -= len(piece)
                if not self._free:
                    self._put(self._gathered_pieces())
        except BaseException:
            # Also for a caller that catches this inside its `with`: an incomplete blob must never be committed.
            self.abort()
            raise
        return len(data)

    def abort(self) -> None:
        """Drop the written bytes. It never raises if the store is unreachable: cleanup deletes the rest later."""
        if not self._closed:
            self._closed = True
            self._pieces.clear()
            self._discard()

    def _gathered_pieces(self) -> list[memoryview]:
        pieces, self._pieces, self._free = self._pieces, [], self.gathered
        # Each piece costs a system call, or more.
        return pieces if len(pieces) <= _MAX_PIECES else [memoryview(b"".join(pieces))]

    @abstractmethod
    def _put(self, pieces: list[memoryview]) -> None:
        """Store the next bytes: pieces of `gathered` bytes in all."""

    @abstractmethod
    def _commit(self, pieces: list[memoryview]) -> None:
        """Store the last bytes, if there are any, and make the blob readable under its key, in one step."""

    @abstractmethod
    def _discard(self) -> None:
        """Drop all chunks, without raising if the store is unreachable."""


class BlobStore(Protocol):
    """Stores blobs.

    Every method raises ValueError for an invalid key (see `split_key`), and StoreUnavailable, or one of
    `server.store.connection.UNREACHABLE`, if the store is unreachable.
    """

    def writer(self, key: str) -> BlobWriter:
        """Create a writer for a blob; its commit replaces the blob under the key.

        The end of its `with` block raises BlobMissing if nothing was written for IDLE_SECONDS and cleanup deleted the
        chunks.
        """

    def size(self, key: str) -> int:
        """Return the size of the blob in bytes.

        Raises:
            BlobMissing: it does not exist.
        """

    def read(self, key: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Read the bytes from `start` up to, not including, `stop` (limited to the blob), at most CHUNK_BYTES at a
        time.

        Raises:
            BlobMissing: it does not exist; raised by this call, not by the first `next()`. A later `next()` raises it
                if the blob was deleted or replaced meanwhile, and this backend cannot continue with the old bytes.
            ValueError: a bound is negative.
        """

    def load(self, key: str) -> bytes:
        """Read the whole blob into memory, with fewer copies than `read`.

        Raises:
            BlobMissing: it does not exist, or was deleted or replaced meanwhile.
        """

    def copy(self, source: str, target: str) -> None:
        """Copy a blob to a second key, in one step.

        Raises:
            BlobMissing: `source` does not exist.
            StorageFull: the storage is full.
        """

    def delete(self, prefix: str) -> int:
        """Delete every blob whose key starts with "<prefix>/". Return their number, which may be 0."""

    def prefixes(self) -> Iterator[tuple[str, float]]:
        """Yield each task id with blobs, and the time of their latest change in Unix seconds; in no particular order.

        For maintenance, so it also deletes the chunks of dead writers. A task id may occur twice during writes.
        """


def is_task_id(text: str) -> bool:
    """Return whether the text can be the task id of a key. A bucket may also contain other objects."""
    return _TASK_ID.fullmatch(text) is not None


def split_key(key: str) -> tuple[str, str]:
    """Split "<task id>/<name>" into task id and name.

    Raises:
        ValueError: the key does not have this form, or the name is longer than NAME_BYTES.
    """
    task_id, slash, name = key.partition("/")
    if not (slash and name and is_task_id(task_id)):
        raise ValueError(f"A blob key is '<task id>/<name>', not {key!r}.")
    if len(name.encode()) > NAME_BYTES:
        raise ValueError(f"A blob's name has at most {NAME_BYTES} bytes.")
    return task_id, name


def split_prefix(prefix: str) -> tuple[str, str]:
    """Split a prefix into the task id and the beginning of the names ("" for all).

    Raises:
        ValueError: it does not start with a task id.
    """
    task_id, _, rest = prefix.partition("/")
    if not is_task_id(task_id):
        raise ValueError(f"A blob prefix starts with a task id, not {prefix!r}.")
    return task_id, f"{rest}/" if rest else ""


def escape(name: str) -> str:
    """Escape a name as one path segment of plain ASCII: no slash, no leading dot, and unique for each name.

    Characters are escaped one by one, so that `escape(a + b)` starts with `escape(a)`.
    """
    escaped = quote(name, safe="")
    return f"%2E{escaped[1:]}" if escaped.startswith(".") else escaped


def clip(size: int, start: int, stop: int | None) -> tuple[int, int]:
    """Limit the range to a blob of `size` bytes, with start <= stop.

    Raises:
        ValueError: a bound is negative.
    """
    if start < 0 or (stop is not None and stop < 0):
        raise ValueError("A range of a blob has no negative bounds.")
    stop = size if stop is None else min(stop, size)
    return min(start, stop), stop
