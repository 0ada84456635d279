"""Leader election: one of all workers schedules, rescues and prunes.

Two leaders do no harm, because each step is a script that checks the record; one leader saves Redis the work.
"""

from server.store import Store


class Leader:
    """Keeps this worker elected while it lives, or elects it when the leader is gone."""

    name = "leader"
    interval = 1.0

    def __init__(self, store: Store, worker: str) -> None:
        self._store = store
        self._worker = worker
        #: Whether this worker is the leader, as of the last round.
        self.elected = False

    def round(self) -> int:
        """Ask for the lead; 1 where this worker was elected just now."""
        before, self.elected = self.elected, False  # where Redis cannot be reached, nobody leads
        self.elected = self._store.leases.elect_leader(self._worker) is not None
        return int(self.elected and not before)

    def may_judge(self) -> bool:
        """Whether this worker is the leader and leases count.

        Asked of Redis each time: after an outage, in which nobody could renew, no lease is judged for a while.
        """
        return self._store.leases.elect_leader(self._worker) == 0
