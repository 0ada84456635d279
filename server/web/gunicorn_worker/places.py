"""Counts of all web processes in shared memory, one number per process: of waiting requests, and of connections."""

import mmap
import threading
from collections.abc import Callable
from functools import lru_cache

_PROCESSES = 1024


class Counts:
    """The counts of all workers. Gunicorn's arbiter creates them before it forks; a worker's `age` is its index."""

    def __init__(self) -> None:
        self._counts = memoryview(mmap.mmap(-1, 4 * _PROCESSES)).cast("i")

    def taken(self) -> int:
        """Return the sum over all processes."""
        return sum(self._counts)

    def count(self, age: int, number: int) -> None:
        """Add `number` to the count of one process."""
        self._counts[age % _PROCESSES] += number

    def put(self, age: int, number: int) -> None:
        """Set the count of one process."""
        self._counts[age % _PROCESSES] = number

    def get(self, age: int) -> int:
        """Return the count of one process."""
        return self._counts[age % _PROCESSES]

    def others(self, age: int) -> list[int]:
        """Return the ages of the other processes whose count is not 0."""
        return [other for other, number in enumerate(self._counts) if number and other != age % _PROCESSES]

    def vacate(self, age: int) -> None:
        """Reset the count of a process that starts or has ended."""
        self._counts[age % _PROCESSES] = 0


@lru_cache(maxsize=1)
def counts() -> Counts:
    """Return the waiting requests. The arbiter must call this first, so that all workers inherit the memory."""
    return Counts()


@lru_cache(maxsize=1)
def connection_counts() -> Counts:
    """Return the connections, in the same way."""
    return Counts()


class Places:
    """The places for waiting requests, as one worker uses them."""

    def __init__(self, age: int, room: int, alive: Callable[[], bool]) -> None:
        self._counts = counts()
        self._age = age
        self._room = room
        self._alive = alive
        self._entering = threading.Lock()
        self._counts.vacate(age)

    def enter(self) -> bool:
        """Take a place. Return False if none is free, or if the worker stops."""
        with self._entering:
            if not self._alive() or self._counts.taken() >= self._room:
                return False
            self._counts.count(self._age, 1)
        return True

    def leave(self) -> None:
        """Release the place."""
        with self._entering:
            self._counts.count(self._age, -1)

    def taken(self) -> int:
        """Return the number of places in use in all web processes."""
        return self._counts.taken()
