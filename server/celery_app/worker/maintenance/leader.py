"""Leader election: one of all workers schedules, rescues and prunes.

Two leaders do no harm, because each step is a script that checks the record; one leader saves Redis the work.
"""

from server.store import Store


class Leader:
    """Keeps this worker elected, or elects it if no worker is."""

    name = "leader"
    interval = 1.0

    def __init__(self, store: Store, worker: str) -> None:
        self._store = store
        self._worker = worker
        self.elected = False  # whether this worker was the leader in the last round

    def round(self) -> int:
        """Ask to lead. Return 1 if this worker has just been elected."""
        before, self.elected = self.elected, False  # without Redis, no worker leads
        self.elected = self._store.leases.elect_leader(self._worker) is not None
        return int(self.elected and not before)

    def may_check_leases(self) -> bool:
        """Return whether this worker is the leader and leases may be checked.

        Redis is asked each time: after an outage, in which no worker could renew, leases are not checked for a while.
        """
        return self._store.leases.elect_leader(self._worker) == 0
