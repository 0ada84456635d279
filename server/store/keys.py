"""Defines all our keys: attributes for Python, and the same names in the scripts.

All begin with `KEY_PREFIX`, so that an operator can tell them from other programs' keys, in the database and in an ACL.
The broker's keys have no prefix: Celery, kombu and their tools expect a queue's list under the queue's own name.
"""

import re
from collections.abc import Callable
from inspect import getattr_static
from typing import Any

#: The version of the stored format. Change it when a release cannot read the data of an older one.
FORMAT = "2"

PARAMETER = re.compile(r"\{(\w+)\}")


class _Definition:
    """The definition of a key."""

    def __init__(self, pattern: str, *, foreign: bool = False) -> None:
        """`foreign`: it is the broker's, and has no prefix."""
        self._pattern = pattern
        self._foreign = foreign

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def pattern(self, keys: "Keys") -> str:
        return self._pattern if self._foreign else keys.prefix + self._pattern

    def _keep(self, keys: "Keys", attribute: Any) -> Any:
        """Store it as an attribute of the object, for the next use."""
        return vars(keys).setdefault(self._name, attribute)


class Name(_Definition):
    """A key without parameters, as an attribute."""

    def __get__(self, keys: "Keys", _: type) -> str:
        name: str = self._keep(keys, self.pattern(keys))
        return name


class Key(_Definition):
    """A key with parameters in its pattern, which are those of the function that returns it."""

    def __get__(self, keys: "Keys", _: type) -> Callable[..., str]:
        form = PARAMETER.sub("%s", self.pattern(keys))
        function: Callable[..., str] = self._keep(keys, lambda *values: form % values)
        return function


