"""Blobs in an S3-compatible object store, through obstore: <prefix>/<task id>/<escaped name>.

obstore runs its requests on threads of its own, made at the first request. A fork copies no threads, so in a child
every call would wait for ever; on a store object made after the fork too, because the threads belong to the loaded
library and not to the store (seen with obstore 0.12.1). It does happen: Celery's main process sweeps blobs and forks
pool children. So the store is made at its first use in each process, and a child whose parent has used obstore loads
a second copy of the library for itself (20 ms).

What a killed writer leaves in the store is the parts of an unfinished upload. No key shows them, and obstore cannot
list them: the bucket needs a lifecycle rule, AbortIncompleteMultipartUpload after a day.
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

PART_BYTES = 5 * 1024 * 1024  # S3 takes no smaller part but the last, and 10,000 parts: blobs of up to 48 GiB
READ_BYTES = 4 * 1024 * 1024  # of one request, held by a reader: a stream would time out under a slow client
CLIENT: dict[str, Any] = {
    "allow_http": True,  # it allows an endpoint that is set as http://; the default endpoints are https
    "connect_timeout": timedelta(seconds=2),
    "timeout": timedelta(seconds=30),
}
RETRIES: dict[str, Any] = {"max_retries": 3, "retry_timeout": timedelta(seconds=10)}

log = logging.getLogger(__name__)

_libraries: dict[int, ModuleType] = {}  # by process id; a parent's entries keep its objects from being torn down here
_locks: dict[int, threading.Lock] = {}  # by process id too: a lock that was held at the fork would stay held


class ObjectBlobs:
    """The blob store in an S3 bucket. Credentials, endpoint and region: the usual AWS_* variables, read by obstore.

    StoreUnavailable: the store is out of reach or refuses. The reason may hold the endpoint, so it is in the log alone.
    A writer holds about 6 MiB and not 1, whatever the size of the blob: S3 takes no smaller parts than 5.
    """

    def __init__(self, bucket: str, prefix: str = "") -> None:
        """`prefix`: where in the bucket the blobs are, without slashes at its ends; "" for all of the bucket."""
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

    def copy(self, source: str, target: str) -> None:
        origin, path = _path(source), _path(target)
        if source == target:  # S3 refuses that
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
        # S3 lists keys in order, so all of a task come together.
        for task_id, blobs in groupby(self._all(), lambda meta: meta["path"].partition("/")[0]):
            if is_task_id(task_id):
                yield task_id, max(meta["last_modified"].timestamp() for meta in blobs)

    def _all(self) -> Iterator[Any]:
        with _errors():
            for page in _library().list(self.store, chunk_size=1000):
                yield from page

    @property
    def store(self) -> Any:
        """The store object of this process."""
        pid = os.getpid()
        if pid not in self._stores:
            self._stores[pid] = _library().store.S3Store(
                self._bucket, prefix=self._prefix, client_options=CLIENT, retry_config=RETRIES
            )
        return self._stores[pid]

    def _chunks(self, key: str, e_tag: str | None, start: int, stop: int) -> Iterator[bytes]:
        while start < stop:
            end = min(start + READ_BYTES, stop)
            # `if_match` refuses another blob that has come under the key: two would be spliced into one.
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

    def _put(self, chunk: bytes) -> None:
        with _errors():
            self._open().write(chunk)

    def _commit(self) -> None:
        with _errors():
            self._open().close()

    def _discard(self) -> None:
        # It has no abort(), but leaving its `with` by an exception is one. Suppressed: out of reach, or closed already.
        with suppress(Exception):
            if self._upload is not None:
                self._upload.__exit__(InterruptedError, InterruptedError(), None)


@contextmanager
def _errors(key: str | None = None) -> Iterator[None]:
    """Raise as the contract says what obstore raises: BlobMissing where a key is read, else StoreUnavailable."""
    errors = _library().exceptions
    try:
        yield
    except (FileNotFoundError, errors.PreconditionError) as error:
        if key is not None:
            raise BlobMissing(key) from None
        raise _unavailable("The object store has no such bucket.", error) from error
    except (errors.BaseError, OSError) as error:  # of a writer it is an OSError
        raise _unavailable("The object store cannot be reached.", error) from error


def _unavailable(detail: str, error: Exception) -> StoreUnavailable:
    event(log, "blobs.unreachable", level=logging.WARNING, reason=error)
    return StoreUnavailable(detail)


def _path(key: str) -> str:
    task_id, name = split_key(key)
    return f"{task_id}/{escape(name)}"


def _library() -> Any:
    """The package obstore, in a copy that works in this process."""
    pid = os.getpid()
    if pid not in _libraries:
        with _locks.setdefault(pid, threading.Lock()):
            if pid not in _libraries:
                if _libraries:  # of a parent
                    _load_again()
                importlib.import_module("obstore.store")
                _libraries[pid] = importlib.import_module("obstore")
    return _libraries[pid]


def _load_again() -> None:
    """Put a second copy of obstore's library in the place of the first, with no threads yet.

    From another file, since the system's loader gives the library that it has for a file that it knows.
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
