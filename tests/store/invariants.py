"""What is true of a store between two steps: indexes, counters and records agree."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from random_operations import QUEUES, Operations

from server.store.record import Status

Record = dict[str, str]

#: The broker's keys, which have no prefix.
BROKER = {
    "unacked",
    "unacked_index",
    *(queue + suffix for queue in QUEUES for suffix in ("", "\x06\x161", "\x06\x162")),
}


class Snapshot:
    """All that is in Redis, read in two round trips."""

    def __init__(self, operations: Operations) -> None:
        self.keys, self._redis = operations.keys, operations.redis
        self.names = sorted(name.decode() for name in self._redis.keys("*"))
        types = self._pipelined(lambda pipe, name: pipe.type(name), self.names)
        readers: dict[bytes, Callable[[Any, str], object]] = {
            b"zset": lambda pipe, name: pipe.zrange(name, 0, -1),
            b"set": lambda pipe, name: pipe.smembers(name),
            b"hash": lambda pipe, name: pipe.hgetall(name),
            b"string": lambda pipe, name: pipe.get(name),
        }
        readable = {name: readers[each] for name, each in zip(self.names, types, strict=True) if each in readers}
        contents = self._pipelined(lambda pipe, name: readable[name](pipe, name), list(readable))
        self._contents: dict[str, Any] = {
            name: self._text(content) for name, content in zip(readable, contents, strict=True)
        }
        self.records = {parts[0]: record for parts, record in self.matching(self.keys.task(""), parts=1)}

    def _pipelined(self, read: Callable[[Any, str], object], names: list[str]) -> list[Any]:
        with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                read(pipe, name)
            return list(pipe.execute())

    def _text(self, content: Any) -> Any:
        """Decode what Redis has returned; a sorted set becomes a set."""
        if isinstance(content, dict):
            return {self._text(name): self._text(text) for name, text in content.items()}
        if isinstance(content, list | set):
            return {self._text(member) for member in content}
        return content.decode(errors="replace") if isinstance(content, bytes) else content

    def matching(self, prefix: str, parts: int) -> Iterator[tuple[list[str], Any]]:
        """Yield the parameters and the content of each key that begins like this."""
        for name, content in self._contents.items():
            if name.startswith(prefix):
                yield name.removeprefix(prefix).split(":", parts - 1), content

    def members(self, key: str) -> set[str]:
        return set(self._contents.get(key, ()))

    def fields(self, key: str) -> dict[str, str]:
        return dict(self._contents.get(key, {}))

    def is_unfinished(self, task_id: str) -> bool:
        return task_id in self.records and not Status(self.records[task_id]["s"]).done


def violations(operations: Operations) -> list[str]:
    """Return what is wrong in the store, a sentence for each fault."""
    snapshot = Snapshot(operations)
    incomplete = [task_id for task_id, record in snapshot.records.items() if not {"s", "o", "n"} <= record.keys()]
    if incomplete:
        return [f"these records lack fields: {incomplete}"]
    checks = (prefixes, indexes, throttled, memberships, waiting_tasks, limits, sums, batches, single_keys)
    reasons = [reason for check in checks for reason in check(snapshot)]
    if operations.store.settings.broker_is_redis:
        return reasons
    return reasons + list(external_messages(snapshot, operations))


def prefixes(snapshot: Snapshot) -> Iterator[str]:
    for name in snapshot.names:
        if not name.startswith(snapshot.keys.prefix) and name not in BROKER:
            yield f"the key {name!r} lacks the prefix"


def indexes(snapshot: Snapshot) -> Iterator[str]:
    """Each entry of an index is that of a record, and each record is in the index of all owners and of its own."""
    entries = set()
    for (owner, task_type, status), members in snapshot.matching(snapshot.keys.prefix + "index:", 3):
        for task_id in members:
            entries.add((owner, task_type, status, task_id))
            record = snapshot.records.get(task_id)
            fits = record and record["n"] == task_type and owner in ("", record["o"], record.get("lb"))
            # The running tasks of a scope include those that are being canceled.
            if (
                not record
                or not fits
                or (status != record["s"] and not (owner[:1] == "=" and record["s"] == "canceling"))
            ):
                yield f"the index {owner}:{task_type}:{status} has {task_id}, whose record is {record}"
    for task_id, record in snapshot.records.items():
        owners = ["", record["o"], *([record["lb"]] if "lb" in record and record["s"] == "running" else [])]
        for owner in owners:
            if (owner, record["n"], record["s"], task_id) not in entries:
                yield f"{task_id} is missing in the index {owner}:{record['n']}:{record['s']}"


def throttled(snapshot: Snapshot) -> Iterator[str]:
    """Each throttled task is in one scope, which maintenance checks."""
    keys, in_scopes = snapshot.keys, Counter[str]()
    for (task_type, scope), members in snapshot.matching(keys.prefix + "throttled:", 2):
        in_scopes.update(members)
        if f"{task_type}:{scope}" not in snapshot.members(keys.throttled_scopes):
            yield f"maintenance does not check the throttled tasks of {task_type}:{scope}"
    in_queues = Counter(task_id for queue in QUEUES for task_id in snapshot.members(keys.throttled_in(queue)))
    if in_scopes != in_queues or max(in_scopes.values(), default=1) > 1:
        yield f"throttled in scopes: {in_scopes}, in queues: {in_queues}"


def memberships(snapshot: Snapshot) -> Iterator[str]:
    """A task is in exactly the indexes of its status."""
    keys = snapshot.keys
    sets: dict[str, set[str]] = {
        name: set().union(*(snapshot.members(key(queue)) for queue in QUEUES))
        for name, key in (("queued", keys.queued), ("turns", keys.turns), ("throttled", keys.throttled_in))
    }
    sets |= {
        name: snapshot.members(getattr(keys, name)) for name in ("leases", "expiry", "deadlines", "start_deadlines")
    }
    for name, members in sets.items():
        if members - snapshot.records.keys():
            yield f"{name} has tasks without a record: {members - snapshot.records.keys()}"
    for task_id, record in snapshot.records.items():
        status, names = record["s"], {name for name, members in sets.items() if task_id in members}
        expected = {"queued": {"queued", "turns"}, "running": {"leases"}, "canceling": {"leases"}}.get(status, set())
        expected = {"throttled"} if status == "queued" and "throttled" in names else expected
        expected = {"expiry"} if Status(status).done else expected | (names & {"deadlines"})
        if "sw" in record and "d" not in record and not Status(status).done:
            expected = expected | {"start_deadlines"}
        if names != expected:
            yield f"{task_id} is {status} and in {sorted(names)}, not in {sorted(expected)}: {record}"


def waiting_tasks(snapshot: Snapshot) -> Iterator[str]:
    """Each scheduled task has something that starts it, and nobody waits for the end of what has ended."""
    keys, started = snapshot.keys, snapshot.members(snapshot.keys.due)
    followers = snapshot.fields(keys.followers)
    started |= set(followers.values())
    for (source,), members in snapshot.matching(keys.dependents(""), 1):
        started |= members
        if not snapshot.is_unfinished(source):
            yield f"{members} wait for {source}, whose record is {snapshot.records.get(source)}"
    for task_id, record in snapshot.records.items():
        if record["s"] in ("scheduled", "retrying") and task_id not in started:
            yield f"nothing starts {task_id}: {record}"
    for task_id in followers:
        if not snapshot.is_unfinished(task_id):
            yield f"a run of a schedule waits for {task_id}, whose record is {snapshot.records.get(task_id)}"


def limits(snapshot: Snapshot) -> Iterator[str]:
    """A key of `unique` or `debounce` expires, or is that of an unfinished task."""
    for parts, task_id in snapshot.matching(snapshot.keys.prefix + "unique:", 3):
        key = snapshot.keys.unique(*parts)
        if not snapshot.is_unfinished(task_id) and snapshot._redis.pttl(key) < 0:
            yield f"{key} stays after the end of {task_id}: {snapshot.records.get(task_id)}"


def sums(snapshot: Snapshot) -> Iterator[str]:
    """The counters of an owner agree with its records."""
    unfinished, size = Counter[str](), Counter[str]()
    for task_id, record in snapshot.records.items():
        unfinished[record["o"]] += snapshot.is_unfinished(task_id)
        size[record["o"]] += sum(int(record.get(name, 0)) for name in ("by", "bo", "oy"))
    for key, expected in ((snapshot.keys.unfinished, unfinished), (snapshot.keys.bytes_held, size)):
        stored = {owner: int(number) for owner, number in snapshot.fields(key).items()}
        if stored != {owner: number for owner, number in expected.items() if number}:
            yield f"{key} is {stored}, the records have {dict(expected)}"


def batches(snapshot: Snapshot) -> Iterator[str]:
    """A batch counts its unfinished tasks, and ends with the last of them."""
    left = Counter(record.get("ba") for task_id, record in snapshot.records.items() if snapshot.is_unfinished(task_id))
    for (batch_id,), fields in snapshot.matching(snapshot.keys.batch(""), 1):
        if "left" in fields and (int(fields["left"]) != left[batch_id] or ("f" in fields) == (left[batch_id] > 0)):
            yield f"the batch {batch_id} with {left[batch_id]} unfinished tasks is {fields}"


def single_keys(snapshot: Snapshot) -> Iterator[str]:
    """Keys of one task are gone with its record, and a fetched message has its time."""
    keys = snapshot.keys
    for key in (keys.input, keys.result, keys.events, keys.output, keys.checkpoints, keys.reports):
        for name in snapshot.names:
            if name.startswith(key("")) and name.removeprefix(key("")) not in snapshot.records:
                yield f"{name} is left of a deleted task"
    if snapshot.members(keys.unacked_index) != snapshot.fields(keys.unacked).keys():
        yield "unacked and unacked_index differ"


def external_messages(snapshot: Snapshot, operations: Operations) -> Iterator[str]:
    """Each queued task has a message at the external broker or with a worker, or will get one."""
    with_message = {*operations.messages, *(task_id for task_id, _ in operations.fetched)}
    with_message |= snapshot.members(snapshot.keys.unpublished)
    for queue in QUEUES:
        for task_id in snapshot.members(snapshot.keys.queued(queue)) - with_message:
            yield f"{task_id} has no message: {snapshot.records.get(task_id)}"
