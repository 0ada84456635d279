"""An owner's bytes are those of its stored inputs, uploads and outputs, whatever happens to its tasks."""

import random
from collections.abc import Iterator
from contextlib import suppress

import pytest
from submitting import prepare

from server.sdk.registry import definition
from server.services.retry import retry
from server.services.submit import Submission, store_and_publish
from server.store import Store
from server.store.errors import BytesExceeded, StoreUnavailable
from server.store.record import Record, Status
from server.store.submit import SubmitRequest

OWNERS = ("alice", "bob")
LIMIT = 20_000


@pytest.fixture
def limited(store: Store) -> Iterator[Store]:
    """A store with a small quota of bytes."""
    limited_store = Store(store.settings.model_copy(update={"max_bytes_per_owner": LIMIT}))
    yield limited_store
    limited_store.redis.close()


def stored_bytes(store: Store) -> dict[str, int]:
    """The bytes that the store counts, by owner."""
    return {owner.decode(): int(number) for owner, number in store.redis.hgetall(store.keys.bytes_held).items()}


def stored(store: Store) -> dict[str, int]:
    """The real bytes of records, long inputs and uploads, and the outputs that their ends named."""
    sums: dict[str, int] = {}
    for key in store.redis.scan_iter(store.keys.task("*")):
        task_id = key.decode().rpartition(":")[2]
        owner, outputs = store.redis.hmget(key, "o", "bo")
        items = store.redis.lrange(store.keys.output(task_id), 0, -1)
        uploads = [f"{task_id}/{name.decode()}" for name in store.redis.smembers(store.keys.blob(f"names:{task_id}"))]
        bytes_ = store.redis.strlen(store.keys.input(task_id)) + sum(map(store.blobs.size, uploads)) + int(outputs or 0)
        bytes_ += sum(len(item) + 16 for item in items)
        sums[owner.decode()] = sums.get(owner.decode(), 0) + bytes_
    return {owner: number for owner, number in sums.items() if number}


class Life:
    """Random things that clients, workers and time do to the tasks of two owners."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store = store
        self.chance = random.Random(seed)
        self.ids: list[str] = []
        self.refused = 0

    def step(self) -> None:
        """Do one of them."""
        try:
            self.chance.choice([self.submit, self.submit, self.upload, self.run, self.run, self.cancel, self.again])()
            self.chance.choice([self.delete, self.expire, lambda: None])()
        except BytesExceeded:
            self.refused += 1
        except StoreUnavailable:  # a busy machine ran a submit so late that its client has a 503: nothing was stored
            pass

    def submit(self) -> None:
        """Store two tasks without uploads, as a group does; the client may repeat the call."""
        tasks = [prepare(self.store, owner := self.chance.choice(OWNERS)), prepare(self.store, owner)]
        for _ in range(self.chance.choice([1, 2])):
            store_and_publish(self.store, SubmitRequest(owner, tasks))
        self.ids += [task.id for task in tasks]

    def upload(self) -> None:
        """Submit a file, and repeat the call whose answer was lost."""
        task_type, owner = definition("thumbnail"), self.chance.choice(OWNERS)
        with Submission(self.store, task_type, owner) as submission:
            file = submission.uploads.receive("a.png", "image/png", [bytes(self.chance.randrange(9_000))])
            parameters = task_type.validate_fields({"image": file})
            accepted = submission.submit(parameters)
            submission.submit(parameters)
        self.ids.append(accepted.record.id)

    def run(self) -> None:
        """Run a task to an end with outputs; the end may be sent twice."""
        if (record := self._one()) and self.store.tasks.claim(record.id, "w/1"):
            self._emit(record.id)
            status = self.chance.choice([Status.SUCCEEDED, Status.FAILED, Status.CANCELED])
            outputs = {"bo": str(self.chance.randrange(1, 5_000))} if self.chance.random() < 0.5 else {}
            for _ in range(2):
                assert self.store.tasks.finish(record.id, "w/1", status, **outputs)

    def _emit(self, task_id: str) -> None:
        """Give output, which may be sent twice; some of it in an attempt that another one follows."""
        for attempt in range(self.chance.choice([0, 1, 2])):
            if attempt:
                assert self.store.leases.release(task_id, "w/1", crashed=False)
                assert self.store.tasks.claim(task_id, "w/1")
            items = [b"x" * self.chance.randrange(1, 500)] * 3
            with suppress(BytesExceeded):
                for _ in range(2):
                    assert self.store.tasks.append_output(task_id, "w/1", 1, items) == "run"

    def cancel(self) -> None:
        """Cancel a task."""
        if record := self._one():
            self.store.tasks.cancel(record.id)

    def again(self) -> None:
        """Retry an ended task, with its uploads."""
        if (record := self._one()) and record.status.done:
            self.ids.append(retry(self.store, record, "", again=True).record.id)

    def delete(self) -> None:
        """Delete an ended task's record."""
        if (record := self._one()) and record.status.done:
            self.store.leases.drop(record.id)

    def expire(self) -> None:
        """Let an ended task's record expire."""
        if (record := self._one()) and record.status.done:
            self.store.redis.zadd(self.store.keys.expiry, {record.id: 1})
            self.store.leases.delete_expired(100)

    def _one(self) -> Record | None:
        return self.store.tasks.get(self.chance.choice(self.ids)) if self.ids else None


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_the_counted_bytes_of_an_owner_equal_the_stored_bytes(seed: int, limited: Store) -> None:
    life = Life(limited, seed)
    for _ in range(100):
        life.step()
        assert stored_bytes(limited) == stored(limited)
    assert life.refused, "some submits were over the quota"
    assert stored_bytes(limited)

    for task_id in life.ids:
        limited.tasks.cancel(task_id)
        limited.leases.drop(task_id)

    assert stored_bytes(limited) == {}
