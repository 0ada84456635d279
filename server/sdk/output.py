"""The output of a running task: items that it emits before its end, sent to the store by a thread of their own.

The thread sends the items that wait, at most ten times a second, so that an item costs the function almost nothing,
and the last one before a long pause is not kept back.
"""

import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import aclosing, closing
from itertools import islice
from typing import Any

from server.sdk.errors import Canceled, TaskError
from server.sdk.results import ResultType
from server.store.connection import until_available
from server.store.errors import BytesExceeded, StorageFull

#: Maximum bytes of an item. A quarter of the bytes that are kept, so that some items are always there.
MAX_ITEM_BYTES = 2**20
_SEND_INTERVAL = 0.1  # seconds between two calls of the store

_MAX_ITEMS, _MAX_WAITING = 1_000, 2**20  # maximum items in one call, and bytes that wait before the function does

#: Appends items to the record; the number is that of the first one in this attempt. Returns `run`, `stop` or `lost`.
Append = Callable[[int, Sequence[bytes]], str]


def item_type(returns: Any) -> ResultType:
    return ResultType(returns, "An item of the output", MAX_ITEM_BYTES)


class OutputWriter:
    """Writes the output of one attempt. As a context it sends the remaining items at its end."""

    def __init__(self, append: Append, storage_wait_seconds: float) -> None:
        self._append = append
        self._storage_wait_seconds = storage_wait_seconds
        self._changed = threading.Condition()
        self._waiting: deque[bytes] = deque()
        self._bytes = self._stored = 0
        self._thread: threading.Thread | None = None
        self._closed = False
        self._error: BaseException | None = None  # the reason why no more items are accepted

    def add(self, item: bytes) -> None:
        """Add an item (JSON). Wait if the store is slower than the function. Raises Canceled or `storage-full`."""
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="output", daemon=True)
                self._thread.start()
            self._changed.wait_for(lambda: self._error or self._bytes < _MAX_WAITING)
            if self._error:
                raise self._error
            self._waiting.append(item)
            self._bytes += len(item)
            self._changed.notify_all()

    def __enter__(self) -> "OutputWriter":
        return self

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        """Send the remaining items; raises `storage-full` if nothing else ends the task."""
        if self._thread is None:
            return
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()
        if error_type is None and self._error and not isinstance(self._error, Canceled):
            raise self._error

    def _run(self) -> None:
        try:
            while self._send():
                pass
        except (BytesExceeded, StorageFull) as error:
            self._fail(TaskError("storage-full", error.detail or "There is no space to store the output of the task."))
        except BaseException as error:
            self._fail(error)

    def _send(self) -> bool:
        """Send the items that wait, as soon as there are any. Return False after the last ones."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            items = list(islice(self._waiting, _MAX_ITEMS))
        if not items:
            return False
        state = until_available(
            lambda: self._append(self._stored + 1, items), storage_wait_seconds=self._storage_wait_seconds
        )
        if state != "run":
            raise Canceled
        with self._changed:
            self._stored += len(items)
            for item in items:
                self._waiting.popleft()
                self._bytes -= len(item)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._closed or len(self._waiting) >= _MAX_ITEMS, _SEND_INTERVAL)
        return True

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            self._error = error
            self._changed.notify_all()


def emit_all(generator: Generator[Any, None, Any], emit: Callable[[Any], None]) -> Any:
    """Emit all items of a generator. Return its value."""
    with closing(generator):
        while True:
            try:
                item = next(generator)
            except StopIteration as end:
                return end.value
            emit(item)


async def emit_all_async(generator: AsyncGenerator[Any, Any], emit: Callable[[Any], None]) -> None:
    async with aclosing(generator):
        async for item in generator:
            emit(item)
