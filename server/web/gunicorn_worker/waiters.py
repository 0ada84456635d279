"""Who waits for which task in this process: one Redis connection listens for all of them.

A change to a record is published on `t:<task id>` as one word: the new status, `progress`, `log` or `dropped`. A
watch is rung at each word that it asked for, and once more whenever its subscription begins to stand: at first, and
after a lost connection. So who looks at the record when rung, and then waits for the next ring, misses nothing.
"""

import contextlib
import ctypes
import logging
import os
import queue
import select
import threading
import time
from collections.abc import Callable
from typing import Any

import redis
from flask import current_app

from server.logs import event
from server.store.record import Status
from server.web.current import store

#: The words at which a task has ended, and those at which its status object is another.
ENDS = frozenset({*(status.value for status in Status if status.done), "dropped"})
CHANGES = frozenset({*(status.value for status in Status), "progress", "dropped"})
ALL = CHANGES | {"log"}

#: Seconds of silence after which Redis is asked whether it is there; after as many again the connection is renewed.
_TIMEOUT = 2.0

#: Seconds between two tries to reach a Redis that is gone.
_RETRY = 0.5

#: A channel on which nothing is published: a connection without any subscription would not be listened to.
_NOTHING = "t:"

log = logging.getLogger(__name__)


#: Where the application keeps its waiters among Flask's extensions.
_EXTENSION = "coatcheck.waiters"


class _PollFd(ctypes.Structure):
    _fields_ = (("fd", ctypes.c_int), ("events", ctypes.c_short), ("revents", ctypes.c_short))


#: `poll(2)` by a call that keeps the interpreter's lock: it does not wait, and to let go of the lock for it cost
#: half of the polls a second.
_poll = ctypes.PyDLL(None).poll


class Watch:
    """One waiter's ear at one task. `rung` says that it is time to look; `call` is called then, from any thread."""

    __slots__ = ("_waiters", "_words", "call", "rung", "task_id")

    def __init__(self, waiters: "Waiters", task_id: str, words: frozenset[str]) -> None:
        self._waiters = waiters
        self._words = words
        self.task_id = task_id
        self.rung = False
        self.call: Callable[[], object] | None = None

    def ring(self, word: str = "") -> None:
        """Note a word; the empty one concerns everybody."""
        if word and word not in self._words:
            return
        self.rung = True  # before `call` is read: who sets `call` looks at `rung` next
        if (call := self.call) is not None:
            call()

    def close(self) -> None:
        """Stop listening. May be called again."""
        self._waiters.forget(self)


