"""Defines all our keys: Python calls these methods, and the scripts get the same names as a Lua table.

All begin with `KEY_PREFIX`, so that an operator can tell them from other programs' keys, in the database and in an ACL.
The broker's keys have no prefix: Celery, kombu and their tools expect a queue's list under the queue's own name. A
method may insert its parameters anywhere, but must not examine them: `lua_table` passes placeholders.
"""

#: The version of the stored format. Change it when a release cannot read the data of an older one.
FORMAT = "2"

#: kombu's separator between a queue's name and the number of an additional list of the queue.
_SEPARATOR = "\x06\x16"


class Keys:
    """The names of all keys under one prefix. An empty `owner` means all owners."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    # -- a task

    def task(self, task_id: str) -> str:
        """The hash of a record; also the channel that publishes its changes."""
        return f"{self.prefix}t:{task_id}"

    def input(self, task_id: str) -> str:
        """The input, if it is too long for the record."""
        return f"{self.prefix}input:{task_id}"

    def result(self, task_id: str) -> str:
        """The result, if it is too long for the record."""
        return f"{self.prefix}result:{task_id}"

    def events(self, task_id: str) -> str:
        """A list of the progress and log entries of the task's function."""
        return f"{self.prefix}events:{task_id}"

    def checkpoints(self, task_id: str) -> str:
        """A hash of the checkpoints for the next attempt."""
        return f"{self.prefix}checkpoints:{task_id}"

    def dependents(self, task_id: str) -> str:
        """A set of the tasks that wait for a file of this one."""
        return f"{self.prefix}dependents:{task_id}"

    # -- indexes: sorted sets of task ids

    def index(self, owner: str, task_type: str, status: str) -> str:
        """Ids of one type and status, in the order of submission: of all owners, or of one."""
        return f"{self.prefix}index:{owner}:{task_type}:{status}"

    def tagged(self, owner: str, tag: str) -> str:
        """Ids with a tag, in the order of submission: of all owners, or of one."""
        return f"{self.prefix}tagged:{owner}:{tag}"

    @property
    def types(self) -> str:
        """A set of all task types ever submitted: lists also show tasks of types that were removed."""
        return f"{self.prefix}types"

    def queued(self, queue: str) -> str:
        """Ids waiting in a queue, by priority and time."""
        return f"{self.prefix}queued:{queue}"

    @property
    def queues(self) -> str:
        """Names of all queues, by when a worker that uses them started (seconds)."""
        return f"{self.prefix}queues"

    def unregistered(self, task_type: str) -> str:
        """When a worker first met a task of a type that no worker knows (ms)."""
        return f"{self.prefix}unregistered:{task_type}"

    def flow(self, number: int | str) -> str:
        """A hash of one hour: what arrived, started, waited and ended by task type and owner, by five minutes."""
        return f"{self.prefix}flow:{number}"

    def week(self, number: int | str) -> str:
        """The same as sums of an hour that is over, kept for a week."""
        return f"{self.prefix}week:{number}"

    def throttled_in(self, queue: str) -> str:
        """Ids of a queue that are over a limit of their type, by time."""
        return f"{self.prefix}throttled_in:{queue}"

    def throttled(self, task_type: str, owner: str) -> str:
        """Ids of a type that are over a limit, by time: the limit of all owners, or of one."""
        return f"{self.prefix}throttled:{task_type}:{owner}"

    @property
    def throttles(self) -> str:
        """A set of `<type>:<owner>` with tasks over a limit."""
        return f"{self.prefix}throttles"

    def starts(self, task_type: str, owner: str) -> str:
        """Attempts that started in the last minute, by time, for a limit per minute."""
        return f"{self.prefix}starts:{task_type}:{owner}"

    @property
    def due(self) -> str:
        """Scheduled and retrying tasks, by due time."""
        return f"{self.prefix}due"

    @property
    def deadlines(self) -> str:
        """Unfinished tasks with a `cancel_after`, by that time."""
        return f"{self.prefix}deadlines"

    @property
    def leases(self) -> str:
        """Running tasks, by the end of their lease."""
        return f"{self.prefix}leases"

    @property
    def expiry(self) -> str:
        """Finished tasks, by the time when their records are deleted."""
        return f"{self.prefix}expiry"

    @property
    def webhooks(self) -> str:
        """Tasks with an undelivered webhook, by due time."""
        return f"{self.prefix}webhooks"

    @property
    def unpublished(self) -> str:
        """Queued tasks without a message at the external broker, by the time when they were queued."""
        return f"{self.prefix}unpublished"

    @property
    def uncollected(self) -> str:
        """Deleted tasks whose files must still be deleted, by due time."""
        return f"{self.prefix}uncollected"

    # -- submits

    @property
    def unfinished(self) -> str:
        """A hash from owner to the number of unfinished tasks."""
        return f"{self.prefix}unfinished"

    @property
    def bytes_held(self) -> str:
        """A hash from owner to the bytes of the inputs, uploads and outputs of its tasks."""
        return f"{self.prefix}bytes_held"

    def idempotency(self, owner: str, digest: str) -> str:
        """A hash with the outcome of the request with an idempotency key."""
        return f"{self.prefix}idempotency:{owner}:{digest}"

    def batch(self, batch_id: str) -> str:
        """A hash of a batch's tasks."""
        return f"{self.prefix}batch:{batch_id}"

    # -- schedules

    @property
    def schedules(self) -> str:
        """A set of the names of all schedules."""
        return f"{self.prefix}schedules"

    def schedules_of(self, owner: str) -> str:
        """A set of the names of an owner's schedules."""
        return f"{self.prefix}schedules:{owner}"

    def schedule(self, name: str) -> str:
        """A hash: definition, timing, owner, skipped, error."""
        return f"{self.prefix}schedule:{name}"

    def schedule_runs(self, name: str) -> str:
        """A list of the last runs: `<task id> <fire time in ms>`, newest first."""
        return f"{self.prefix}schedule_runs:{name}"

    @property
    def fire_times(self) -> str:
        """Schedules that are not paused, by their next fire time."""
        return f"{self.prefix}fire_times"

    @property
    def followers(self) -> str:
        """A hash from a schedule's unfinished run to the run that waits for its end."""
        return f"{self.prefix}followers"

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

    # -- statistics

    @property
    def stats(self) -> str:
        """A hash of counters."""
        return f"{self.prefix}stats"

    @property
    def recent(self) -> str:
        """A hash from task type to the moving average of its run times (ms)."""
        return f"{self.prefix}recent"

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

    # -- the broker's

    def bell(self, queue: str) -> str:
        """A list that wakes a worker waiting for a message of this queue. It is ours: Celery has no such list."""
        return f"{self.prefix}bell:{queue}"

    def normal_list(self, queue: str) -> str:
        """The messages of normal priority, under the name whose length tools such as KEDA read."""
        return queue

    def high_list(self, queue: str) -> str:
        """The messages of high priority."""
        return f"{queue}{_SEPARATOR}1"

    def low_list(self, queue: str) -> str:
        """The messages of low priority."""
        return f"{queue}{_SEPARATOR}2"

    @property
    def unacked(self) -> str:
        """kombu's hash of the messages that workers hold: delivery tag to message."""
        return "unacked"

    @property
    def unacked_index(self) -> str:
        """kombu's delivery tags, by the time of their last renewal (seconds)."""
        return "unacked_index"

    def list_of(self, queue: str, priority: str) -> str:
        """Return the list of a queue's messages of one priority."""
        lists = {"high": self.high_list, "normal": self.normal_list, "low": self.low_list}
        return lists[priority](queue)
