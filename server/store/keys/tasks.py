"""The keys of tasks, their indexes, submits and schedules."""

from server.store.keys.base import Key, Name, Prefixed


class TaskKeys(Prefixed):
    """Keys of single tasks, of the sorted sets that list them, and of what submits them."""

    #: The hash of a record; also the channel that publishes its changes.
    task = Key("t:{task_id}")
    #: The input, if it is too long for the record.
    input = Key("input:{task_id}")
    #: The result, if it is too long for the record.
    result = Key("result:{task_id}")
    #: A list of the progress and log entries of the task's function.
    events = Key("events:{task_id}")
    #: A list of the items that the latest attempt has given (JSON), without the oldest of very many.
    output = Key("output:{task_id}")
    #: A hash of the checkpoints for the next attempt.
    checkpoints = Key("checkpoints:{task_id}")
    #: A list of why earlier attempts failed, for admins: start (ms) and a report; the last of them.
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
    #: When a worker first met a task of a type that no worker knows (ms).
    unregistered = Key("unregistered:{task_type}")
    #: A hash of one hour: what arrived, started, waited and ended by task type and owner, by five minutes.
    flow = Key("flow:{number}")
    #: The same as sums of an hour that is over, kept for a week.
    week = Key("week:{number}")
    #: Ids of a queue that are over a limit of their type, by time.
    throttled_in = Key("throttled_in:{queue}")
    #: Ids of a type that are over a limit, by their turn, in a scope of the limit (see `lua/lib/throttle.lua`).
    throttled = Key("throttled:{task_type}:{scope}")
    #: `<type>:<scope>` with tasks over a limit, by the time when maintenance looks at it.
    throttled_scopes = Name("throttled_scopes")
    #: The same of an earlier release: a set.
    throttles = Name("throttles")
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
