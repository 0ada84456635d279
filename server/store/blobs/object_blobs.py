"""Blobs in an S3-compatible object store, through obstore: <prefix>/<task id>/<escaped name>.

obstore runs its requests in its own threads, which it creates at the first request. A fork copies no threads, so every
call in a child would wait forever; a store object created after the fork does too, because the threads belong to the
loaded library and not to the store (seen with obstore 0.12.1). This happens in practice: Celery's main process deletes
blobs and forks pool children. So the store is created at its first use in each process, and a child whose parent has
used obstore loads its own second copy of the library (20 ms).

A killed writer leaves the parts of an unfinished upload in the store. No key shows them, and obstore cannot list them:
the bucket needs a lifecycle rule, AbortIncompleteMultipartUpload after a day.
"""

import importlib
import logging
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from importlib.machinery import PathFinder
from importlib.util import module_from_spec, spec_from_file_location
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from server.logs import event
from server.store.blobs.base import CHUNK_BYTES, BlobWriter, clip, escape, is_task_id, split_key, split_prefix
from server.store.errors import BlobMissing, StoreUnavailable

if TYPE_CHECKING:
    from obstore import WritableFile

PART_BYTES = 5 * 1024 * 1024  # S3's minimum for all but the last of 10,000 parts: blobs of up to 48 GiB
READ_BYTES = 4 * 1024 * 1024  # per request, kept in memory by a reader: a stream would time out with a slow client
CLIENT: dict[str, Any] = {
    "allow_http": True,  # allows an endpoint that is configured as http://; the default endpoints are https
    "connect_timeout": timedelta(seconds=2),
    "timeout": timedelta(seconds=30),
}
RETRIES: dict[str, Any] = {"max_retries": 3, "retry_timeout": timedelta(seconds=10)}

log = logging.getLogger(__name__)

_libraries: dict[int, ModuleType] = {}  # by process id; a parent's entries keep its objects from being destroyed here
_locks: dict[int, threading.Lock] = {}  # by process id, because a lock that was held at the fork would stay held


