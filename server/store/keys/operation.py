"""The keys of workers, statistics, access and files."""

from server.store.keys.base import Prefixed


class OperationKeys(Prefixed):
    """Keys of what runs the tasks and of who may use it."""

    # -- workers

    def worker(self, name: str) -> str:
        """The description of a living worker (JSON)."""
        return f"{self.prefix}worker:{name}"

    @property
    def workers(self) -> str:
        """Workers, by their last heartbeat."""
        return f"{self.prefix}workers"

    def stop(self, worker: str) -> str:
        """Whether a worker is asked to stop."""
        return f"{self.prefix}stop:{worker}"

    def draining(self, worker: str) -> str:
        """Exists while a worker is stopping and must claim nothing."""
        return f"{self.prefix}draining:{worker}"

    def bursts(self, worker: str) -> str:
        """A hash of the tasks that a worker's children have claimed by themselves, see `lua/lib/burst.lua`."""
        return f"{self.prefix}bursts:{worker}"

    @property
    def leader(self) -> str:
        """The worker that runs maintenance."""
        return f"{self.prefix}leader"

    @property
    def seen(self) -> str:
        """The time of the last election with any worker (ms)."""
        return f"{self.prefix}seen"

    @property
    def grace(self) -> str:
        """Exists while leases are not checked, after an outage."""
        return f"{self.prefix}grace"

    @property
    def resumed_at(self) -> str:
        """The end of the last outage (ms)."""
        return f"{self.prefix}resumed_at"

    def slot(self, job: str) -> str:
        """Exists while a periodic job has run recently."""
        return f"{self.prefix}slot:{job}"

    # -- Celery's events and signals

    @property
    def cancel_listener(self) -> str:
        """Exists while a worker asks for the tasks that are canceled while they wait."""
        return f"{self.prefix}cancel_listener"

    @property
    def canceled(self) -> str:
        """The tasks that were canceled while they waited, for that worker."""
        return f"{self.prefix}canceled"

    # -- pauses

    @property
    def pauses(self) -> str:
        """A hash of what is paused: `queue:<name>` or `task:<type>` to `<since in ms> <by whom>`."""
        return f"{self.prefix}pauses"

    # -- statistics

    @property
    def stats(self) -> str:
        """A hash of counters."""
        return f"{self.prefix}stats"

    @property
    def recent(self) -> str:
        """A hash from task type to the moving average of its run times (ms)."""
        return f"{self.prefix}recent"

    @property
    def histograms(self) -> str:
        """A hash of wait and run times by task type: `<wait or run>:<type>:<bucket>`, and their sums in ms."""
        return f"{self.prefix}histograms"

    @property
    def http_requests(self) -> str:
        """A hash of answered requests: `<method> <route>:<first digit of the status>`."""
        return f"{self.prefix}http_requests"

    @property
    def maintenance(self) -> str:
        """A hash of what the services of maintenance did: `<service>:<runs, items, …>`."""
        return f"{self.prefix}maintenance"

    def hour(self, number: int | str) -> str:
        """A hash of counters of one hour, counted since 1970."""
        return f"{self.prefix}hour:{number}"

    # -- access

    @property
    def api_keys(self) -> str:
        """A hash from a key's SHA-256 to its owner and role."""
        return f"{self.prefix}api_keys"

    @property
    def api_keys_version(self) -> str:
        """A counter that increases whenever a key is created or revoked."""
        return f"{self.prefix}api_keys_version"

    @property
    def api_keys_used(self) -> str:
        """A hash from a key's SHA-256 to when it was last used, in milliseconds since 1970."""
        return f"{self.prefix}api_keys_used"

    def requests(self, fingerprint: str, minute: int | str) -> str:
        """The requests of a key with a rate limit, in one minute since 1970."""
        return f"{self.prefix}requests:{fingerprint}:{minute}"

    @property
    def audit(self) -> str:
        """A stream of what people did."""
        return f"{self.prefix}audit"

    def webhook_secret(self, owner: str) -> str:
        """A hash of an owner's webhook secrets."""
        return f"{self.prefix}webhook_secret:{owner}"

    @property
    def secret(self) -> str:
        """The key of the hash in task ids, if `SECRET_KEY` is not set."""
        return f"{self.prefix}secret"

    @property
    def format(self) -> str:
        """The version of the stored format."""
        return f"{self.prefix}format"

    @property
    def nothing(self) -> str:
        """Never written: a script deletes it first, so that Redis permits writes when it is full."""
        return f"{self.prefix}nothing"

    @property
    def probe(self) -> str:
        """Written for a second to test whether Redis accepts writes."""
        return f"{self.prefix}probe"

    # -- blobs

    def blob(self, part: str) -> str:
        """The keys of the blob store in Redis, see `server.store.blobs.redis_blobs`."""
        return f"{self.prefix}blob:{part}"