class Keys:
    """The names of all keys under one prefix. An empty `owner` in their parameters means all owners."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def pattern(self, name: str) -> str:
        """Return the pattern of a key by its name here, with the prefix."""
        pattern: str = getattr_static(type(self), name).pattern(self)
        return pattern

    # -- single tasks

    #: The hash of a record; also the channel that publishes its changes.
    task = Key("t:{task_id}")
    #: The input, if it is too long for the record.
    input = Key("input:{task_id}")
    #: The result, if it is too long for the record.
    result = Key("result:{task_id}")
    #: A list of the progress and log entries of the task's function.
    events = Key("events:{task_id}")
    #: A list of the items of the latest attempt (JSON), without the oldest of very many.
    output = Key("output:{task_id}")
    #: A hash of the checkpoints for the next attempt.
    checkpoints = Key("checkpoints:{task_id}")
    #: A list of the failures of the last earlier attempts, for admins: start (ms) and a report.
    reports = Key("reports:{task_id}")
    #: A set of the tasks that wait for a file of this one.
    dependents = Key("dependents:{task_id}")

    # -- indexes: sorted sets of task ids

    #: Ids of one type and status, in the order of submission: of all owners, or of one; running ones also of a scope,
    #: see `lua/lib/throttle.lua`.
    index = Key("index:{owner}:{task_type}:{status}")
    #: Ids with a tag, in the order of submission: of all owners, or of one.
    tagged = Key("tagged:{owner}:{tag}")
    #: A set of all task types ever submitted: lists also show tasks of types that were removed.
    types = Name("types")
    #: Ids waiting in a queue, by priority and time.
    queued = Key("queued:{queue}")
    #: The same ids by their turn, see `lua/lib/turns.lua`.
    turns = Key("turns:{queue}")
    #: A hash from priority to the last turn of a group.
    turn = Key("turn:{group}")
    #: `<priority>:<owner>` of a group, by the turn of the owner's next task.
    turn_ends = Key("turn_ends:{group}")
    #: A hash from owner to its share of turns, if that is not 1.
    weights = Name("weights")
    #: Names of all queues, by when a worker that uses them started (seconds).
    queues = Name("queues")
    #: When a worker first fetched a task of a type that no worker knows (ms).
    unregistered = Key("unregistered:{task_type}")
    #: A hash of one hour: arrivals, starts, waits and ends by task type and owner, by five minutes.
    flow = Key("flow:{number}")
    #: The same as sums of an hour that is over, kept for a week.
    week = Key("week:{number}")
    #: Ids of a queue that are throttled: over a limit of their type, or of a paused type. By time.
    throttled_in = Key("throttled_in:{queue}")
    #: Throttled ids of a type, by their turn, in a scope of the limit (see `lua/lib/throttle.lua`).
    throttled = Key("throttled:{task_type}:{scope}")
    #: `<type>:<scope>` with throttled tasks, by the time when maintenance checks it.
    throttled_scopes = Name("throttled_scopes")
    #: Attempts that started in the last minute, by time, for a limit per minute.
    starts = Key("starts:{task_type}:{scope}")
    #: Scheduled and retrying tasks, by due time.
    due = Name("due")
    #: Unfinished tasks with a `cancel_after`, by that time.
    deadlines = Name("deadlines")
    #: Tasks with a `start_within` that have not started, by that time.
    start_deadlines = Name("start_deadlines")
    #: Running tasks, by the end of their lease.
    leases = Name("leases")
    #: Finished tasks, by the time when their records are deleted.
    expiry = Name("expiry")
    #: Finished tasks with an `input_ttl`, by the time when their inputs are deleted.
    input_expiry = Name("input_expiry")
    #: Tasks with an undelivered webhook, by due time.
    webhooks = Name("webhooks")
    #: Queued tasks without a message at the external broker, by the time when they were queued.
    unpublished = Name("unpublished")
    #: Deleted tasks whose files must still be deleted, by due time.
    uncollected = Name("uncollected")

    # -- submits

    #: A hash from owner to the number of unfinished tasks.
    unfinished = Name("unfinished")
    #: A hash from owner to the bytes of the inputs, uploads and outputs of its tasks.
    bytes_held = Name("bytes_held")
    #: The id of the task that has a key of `unique` or `debounce`.
    unique = Key("unique:{owner}:{task_type}:{key}")
    #: A hash with the outcome of the request with an idempotency key.
    idempotency = Key("idempotency:{owner}:{digest}")
    #: A hash of a batch (see `server.store.batches`). Its channel is that of a task with this id.
    batch = Key("batch:{batch_id}")

    # -- schedules

    #: A set of the names of all schedules.
    schedules = Name("schedules")
    #: A set of the names of an owner's schedules.
    schedules_of = Key("schedules:{owner}")
    #: A hash: definition, timing, owner, skipped, error.
    schedule = Key("schedule:{name}")
    #: A list of the last runs: `<task id> <fire time in ms>`, newest first.
    schedule_runs = Key("schedule_runs:{name}")
    #: Schedules that are not paused, by their next fire time.
    fire_times = Name("fire_times")
    #: A hash from a schedule's unfinished run to the run that waits for its end.
    followers = Name("followers")

    # -- workers

    #: The description of a living worker (JSON).
    worker = Key("worker:{name}")
    #: Workers, by their last heartbeat.
    workers = Name("workers")
    #: Whether a worker is asked to stop.
    stop = Key("stop:{worker}")
    #: Exists while a worker is stopping and must claim nothing.
    draining = Key("draining:{worker}")
    #: A hash of the tasks that a worker's children have claimed by themselves, see `lua/lib/burst.lua`.
    bursts = Key("bursts:{worker}")
    #: The worker that runs maintenance.
    leader = Name("leader")
    #: The time of the last election with any worker (ms).
    last_election = Name("seen")
    #: Exists while leases are not checked, after an outage.
    grace = Name("grace")
    #: The end of the last outage (ms).
    resumed_at = Name("resumed_at")
    #: Exists while a periodic job has run recently.
    slot = Key("slot:{job}")

    # -- Celery's events and signals

    #: Exists while a worker asks for the tasks that are canceled while they wait.
    cancel_listener = Name("cancel_listener")
    #: The tasks that were canceled while they waited, for that worker.
    canceled = Name("canceled")

    # -- pauses

    #: A hash of what is paused: `queue:<name>` or `task:<type>` to `<since in ms> <by whom>`.
    pauses = Name("pauses")

    # -- statistics

    #: A hash of counters.
    stats = Name("stats")
    #: A hash from task type to the moving average of its run times (ms).
    recent = Name("recent")
    #: A hash of wait and run times by task type: `<wait or run>:<type>:<bucket>`, and their sums in ms.
    histograms = Name("histograms")
    #: A hash of answered requests: `<method> <route>:<first digit of the status>`.
    http_requests = Name("http_requests")
    #: A hash of counters of the maintenance services: `<service>:<runs, items, …>`.
    maintenance = Name("maintenance")
    #: A hash of counters of one hour, counted since 1970.
    hour = Key("hour:{number}")

    # -- access

    #: A hash from a key's SHA-256 to its owner and role.
    api_keys = Name("api_keys")
    #: A counter that increases whenever a key is created or revoked.
    api_keys_version = Name("api_keys_version")
    #: A hash from a key's SHA-256 to when it was last used, in milliseconds since 1970.
    api_keys_used = Name("api_keys_used")
    #: The requests of a key with a rate limit, in one minute since 1970.
    requests = Key("requests:{fingerprint}:{minute}")
    #: A stream of the entries of the audit.
    audit = Name("audit")
    #: A hash of an owner's webhook secrets.
    webhook_secret = Key("webhook_secret:{owner}")
    #: The key of the hash in task ids, if `SECRET_KEY` is not set.
    secret = Name("secret")
    #: The version of the stored format.
    format = Name("format")
    #: Never written: a script deletes it first, so that Redis permits writes when it is full.
    nothing = Name("nothing")
    #: Written for a second to test whether Redis accepts writes.
    probe = Name("probe")

    # -- blobs

    #: The keys of the blob store in Redis, see `server.store.blobs.redis_blobs`.
    blob = Key("blob:{part}")

    # -- the broker: the names are kombu's

    #: A list that wakes a worker waiting for a message of this queue. It is ours: Celery has no such list.
    notify_list = Key("bell:{queue}")
    #: The messages of normal priority, under the name whose length tools such as KEDA read.
    normal_list = Key("{queue}", foreign=True)
    #: The messages of high priority, with kombu's separator before the number of an additional list of the queue.
    high_list = Key("{queue}\x06\x161", foreign=True)
    #: The messages of low priority.
    low_list = Key("{queue}\x06\x162", foreign=True)
    #: kombu's hash of the messages that workers have fetched: delivery tag to message.
    unacked = Name("unacked", foreign=True)
    #: kombu's delivery tags, by the time of their last renewal (seconds).
    unacked_index = Name("unacked_index", foreign=True)
