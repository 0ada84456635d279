"""Cheap polling: Retry-After, unchanged statuses, the rest of a quota, expired tasks."""

from typing import Any

import pytest
from harness import Service, eventually

from server.store.stats import Throughput


def retry_after(service: Service, task_id: str) -> int:
    return int(service.http.get(f"/tasks/{task_id}").headers["Retry-After"])


def queue_up(service: Service, task: str, count: int) -> list[str]:
    answer = service.http.post("/batches", json={"items": [{"task": task}] * count})
    return [item["task_id"] for item in answer.json()["items"]]


@pytest.mark.parametrize(
    ("slots", "running", "position", "seconds"),
    [
        (2, 2, 1, 5),  # the next of two that run ends, on average, after half of ten seconds
        (2, 2, 8, 40),
        (2, 0, 2, 0),  # a slot is free
        (4, 3, 5, 10),
        (0, 0, 3, 30),  # no worker: as if there were one
    ],
)
def test_the_wait_for_a_start_follows_from_position_slots_and_run_time(
    slots: int, running: int, position: int, seconds: float
) -> None:
    assert Throughput(slots, running, {"slow": 10.0}).seconds_to_start("slow", position) == seconds


@pytest.mark.slow
def test_retry_after_is_computed_from_the_queue_and_recent_run_times(fresh: Service) -> None:
    fresh.redis.client.hset(fresh.keys.recent, mapping={"ledgered": 1500, "nothing": 60_000})
    fresh.redis.client.hset(
        fresh.keys.stats, mapping={"ledgered:ms": 10**9, "ledgered:succeeded": 1}
    )  # long ago it was slow
    fresh.start_web()
    fresh.start_worker(WORKER_CONCURRENCY="2")
    for task_id in [fresh.submit("reports", seconds=60) for _ in range(2)]:
        fresh.wait_for(task_id, "running")
    ids = [fresh.submit("ledgered") for _ in range(20)]
    slow = fresh.submit("nothing")

    # Two slots, both in use: the tenth of the queue waits for five rounds of 1.5 seconds.
    eventually(lambda: retry_after(fresh, ids[9]) == 8)
    assert [retry_after(fresh, ids[at]) for at in (0, 5, 15, 19)] == [1, 4, 12, 15]  # halves go to the even
    assert retry_after(fresh, slow) == 30
    ticket = fresh.http.post("/tasks/ledgered", json={})
    assert int(ticket.headers["Retry-After"]) == round(22 * 1.5 / 2)


def test_the_recent_run_time_is_a_moving_average(service: Service) -> None:
    before = 10**6
    service.redis.client.hset(service.keys.recent, "nothing", before)
    for each in queue_up(service, "nothing", 40):
        service.wait_for(each)
    assert int(service.redis.client.hget(service.keys.recent, "nothing") or before) < before / 10


def test_the_wait_between_attempts_is_not_run_time(service: Service) -> None:
    service.redis.client.hset(service.keys.recent, "gives_up_slowly", 7)
    task_id = service.submit("gives_up_slowly")
    service.wait_for(task_id, "retrying")
    assert retry_after(service, task_id) == 30
    service.http.post(f"/tasks/{task_id}/cancel")
    assert service.redis.client.hget(service.keys.recent, "gives_up_slowly") == b"7"


def test_a_scheduled_task_shows_when_it_is_due(service: Service) -> None:
    soon = service.http.post("/tasks/divide?delay=20", json={"x": 1, "y": 2})
    late = service.http.post("/tasks/divide?delay=3600", json={"x": 1, "y": 2})
    assert 15 <= int(soon.headers["Retry-After"]) <= 20
    assert int(late.headers["Retry-After"]) == 30
    service.http.post("/bulk/cancel", params={"task": "divide", "status": "scheduled"})


@pytest.mark.slow
def test_the_first_poll_of_a_queued_task_is_one_call_to_redis(fresh: Service) -> None:
    fresh.start_web()
    ids = [fresh.submit("nothing") for _ in range(50)]
    client: Any = fresh.redis.client
    client.config_resetstat()

    for task_id in ids:
        fresh.status(task_id)

    # One script each, and now and then another that reads how fast the queue moves.
    assert 50 <= client.info("commandstats")["cmdstat_evalsha"]["calls"] < 60


