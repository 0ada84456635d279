"""A large body that the loop receives and a thread reads."""

import io
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Bytes that may wait for the thread; and the level below which the client is read again.
HIGH, LOW = 512 * 1024, 128 * 1024


class Upload(io.RawIOBase):
    """The raw stream behind `wsgi.input`: the loop feeds it, and one thread reads it and waits for more.

    The thread calls `read_more` when it begins to read, and whenever more may be read from the client.
    """

    def __init__(self, read_more: Callable[[], None]) -> None:
        super().__init__()
        self._read_more = read_more
        self._pieces: deque[memoryview] = deque()
        self._changed = threading.Condition()
        self._size = 0
        self._ended = False
        self._error: Exception | None = None
        #: Whether the thread only waits for the client, and whether it has begun to read.
        self.starved = False
        self.begun = False

    # -- the loop's side

    @property
    def full(self) -> bool:
        """Return whether the loop should stop reading from the client for now."""
        return self._size >= HIGH

    def feed(self, piece: bytes, *, ended: bool) -> None:
        """Add bytes from the client."""
        with self._changed:
            if piece:
                self._pieces.append(memoryview(piece))
                self._size += len(piece)
            self._ended = ended
            self._changed.notify()

    def fail(self, error: Exception) -> None:
        """Make the thread's next read raise this error."""
        with self._changed:
            self._error = error
            self._changed.notify()

    # -- the thread's side

    def readable(self) -> bool:
        """Return True, as `io.RawIOBase` requires of a readable stream."""
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        """Fill the buffer with the bytes available; return 0 at the end.

        Raises:
            TimeoutError: the client has stalled.
            ConnectionError: the client has disconnected, or its chunks are malformed.
        """
        with self._next_piece():
            return self._fill(memoryview(buffer).cast("B"))

    def read_piece(self, max_bytes: int) -> bytes:
        """Return up to `max_bytes`, without a copy if possible; empty at the end. Raises the errors of `readinto`."""
        with self._next_piece():
            if not self._pieces:
                return b""
            piece = self._pieces.popleft()
            if len(piece) > max_bytes:
                self._pieces.appendleft(piece[max_bytes:])
                piece = piece[:max_bytes]
            self._size -= len(piece)
            whole = piece.obj
            return whole if isinstance(whole, bytes) and len(whole) == len(piece) else bytes(piece)

    @contextmanager
    def _next_piece(self) -> Iterator[None]:
        """Wait for the client's next bytes, or the end; ask for more once the block has removed them."""
        if not self.begun:
            self.begun = True
            self._read_more()
        with self._changed:
            while not (self._pieces or self._ended or self._error):
                self.starved = True
                self._changed.wait()
            self.starved = False
            if self._error is not None:
                raise self._error
            before = self._size
            yield
        if before > LOW >= self._size:
            self._read_more()

    def _fill(self, buffer: memoryview) -> int:
        count = 0
        while self._pieces and count < len(buffer):
            piece = self._pieces.popleft()
            part = piece[: len(buffer) - count]
            buffer[count : count + len(part)] = part
            count += len(part)
            if len(part) < len(piece):
                self._pieces.appendleft(piece[len(part) :])
        self._size -= count
        return count


class UploadReader(io.BufferedReader):
    """`wsgi.input` of a large body. `read_piece` passes on the pieces without the copies of `read`."""

    raw: Upload

    def read_piece(self, max_bytes: int) -> bytes:
        """Return the next bytes as `Upload.read_piece`; only for a body that nothing else has begun to read."""
        return self.raw.read_piece(max_bytes)
