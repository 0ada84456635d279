"""The keys of tasks, their indexes, submits and schedules."""

from server.store.keys.base import Prefixed


class TaskKeys(Prefixed):
    """Keys of single tasks, of the sorted sets that list them, and of what submits them."""

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

    def output(self, task_id: str) -> str:
        """A list of the items that the latest attempt has given (JSON), without the oldest of very many."""
        return f"{self.prefix}output:{task_id}"

    def checkpoints(self, task_id: str) -> str:
        """A hash of the checkpoints for the next attempt."""
        return f"{self.prefix}checkpoints:{task_id}"

    def reports(self, task_id: str) -> str:
        """A list of why earlier attempts failed, for admins: start (ms) and a report; the last of them."""
        return f"{self.prefix}reports:{task_id}"

    def dependents(self, task_id: str) -> str:
        """A set of the tasks that wait for a file of this one."""
        return f"{self.prefix}dependents:{task_id}"

    # -- indexes: sorted sets of task ids

    def index(self, owner: str, task_type: str, status: str) -> str:
        """Ids of one type and status, in the order of submission: of all owners, or of one; running ones also of a
        scope, see `lua/lib/throttle.lua`.
        """
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

    def turns(self, queue: str) -> str:
        """The same ids by their turn, see `lua/lib/turns.lua`."""
        return f"{self.prefix}turns:{queue}"

    def turn(self, group: str) -> str:
        """A hash from priority to the last turn of a group."""
        return f"{self.prefix}turn:{group}"

    def turn_ends(self, group: str) -> str:
        """`<priority>:<owner>` of a group, by the turn of the owner's next task."""
        return f"{self.prefix}turn_ends:{group}"

    @property
    def weights(self) -> str:
        """A hash from owner to its share of turns, if that is not 1."""
        return f"{self.prefix}weights"

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

    def throttled(self, task_type: str, scope: str) -> str:
        """Ids of a type that are over a limit, by their turn, in a scope of the limit (see `lua/lib/throttle.lua`)."""
        return f"{self.prefix}throttled:{task_type}:{scope}"

    @property
    def throttled_scopes(self) -> str:
        """`<type>:<scope>` with tasks over a limit, by the time when maintenance looks at it."""
        return f"{self.prefix}throttled_scopes"

    @property
    def throttles(self) -> str:
        """The same of an earlier release: a set."""
        return f"{self.prefix}throttles"

    def starts(self, task_type: str, scope: str) -> str:
        """Attempts that started in the last minute, by time, for a limit per minute."""
        return f"{self.prefix}starts:{task_type}:{scope}"

    @property
    def due(self) -> str:
        """Scheduled and retrying tasks, by due time."""
        return f"{self.prefix}due"

    @property
    def deadlines(self) -> str:
        """Unfinished tasks with a `cancel_after`, by that time."""
        return f"{self.prefix}deadlines"

    @property
    def start_deadlines(self) -> str:
        """Tasks with a `start_within` that have not started, by that time."""
        return f"{self.prefix}start_deadlines"

    @property
    def leases(self) -> str:
        """Running tasks, by the end of their lease."""
        return f"{self.prefix}leases"

    @property
    def expiry(self) -> str:
        """Finished tasks, by the time when their records are deleted."""
        return f"{self.prefix}expiry"

    @property
    def input_expiry(self) -> str:
        """Finished tasks with an `input_ttl`, by the time when their inputs are deleted."""
        return f"{self.prefix}input_expiry"

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

    def unique(self, owner: str, task_type: str, key: str) -> str:
        """The id of the task that has a key of `unique` or `debounce`."""
        return f"{self.prefix}unique:{owner}:{task_type}:{key}"

    def idempotency(self, owner: str, digest: str) -> str:
        """A hash with the outcome of the request with an idempotency key."""
        return f"{self.prefix}idempotency:{owner}:{digest}"

    def batch(self, batch_id: str) -> str:
        """A hash of a batch (see `server.store.batches`). Its channel is that of a task with this id."""
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