class Waiters:
    """The watches of this process, and the thread that listens for them."""

    def __init__(self, connection: "redis.Redis") -> None:
        self._redis: Any = connection  # redis-py does not type its pub/sub
        self._lock = threading.Lock()
        self._watches: dict[str, set[Watch]] = {}
        #: Tasks that are subscribed to (the thread's own), and those of them that Redis has confirmed.
        self._subscribed: set[str] = set()
        self._standing: set[str] = set()
        #: Tasks to be subscribed to or no longer; a byte in the pipe says that there is something.
        self._changed: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._bell: tuple[int, int] | None = None
        #: The socket that is listened to, and whether the thread is taking what came in by it.
        self._ear: Any = None
        self._taking = False

    def watch(self, task_id: str, words: frozenset[str]) -> Watch:
        """Begin to listen; the watch is rung once nothing can be missed any more."""
        watch = Watch(self, task_id, words)
        with self._lock:
            self._start()
            self._watches.setdefault(task_id, set()).add(watch)
            stands = task_id in self._standing
        if stands:
            watch.ring()
        self._tell(task_id)
        return watch

    def hears(self, task_id: str) -> bool:
        """Whether every word of a task that Redis has sent until now has rung its watches."""
        if (ear := self._ear) is None:
            return False
        asked = _PollFd(ear.fileno(), select.POLLIN, 0)
        # In this order: what the thread has taken from the socket has rung, or the thread is still at it.
        quiet = asked.fd >= 0 and _poll(ctypes.byref(asked), 1, 0) == 0
        return quiet and not self._taking and task_id in self._standing

    def forget(self, watch: Watch) -> None:
        """Stop ringing a watch."""
        with self._lock:
            watches = self._watches.get(watch.task_id, set())
            watches.discard(watch)
            last = not watches and self._watches.pop(watch.task_id, None) is not None
        if last:
            self._tell(watch.task_id)

    def _start(self) -> None:
        if self._bell is None:
            self._bell = os.pipe()
            for end in self._bell:
                os.set_blocking(end, False)
            threading.Thread(target=self._listen, name="waiters", daemon=True).start()

    def _tell(self, task_id: str) -> None:
        assert self._bell is not None
        self._changed.put(task_id)
        with contextlib.suppress(BlockingIOError):  # full of bytes that say the same
            os.write(self._bell[1], b"\0")

    def _listen(self) -> None:
        while True:
            began = time.monotonic()
            try:
                with self._redis.pubsub() as pubsub:
                    self._attend(pubsub)
            except (redis.exceptions.RedisError, OSError) as error:
                event(log, "waiters.deaf", level=logging.WARNING, reason=error)
                time.sleep(max(0.0, began + _RETRY - time.monotonic()))

    def _attend(self, pubsub: Any) -> None:
        """Listen on one connection until it breaks.

        Only this thread touches the connection: a TLS connection cannot be read in one and written in another.
        """
        with self._lock:
            self._subscribed = set(self._watches)
        pubsub.subscribe(_NOTHING, *(f"t:{task_id}" for task_id in self._subscribed))
        self._ear = pubsub.connection._sock
        try:
            self._hear(pubsub)
        finally:
            with self._lock:
                self._standing.clear()
            self._ear, self._taking = None, False

    def _hear(self, pubsub: Any) -> None:
        heard, asked = time.monotonic(), False
        while True:
            self._wait(pubsub)
            self._taking = True
            self._change(pubsub)
            while (message := pubsub.get_message(timeout=0)) is not None:
                heard, asked = time.monotonic(), False
                self._take(message)
            if pubsub.connection._sock is not self._ear:
                raise redis.exceptions.ConnectionError("redis-py has connected anew")
            self._taking = False
            if time.monotonic() - heard > _TIMEOUT * (1 + asked):
                if asked:
                    raise redis.exceptions.TimeoutError("Redis is silent")
                asked = True
                pubsub.ping()

    def _wait(self, pubsub: Any) -> None:
        """Wait until there is something to do, or it is time to ask."""
        assert self._bell is not None
        poll = select.poll()
        poll.register(pubsub.connection._sock, select.POLLIN)
        poll.register(self._bell[0], select.POLLIN)
        poll.poll(_TIMEOUT * 1000)
        with contextlib.suppress(BlockingIOError):
            os.read(self._bell[0], 4096)

    def _change(self, pubsub: Any) -> None:
        """Subscribe to what is watched, unsubscribe from what is not."""
        changed = set()
        with contextlib.suppress(queue.Empty):
            while True:
                changed.add(self._changed.get_nowait())
        with self._lock:
            wanted = {task_id for task_id in changed if task_id in self._watches}
            unwanted = (changed - wanted) & self._subscribed
            self._standing -= unwanted
        if new := wanted - self._subscribed:
            pubsub.subscribe(*(f"t:{task_id}" for task_id in new))
        if unwanted:
            pubsub.unsubscribe(*(f"t:{task_id}" for task_id in unwanted))
        self._subscribed |= new
        self._subscribed -= unwanted

    def _take(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind not in ("message", "subscribe"):
            return
        task_id = message["channel"].decode().removeprefix("t:")
        with self._lock:
            watches = list(self._watches.get(task_id, ()))
            if kind == "subscribe" and task_id in self._subscribed:
                self._standing.add(task_id)
        word = message["data"].decode() if kind == "message" else ""
        for watch in watches:
            watch.ring(word)


def waiters() -> Waiters:
    """The waiters of the current application in this process."""
    found: Waiters | None = current_app.extensions.get(_EXTENSION)
    if found is None:
        found = current_app.extensions.setdefault(_EXTENSION, Waiters(store().redis))
    return found
