"""Blobs in a folder: <root>/<task id>/<escaped name>. For web and worker on one machine, or on a shared disk."""

import errno
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from server.store.blobs.base import (
    CHUNK_BYTES,
    IDLE_SECONDS,
    BlobWriter,
    clip,
    escape,
    is_task_id,
    split_key,
    split_prefix,
)
from server.store.errors import BlobMissing, StorageFull, StoreUnavailable

SEGMENT = 200  # file systems allow 255 bytes in a file name, and an escaped name may be longer


class FolderBlobs:
    """The blob store in a folder. A committed blob is on the disk: the file and its directory are synced."""

    def __init__(self, root: str) -> None:
        """Create the store in `root`, an absolute path, which is created at the first write."""
        self._root = Path(root)
        self._writing = self._root / ".writing"  # a task id has no dot, so no task can have this name

    def writer(self, key: str) -> BlobWriter:
        return _FolderWriter(self, key, self._path(key))

    def size(self, key: str) -> int:
        with _disk_errors(key):
            return self._path(key).stat().st_size

    def read(self, key: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        with _disk_errors(key):
            file = self._path(key).open("rb", buffering=0)
        chunks = _chunks(file, start, stop)
        next(chunks)  # a generator that was never started would leave the file open
        return chunks

    def load(self, key: str) -> bytes:
        with _disk_errors(key):
            return self._path(key).read_bytes()

    def copy(self, source: str, target: str) -> None:
        origin, path = self._path(source), self._path(target)
        with _disk_errors():
            new = self.new_file()
        try:
            with _disk_errors():
                # Blobs never change in place, so a second link to the same bytes is a copy.
                os.link(origin, new)
                self.move_in(new, path)
        except (FileNotFoundError, StoreUnavailable):
            # The source does not exist, which read() reports; or the file system supports no more links to this file.
            chunks = self.read(source)
            with self.writer(target) as writer:
                for chunk in chunks:
                    writer.write(chunk)
        finally:
            # In POSIX, renaming one link of a file onto another keeps both.
            new.unlink(missing_ok=True)

    def delete(self, prefix: str) -> int:
        task_id, start = split_prefix(prefix)
        folder = self._root / task_id
        number = 0
        for parent, _, names in os.walk(folder, topdown=False):
            for name in names:
                path = Path(parent, name)
                if _joined(path.relative_to(folder)).startswith(escape(start)):
                    with suppress(FileNotFoundError), _disk_errors():
                        path.unlink()
                        number += 1
            with suppress(OSError):  # not empty, or already gone
                Path(parent).rmdir()
        return number

    def prefixes(self) -> Iterator[tuple[str, float]]:
        try:
            with _disk_errors():
                self._collect()
                entries = os.scandir(self._root)
        except FileNotFoundError:
            return
        with entries:
            for entry in entries:
                if is_task_id(entry.name):
                    with suppress(FileNotFoundError):
                        yield entry.name, entry.stat().st_mtime

    def new_file(self) -> Path:
        """Return a path for a new file, on the same file system as the blobs."""
        self._writing.mkdir(parents=True, exist_ok=True)
        return self._writing / secrets.token_hex(16)

    def move_in(self, new: Path, path: Path) -> None:
        """Make a finished file the blob at `path`, durably. FileNotFoundError: the file does not exist any more."""
        task = self._root / path.relative_to(self._root).parts[0]
        while True:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                new.replace(path)
                break
            except FileNotFoundError:
                # A concurrent delete() may have removed the empty folder: create it again, unless the file itself is
                # gone.
                if not new.exists():
                    raise
        with suppress(FileNotFoundError):  # already deleted again
            os.utime(task)  # the time that prefixes() returns; a link keeps the time of its origin
            folder = path.parent
            while folder != self._root.parent:
                _sync(folder)
                folder = folder.parent

    def _path(self, key: str) -> Path:
        task_id, name = split_key(key)
        escaped = escape(name)
        # "+" marks a continued segment; names cannot contain it, because it is escaped.
        while len(escaped) > SEGMENT:
            task_id, escaped = f"{task_id}/{escaped[:SEGMENT]}+", escaped[SEGMENT:]
        return self._root / task_id / escaped

    def _collect(self) -> None:
        """Delete the files of dead writers: those without a write for IDLE_SECONDS."""
        with suppress(FileNotFoundError):
            for entry in os.scandir(self._writing):
                with suppress(FileNotFoundError):
                    if entry.stat().st_mtime < time.time() - IDLE_SECONDS:
                        Path(entry.path).unlink()


class _FolderWriter(BlobWriter):
    def __init__(self, store: FolderBlobs, key: str, path: Path) -> None:
        super().__init__()
        self._store = store
        self._key = key
        self._path = path
        self._new: Path | None = None
        self._file = -1

    def _open(self) -> Path:
        if self._new is None:
            self._new = self._store.new_file()
            self._file = os.open(self._new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        return self._new

    def _put(self, pieces: list[memoryview]) -> None:
        with _disk_errors():
            self._open()
            for piece in pieces:
                rest = piece
                while rest:
                    rest = rest[os.write(self._file, rest) :]

    def _commit(self, pieces: list[memoryview]) -> None:
        self._put(pieces)
        with _disk_errors():
            new = self._open()
            os.fsync(self._file)
            self._close()
        with _disk_errors(self._key):  # missing: it was idle for too long, and was deleted
            self._store.move_in(new, self._path)

    def _discard(self) -> None:
        self._close()
        if self._new is not None:
            with suppress(OSError):
                self._new.unlink()

    def _close(self) -> None:
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)


def _chunks(file: FileIO, start: int, stop: int | None) -> Iterator[bytes]:
    """Yield nothing once, then the bytes of an open file. The end of the generator, at any time, closes the file."""
    with file:
        at, stop = clip(os.fstat(file.fileno()).st_size, start, stop)
        yield b""
        file.seek(at)
        while at < stop:
            with _disk_errors():
                chunk = file.read(min(CHUNK_BYTES, stop - at))
            if not chunk:
                return
            at += len(chunk)
            yield chunk


@contextmanager
def _disk_errors(key: str | None = None) -> Iterator[None]:
    """Convert a full disk or quota to StorageFull, and a broken disk to StoreUnavailable.

    With a key, a missing file is BlobMissing. Without one, FileNotFoundError passes: the caller decides.
    """
    try:
        yield
    except FileNotFoundError:
        if key is None:
            raise
        raise BlobMissing(key) from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull from error
        raise StoreUnavailable(f"The folder of BLOB_URL cannot be used: {error.strerror}.") from error


def _joined(path: Path) -> str:
    """Return the escaped name of a path below a task's folder."""
    return "".join(part.removesuffix("+") for part in path.parts)


def _sync(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
