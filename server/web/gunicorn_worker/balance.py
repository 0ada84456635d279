"""Shares the connections out among the web processes.

All of them accept from one socket. Without this, when many clients connect at the same time, the process that runs then
accepts them all: 16 clients who kept their connections had one process, and one core, to themselves.
"""

from server.web.gunicorn_worker.places import Counts, connection_counts

#: A process that has this many more connections than another one leaves the next connection to it.
_AHEAD = 2


class Balance:
    """Compares the connections of this process with those of the others. The arbiter creates it, before the fork."""

    def __init__(self, age: int) -> None:
        self._counts: Counts = connection_counts()
        self._age = age
        self._others: list[int] = []

    def count(self, connections: int) -> None:
        """Tell the others how many connections this process has."""
        self._counts.put(self._age, connections + 1)  # 0 means that there is no process

    def look(self) -> None:
        """Find the other processes. Call it regularly: they come and go."""
        self._others = self._counts.others(self._age)

    def is_ahead(self) -> bool:
        """Return whether another process should accept the next connection."""
        mine = self._counts.get(self._age)
        return any(0 < self._counts.get(other) <= mine - _AHEAD for other in self._others)

    def leave(self) -> None:
        """Tell the others that this process accepts no more."""
        self._counts.vacate(self._age)