@pytest.fixture
def measured(fresh: Service) -> Any:
    """A server that has run tasks already, so that its permanent keys exist; and its Redis."""
    fresh.env["WORKER_CONCURRENCY"] = "2"
    fresh.start()
    drain(fresh, 50, ttl=1)
    eventually(lambda: not fresh.redis.client.zcard(fresh.keys.expiry))
    return fresh.redis.client


def drain(service: Service, count: int, **options: Any) -> None:
    """Run `count` small tasks, and wait for their ends."""
    item = {"task": "divide", "input": {"x": 1, "y": 2}, "options": options}
    before = service.redis.client.hget(service.keys.stats, "divide:succeeded") or 0
    assert service.http.post("/batches", json={"items": [item] * count}).status_code == 202
    eventually(
        lambda: int(service.redis.client.hget(service.keys.stats, "divide:succeeded") or 0) - int(before) == count,
        seconds=120,
    )


@pytest.mark.slow
def test_a_small_finished_task_uses_at_most_700_bytes(fresh: Service, measured: Any) -> None:
    def used() -> int:
        measured.memory_purge()
        return int(measured.info("memory")["used_memory"])

    before = used()
    for _ in range(2):
        drain(fresh, 1_000)

    # With its entries in the indexes and in its batch's list of ids.
    assert (used() - before) / 2_000 <= 700


def test_expired_tasks_leave_no_keys(fresh: Service, measured: Any) -> None:
    passing = ("batch:", "hour:", "slot:", "worker:", "bell:", "leader")  # they expire
    counters = ("flow:", "histograms", "http_requests", "maintenance")  # of a bounded number

    def kept() -> dict[str, int]:
        sizes = {"zset": measured.zcard, "hash": measured.hlen, "list": measured.llen, "set": measured.scard}
        names = [name.decode().removeprefix(fresh.keys.prefix) for name in measured.scan_iter()]
        lasting = [name for name in names if not name.startswith((*passing, *counters))]
        redis_types = {
            f"{fresh.keys.prefix}{name}": measured.type(f"{fresh.keys.prefix}{name}").decode() for name in lasting
        }
        return {name: sizes[redis_type](name) for name, redis_type in redis_types.items() if redis_type in sizes}

    before = kept()
    drain(fresh, 300, ttl=1, tag=["red", "blue"])

    eventually(lambda: kept() == before)


def test_a_poll_of_an_unchanged_task_is_304_with_retry_after(service: Service) -> None:
    task_id = service.http.post("/tasks/divide?delay=20", json={"x": 1, "y": 2}).json()["task_id"]
    for path in (f"/tasks/{task_id}", f"/tasks/{task_id}/result"):
        first = service.http.get(path)
        etag = {"If-None-Match": first.headers["ETag"]}
        if first.status_code == 202:  # a condition applies only to 200
            assert service.http.get(path, headers=etag).status_code == 202
            continue
        again = service.http.get(path, headers=etag)
        assert (again.status_code, again.content) == (304, b"")
        assert int(again.headers["Retry-After"]) > 10
    service.http.post(f"/tasks/{task_id}/cancel")
    ended = service.http.get(f"/tasks/{task_id}", headers=etag)
    assert ended.status_code == 200 and ended.headers["ETag"] != etag["If-None-Match"]


def test_a_ticket_shows_how_many_more_tasks_are_allowed(service: Service) -> None:
    first, second = (service.http.post("/tasks/divide?delay=60", json={"x": 1, "y": 2}) for _ in range(2))
    left = [int(answer.headers["RateLimit"].rpartition("r=")[2]) for answer in (first, second)]
    assert first.headers["RateLimit-Policy"] == '"unfinished";q=10000'
    assert left[1] == left[0] - 1 < 10_000
    service.http.post("/bulk/cancel", params={"status": "scheduled"})


def test_a_list_links_to_its_next_page_and_the_last_to_none(service: Service) -> None:
    for _ in range(2):
        service.submit("divide", x=1, y=2)
    answer = service.http.get("/tasks", params={"limit": 1, "task": "divide"})
    following = answer.json()["next"]
    assert answer.headers["Link"] == f'<{service.url}{following}>; rel="next"'
    assert "task=divide" in following
    assert "Link" not in service.http.get("/tasks", params={"limit": 1, "tag": "nobody-has-it"}).headers
