"""The time limits of connections: O(1) for each change, and no timer per connection.

All connections in a stage have the same limit, so the first to enter it is the first to exceed it: a dict, which keeps
the order of insertion, is enough.
"""

from enum import Enum
from itertools import takewhile
from typing import Generic, TypeVar

T = TypeVar("T")


class Stage(Enum):
    """A connection's reason to wait for its client, and the number of seconds that it may wait."""

    #: The next request.
    IDLE = "idle", 75.0
    #: The rest of a head.
    HEAD = "head", 10.0
    #: The rest of a small body.
    BODY = "body", 30.0
    #: Progress of a large body that a thread reads, or of an answer that the client reads.
    UPLOAD = "upload", 10.0
    WRITE = "write", 10.0
    #: After the last answer: the client's close, or the end of an unwanted body.
    LINGER = "linger", 2.0

    __hash__ = object.__hash__  # Enum's own is a function in Python, and each request needs four

    @property
    def seconds(self) -> float:
        """The number of seconds allowed in this stage."""
        return self.value[1]


class Deadlines(Generic[T]):
    """The connections that wait for their clients, by stage."""

    def __init__(self) -> None:
        self._since: dict[Stage, dict[T, float]] = {stage: {} for stage in Stage}

    def enter(self, connection: T, before: Stage | None, stage: Stage | None, now: float) -> None:
        """Move a connection to another stage, or restart its current one."""
        if before is not None:
            self._since[before].pop(connection, None)
        if stage is not None:
            self._since[stage][connection] = now

    def over(self, stage: Stage, now: float, seconds: float) -> list[T]:
        """Return the connections in a stage for at least `seconds`. The caller moves each, or restarts its stage."""
        since = self._since[stage]
        return list(takewhile(lambda connection: since[connection] <= now - seconds, since))

    def oldest(self, stage: Stage) -> T | None:
        """Return the connection that has been in this stage the longest."""
        return next(iter(self._since[stage]), None)
