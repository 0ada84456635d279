"""The keys of workers, statistics, access and files."""

from server.store.keys.base import Key, Name, Prefixed


class OperationKeys(Prefixed):
    """Keys of what runs the tasks and of who may use it."""

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
    seen = Name("seen")
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
    #: A hash of what the services of maintenance did: `<service>:<runs, items, …>`.
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
    #: A stream of what people did.
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
