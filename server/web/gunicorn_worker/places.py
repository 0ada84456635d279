"""How many requests wait in all web processes together: a number for each process, in shared memory."""

import mmap
import threading
from collections.abc import Callable
from functools import lru_cache

_PROCESSES = 1024


class Counts:
    """Made by Gunicorn's arbiter before it forks. A worker's number is found by its age, its count of forks."""

    def __init__(self) -> None:
        self._counts = memoryview(mmap.mmap(-1, 4 * _PROCESSES)).cast("i")

    def taken(self) -> int:
        """By all processes."""
        return sum(self._counts)

    def count(self, age: int, number: int) -> None:
        """Add to a process's number."""
        self._counts[age % _PROCESSES] += number

    def vacate(self, age: int) -> None:
        """A process begins, or has ended: nobody waits there."""
        self._counts[age % _PROCESSES] = 0


@lru_cache(maxsize=1)
def counts() -> Counts:
    """The counts of this Gunicorn. First called in the arbiter, so that every worker inherits the same."""
    return Counts()


class Places:
    """The places as one worker's requests take them."""

    def __init__(self, age: int, room: int, alive: Callable[[], bool]) -> None:
        self._counts = counts()
        self._age = age
        self._room = room
        self._alive = alive
        self._entering = threading.Lock()
        self._counts.vacate(age)

    def enter(self) -> bool:
        """Take a place; False where all are taken, or the worker stops."""
        with self._entering:
            if not self._alive() or self._counts.taken() >= self._room:
                return False
            self._counts.count(self._age, 1)
        return True

    def leave(self) -> None:
        """Give the place back."""
        with self._entering:
            self._counts.count(self._age, -1)

    def taken(self) -> int:
        """How many places are taken in all web processes."""
        return self._counts.taken()
