"""Work that does not grow with the number of owners, keys or bytes: counted in commands and bytes, not in seconds."""

from collections.abc import Callable

import pytest
from submitting import submit_many

from server.store import Store
from server.store.api_keys import Role
from server.store.leases import Throttle
from server.store.listing import Filter
from server.store.record import Status

EVERYBODY = Filter(owners=None)


def commands(store: Store, act: Callable[[], object]) -> int:
    """How many commands Redis runs for this, those inside scripts too."""
    store.redis.config_resetstat()
    act()
    stats = store.redis.info("commandstats")
    return sum(each["calls"] for name, each in stats.items() if not name.startswith(("cmdstat_config", "cmdstat_info")))


def of_owners(store: Store, count: int, act: Callable[[], object]) -> int:
    """The commands of an act in a store with `count` owners of one task each."""
    store.redis.flushall()
    for number in range(count):
        submit_many(store, 1, f"owner-{number}")
    act()  # scripts are loaded now
    return commands(store, act)


ACTS: dict[str, Callable[[Store], object]] = {
    "a page of everyone's tasks": lambda store: store.listing.page(EVERYBODY, 5),
    "the count of everyone's tasks": lambda store: store.listing.count(EVERYBODY),
    "the free slots of a limit": lambda store: store.tasks.claim("x", "w/1", Throttle(max_running=5)),
    "an unknown key": lambda store: store.api_keys.find("cck_nobody's"),
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_the_cost_is_the_same_with_ten_owners_and_with_three_hundred(
    act: Callable[[Store], object], store: Store
) -> None:
    assert of_owners(store, 10, lambda: act(store)) == of_owners(store, 300, lambda: act(store))


def test_a_claim_under_a_limit_counts_the_running_tasks_of_all_owners(store: Store) -> None:
    ids = [submit_many(store, 1, owner)[0] for owner in ("alice", "bob", "carol")]
    claims = [store.tasks.claim(task_id, "w/1", Throttle(max_running=2)) for task_id in ids]

    assert [claim is not None for claim in claims] == [True, True, False]
    assert store.queues.waiting(["default"])["default"] == 1, "throttled tasks count as waiting"
    assert store.tasks.finish(ids[0], "w/1", Status.SUCCEEDED)
    assert store.leases.throttled() == [("divide", "")]
    assert store.leases.release_throttled("divide", "", Throttle(max_running=2), 10) == 1
    assert store.tasks.claim(ids[2], "w/1", Throttle(max_running=2)) is not None
    assert store.queues.waiting(["default"])["default"] == 0


def test_a_canceled_throttled_task_no_longer_waits(store: Store) -> None:
    first, second = submit_many(store, 2)
    throttle = Throttle(max_running=1, per_owner=True)
    assert store.tasks.claim(first, "w/1", throttle)
    assert store.tasks.claim(second, "w/1", throttle) is None

    store.tasks.cancel(second)

    assert store.queues.waiting(["default"])["default"] == 0
    assert not store.redis.exists(store.keys.throttled("divide", "alice"))


@pytest.mark.parametrize("size", [10, 64, 65, 10**6])
def test_statuses_and_pages_never_read_inputs_and_results(size: int, store: Store) -> None:
    [task_id] = submit_many(store, 1)
    store.redis.hdel(store.keys.task(task_id), "i")
    store.redis.set(store.keys.input(task_id), b"x" * size)
    attempt = store.tasks.claim(task_id, "w/1")
    assert attempt is not None
    assert attempt.input == b"x" * size
    store.tasks.finish(task_id, "w/1", Status.SUCCEEDED, r="9" * size)
    before = store.redis.info("stats")["total_net_output_bytes"]

    record = store.tasks.get_with_position(task_id)
    store.listing.page(EVERYBODY, 5)

    assert record is not None
    assert store.redis.info("stats")["total_net_output_bytes"] - before < 20_000
    assert store.tasks.result(record) == b"9" * size
    assert store.tasks.input(record) == b"x" * size
    assert store.tasks.inputs([record], 20) == [b"x" * min(size, 20)]


def test_a_deleted_task_leaves_neither_input_nor_result(store: Store) -> None:
    store.redis.flushall()
    [task_id] = submit_many(store, 1, tags=("red",), ttl=0)
    store.redis.set(store.keys.input(task_id), "x" * 100)
    store.tasks.claim(task_id, "w/1")
    store.tasks.finish(task_id, "w/1", Status.SUCCEEDED, r="9" * 100)

    assert store.leases.delete_expired(10) == 1

    assert [key for key in store.redis.keys("*") if task_id.encode() in key or b"index" in key or b"tag" in key] == []


def test_counts_match_the_list(store: Store) -> None:
    ids = submit_many(store, 5, tags=("red",)) + submit_many(store, 3, "bob", delay=60)
    store.tasks.cancel(ids[0])
    middle = int(ids[2][:8] + ids[2][9:13], 16)

    assert store.listing.count(EVERYBODY)["queued"] == 4
    assert store.listing.count(Filter(["bob"], statuses=[Status.SCHEDULED])) == {"scheduled": 3}
    assert store.listing.count(Filter(None, tags=["red"], statuses=[Status.QUEUED])) == {"queued": 4}
    assert sum(store.listing.count(Filter(["nobody"])).values()) == 0
    assert sum(store.listing.count(Filter([])).values()) == 0
    counted = sum(store.listing.count(Filter(None, since=middle + 1)).values())
    assert counted == len(store.listing.page(Filter(None, since=middle + 1), 10).records)


def test_a_list_shows_tasks_of_removed_types(store: Store) -> None:
    [task_id] = submit_many(store, 1)
    store.redis.sadd(store.keys.types, "gone")
    store.redis.zadd(store.keys.index("alice", "gone", "failed"), {task_id: 0})

    assert len(store.listing.page(Filter(["alice"], statuses=[Status.FAILED]), 5).records) == 1


def test_pages_of_many_types_and_statuses_are_in_the_order_of_submission(store: Store) -> None:
    ids = submit_many(store, 60)
    for number, task_id in enumerate(ids):
        if number % 3 == 0:
            store.tasks.cancel(task_id)
    listed, cursor = [], None
    while True:
        page = store.listing.page(EVERYBODY, 7, cursor)
        listed += [record.id for record in page.records]
        if (cursor := page.cursor) is None:
            break

    assert listed == ids[::-1]


def test_a_key_is_cached_after_one_lookup_until_any_key_is_revoked(store: Store) -> None:
    keys = [store.api_keys.create("alice", Role.SUBMIT) for _ in range(50)]
    other = Store(store.settings).api_keys
    assert other.find(keys[7]) is not None

    assert commands(store, lambda: other.find(keys[7])) == 0, "it is cached"
    assert commands(store, lambda: other.find(keys[8])) == 1
    store.api_keys.revoke(keys[7])
    other.refresh()
    assert other.find(keys[7]) is None
    assert other.find(keys[8]) is not None


def test_a_small_queued_task_needs_few_bytes(store: Store) -> None:
    submit_many(store, 500)
    before = store.redis.info("memory")["used_memory"]

    submit_many(store, 5_000)

    assert (store.redis.info("memory")["used_memory"] - before) / 5_000 < 670
    assert store.redis.llen("default") == 5_500, "Celery's tools count it"


def test_revoking_the_last_key_opens_the_api_and_losing_it_does_not(store: Store) -> None:
    shown = store.api_keys.create("alice", Role.SUBMIT)[:12]
    store.api_keys.refresh()
    assert store.api_keys.any()
    store.api_keys.revoke(shown)
    store.api_keys.refresh()
    assert not store.api_keys.any()

    store.api_keys.create("alice", Role.SUBMIT)
    store.api_keys.refresh()
    store.redis.flushall()
    for _ in range(2):
        store.api_keys.refresh()
        assert store.api_keys.any()
