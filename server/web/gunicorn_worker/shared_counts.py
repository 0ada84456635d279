"""Counts of all web processes in shared memory, one number per process: of waiting requests, and of connections.

All processes accept from one socket. Without the second count, when many clients connect at the same time, the process
that runs then accepts them all: 16 clients who kept their connections had one process, and one core, to themselves.
"""

import mmap
import threading
from collections.abc import Callable
from functools import cache
from typing import Literal

_PROCESSES = 1024

#: A process that has this many more connections than another one leaves the next connection to it.
_MIN_LEAD = 2


class Counts:
    """The counts of all workers. Gunicorn's arbiter creates them before it forks; a worker's `age` is its index."""

    def __init__(self) -> None:
        self._counts = memoryview(mmap.mmap(-1, 4 * _PROCESSES)).cast("i")

    def total(self) -> int:
        """Return the sum over all processes."""
        return sum(self._counts)

    def add(self, age: int, number: int) -> None:
        """Add `number` to the count of one process."""
        self._counts[age % _PROCESSES] += number

    def set(self, age: int, number: int) -> None:
        """Set the count of one process."""
        self._counts[age % _PROCESSES] = number

    def get(self, age: int) -> int:
        """Return the count of one process."""
        return self._counts[age % _PROCESSES]

    def others(self, age: int) -> list[int]:
        """Return the ages of the other processes whose count is not 0."""
        return [other for other, number in enumerate(self._counts) if number and other != age % _PROCESSES]


@cache
def counts(name: Literal["waiting", "connections"]) -> Counts:
    """Return one of the counts. The arbiter must call this first, so that all workers inherit the memory."""
    return Counts()


class SharedWaitingSlots:
    """The slots for waiting requests, as one worker uses them. All web processes together have up to `limit`."""

    def __init__(self, age: int, limit: int, alive: Callable[[], bool]) -> None:
        self._counts = counts("waiting")
        self._age = age
        self._limit = limit
        self._alive = alive
        self._lock = threading.Lock()
        self._counts.set(age, 0)

    def acquire(self) -> bool:
        """Acquire a slot. Return False if none is free, or if the worker stops."""
        with self._lock:
            if not self._alive() or self._counts.total() >= self._limit:
                return False
            self._counts.add(self._age, 1)
        return True

    def release(self) -> None:
        """Release a slot for another request."""
        with self._lock:
            self._counts.add(self._age, -1)

    def in_use(self) -> int:
        """Return the number of slots in use in all web processes."""
        return self._counts.total()


class Balance:
    """Compares the connections of this process with those of the others. The arbiter creates it, before the fork."""

    def __init__(self, age: int) -> None:
        self._counts = counts("connections")
        self._age = age
        self._others: list[int] = []

    def publish(self, connections: int) -> None:
        """Tell the others how many connections this process has."""
        self._counts.set(self._age, connections + 1)  # 0 means that there is no process

    def refresh(self) -> None:
        """Read which other processes there are. Call it regularly, because processes start and stop."""
        self._others = self._counts.others(self._age)

    def is_ahead(self) -> bool:
        """Return whether another process should accept the next connection."""
        mine = self._counts.get(self._age)
        return any(0 < self._counts.get(other) <= mine - _MIN_LEAD for other in self._others)

    def withdraw(self) -> None:
        """Tell the others that this process accepts no more connections."""
        self._counts.set(self._age, 0)