class ObjectBlobs:
    """The blob store in an S3 bucket. obstore reads credentials, endpoint and region from the usual AWS_* variables.

    StoreUnavailable: the store is unreachable or refuses. Only the log has the reason, which may contain the endpoint.
    A writer uses about 6 MiB of memory instead of 1, because S3's parts have at least 5.
    """

    def __init__(self, bucket: str, prefix: str = "") -> None:
        """Create the store; `prefix` is the path of the blobs in the bucket, without slashes at its ends, or ""."""
        self._bucket = bucket
        self._prefix = prefix or None
        self._stores: dict[int, Any] = {}

    def writer(self, key: str) -> BlobWriter:
        return _ObjectWriter(self, _path(key))

    def size(self, key: str) -> int:
        with _errors(key):
            return int(_library().head(self.store, _path(key))["size"])

    def read(self, key: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        with _errors(key):
            meta = _library().head(self.store, _path(key))
        start, stop = clip(meta["size"], start, stop)
        return self._chunks(key, meta["e_tag"], start, stop)

    def load(self, key: str) -> bytes:
        return b"".join(self.read(key))

    def copy(self, source: str, target: str) -> None:
        origin, path = _path(source), _path(target)
        if source == target:  # S3 refuses this copy
            self.size(source)
            return
        with _errors(source):
            _library().copy(self.store, origin, path)

    def delete(self, prefix: str) -> int:
        task_id, start = split_prefix(prefix)
        below = f"{task_id}/{escape(start)}"
        number = 0
        with _errors(prefix):
            for page in _library().list(self.store, task_id, chunk_size=1000):
                paths = [meta["path"] for meta in page if meta["path"].startswith(below)]
                if paths:
                    _library().delete(self.store, paths)
                    number += len(paths)
        return number

    def prefixes(self) -> Iterator[tuple[str, float]]:
        # S3 lists keys in order, so all blobs of a task are consecutive.
        for task_id, blobs in groupby(self._all(), lambda meta: meta["path"].partition("/")[0]):
            if is_task_id(task_id):
                yield task_id, max(meta["last_modified"].timestamp() for meta in blobs)

    def _all(self) -> Iterator[Any]:
        with _errors():
            for page in _library().list(self.store, chunk_size=1000):
                yield from page

    @property
    def store(self) -> Any:
        """Return this process's store object."""
        pid = os.getpid()
        if pid not in self._stores:
            self._stores[pid] = _library().store.S3Store(
                self._bucket, prefix=self._prefix, client_options=CLIENT, retry_config=RETRIES
            )
        return self._stores[pid]

    def _chunks(self, key: str, e_tag: str | None, start: int, stop: int) -> Iterator[bytes]:
        while start < stop:
            end = min(start + READ_BYTES, stop)
            # `if_match` refuses another blob under the same key: otherwise two would be mixed.
            options = {"range": (start, end), "if_match": e_tag}
            with _errors(key):
                data = memoryview(_library().get(self.store, _path(key), options=options).bytes())
            for at in range(0, len(data), CHUNK_BYTES):
                yield bytes(data[at : at + CHUNK_BYTES])
            start = end


class _ObjectWriter(BlobWriter):
    def __init__(self, blobs: ObjectBlobs, path: str) -> None:
        super().__init__()
        self._blobs = blobs
        self._path = path
        self._upload: WritableFile | None = None

    def _open(self) -> "WritableFile":
        if self._upload is None:
            blobs = self._blobs
            self._upload = _library().open_writer(blobs.store, self._path, buffer_size=PART_BYTES, max_concurrency=1)
        return self._upload

    def _put(self, pieces: list[memoryview]) -> None:
        with _errors():
            self._open().write(b"".join(pieces))

    def _commit(self, pieces: list[memoryview]) -> None:
        self._put(pieces)
        with _errors():
            self._open().close()

    def _discard(self) -> None:
        # It has no abort(), but an exception in its `with` aborts. Suppressed: the store is unreachable, or it is
        # closed.
        with suppress(Exception):
            if self._upload is not None:
                self._upload.__exit__(InterruptedError, InterruptedError(), None)


@contextmanager
def _errors(key: str | None = None) -> Iterator[None]:
    """Convert obstore's errors: to BlobMissing if a key is read, else to StoreUnavailable."""
    errors = _library().exceptions
    try:
        yield
    except (FileNotFoundError, errors.PreconditionError) as error:
        if key is not None:
            raise BlobMissing(key) from None
        raise _unavailable("The object store has no such bucket.", error) from error
    except (errors.BaseError, OSError) as error:  # a writer raises an OSError
        raise _unavailable("The object store cannot be reached.", error) from error


def _unavailable(detail: str, error: Exception) -> StoreUnavailable:
    event(log, "blobs.unreachable", level=logging.WARNING, reason=error)
    return StoreUnavailable(detail)


def _path(key: str) -> str:
    task_id, name = split_key(key)
    return f"{task_id}/{escape(name)}"


def _library() -> Any:
    """Return the package obstore, in a copy that works in this process."""
    pid = os.getpid()
    if pid not in _libraries:
        with _locks.setdefault(pid, threading.Lock()):
            if pid not in _libraries:
                if _libraries:  # loaded by a parent
                    _load_again()
                importlib.import_module("obstore.store")
                _libraries[pid] = importlib.import_module("obstore")
    return _libraries[pid]


def _load_again() -> None:
    """Replace obstore's library by a second copy, which has no threads yet.

    From another file, because the system's loader returns the loaded library for a file that it knows.
    """
    name = "obstore._obstore"
    spec = PathFinder.find_spec(name, sys.modules["obstore"].__path__)  # our own module may be a copy already
    assert spec is not None and spec.origin is not None
    for module in [module for module in sys.modules if module.partition(".")[0] == "obstore"]:
        del sys.modules[module]
    first = Path(spec.origin)
    with tempfile.NamedTemporaryFile(suffix=first.name) as file:
        with first.open("rb") as library:
            shutil.copyfileobj(library, file)
        file.flush()
        copy = spec_from_file_location(name, file.name)
        assert copy is not None and copy.loader is not None
        sys.modules[name] = module_from_spec(copy)
        copy.loader.exec_module(sys.modules[name])
