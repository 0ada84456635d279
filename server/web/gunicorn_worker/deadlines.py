"""Until when a connection may be as it is: O(1) for each change, and no timer for each connection.

Each stage has one length, so those that entered it first are over first: a dict, in the order of its insertions, is all
that it takes.
"""

from enum import Enum
from itertools import takewhile
from typing import Generic, TypeVar

T = TypeVar("T")


class Stage(Enum):
    """What a connection waits for from its client, and the number of seconds that it may take."""

    #: A next request.
    IDLE = "idle", 75.0
    #: The rest of a head.
    HEAD = "head", 10.0
    #: The rest of a small body.
    BODY = "body", 30.0
    #: Progress of a large body that a thread reads, and of an answer that the client reads.
    UPLOAD = "upload", 10.0
    WRITE = "write", 10.0
    #: After the last answer: that the client closes, or the end of a body that nobody wants.
    LINGER = "linger", 2.0

    @property
    def seconds(self) -> float:
        """How long it may take."""
        return self.value[1]


class Deadlines(Generic[T]):
    """The connections that wait for their clients, by stage."""

    def __init__(self) -> None:
        self._since: dict[Stage, dict[T, float]] = {stage: {} for stage in Stage}

    def enter(self, connection: T, before: Stage | None, stage: Stage | None, now: float) -> None:
        """A connection leaves one stage for another, or begins the same anew."""
        if before is not None:
            self._since[before].pop(connection, None)
        if stage is not None:
            self._since[stage][connection] = now

    def over(self, stage: Stage, now: float, seconds: float) -> list[T]:
        """Those that have been in a stage for so many seconds. Each must enter another stage, or the same anew."""
        since = self._since[stage]
        return list(takewhile(lambda connection: since[connection] <= now - seconds, since))

    def oldest(self, stage: Stage) -> T | None:
        """Who has been in this stage for longest."""
        return next(iter(self._since[stage]), None)
