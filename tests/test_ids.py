"""Task ids: sorted by creation, and recognized without being stored."""

import contextlib
import shlex
import threading
import time
from collections.abc import Iterator
from uuid import UUID

import httpx
import pytest
from harness import PROCFILE, Process, Service, eventually, free_port

from server.store import ids

KEY = b"key"


def test_ids_sort_by_creation_even_within_a_millisecond() -> None:
    created = [ids.new("alice", KEY, time.time_ns()) for _ in range(20_000)]
    assert created == sorted(set(created))
    assert len({ids.milliseconds(each) for each in created}) < len(created)


def test_no_two_threads_create_the_same_id() -> None:
    batches: list[list[str]] = [[] for _ in range(4)]
    threads = [
        threading.Thread(
            target=lambda batch: batch.extend(ids.new("alice", KEY, time.time_ns()) for _ in range(5_000)),
            args=(batch,),
        )
        for batch in batches
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(batch == sorted(batch) for batch in batches)
    assert len({each for batch in batches for each in batch}) == 20_000


def test_an_id_is_a_uuid_of_version_7_with_its_creation_time() -> None:
    before = time.time_ns() // 1_000_000
    task_id = ids.new("alice", KEY, time.time_ns())
    assert (UUID(task_id).version, UUID(task_id).variant) == (7, "specified in RFC 4122")
    assert before <= ids.milliseconds(task_id) <= before + 1_000


def test_an_id_is_bound_to_its_owner_and_server() -> None:
    task_id = ids.new("alice", KEY, time.time_ns())
    assert ids.issued(task_id, "alice", KEY)
    other = task_id[:14] + ("8" if task_id[14] == "7" else "7") + task_id[15:]
    for text, owner, key in [
        (task_id, "bob", KEY),
        (task_id, "alice", b"other"),
        (other, "alice", KEY),
        ("x", "alice", KEY),
    ]:
        assert not ids.issued(text, owner, key)
    assert not ids.issued(task_id.upper(), "alice", KEY)


def test_an_admin_recognizes_an_issued_id_of_any_owner() -> None:
    task_id = ids.new("alice", KEY, time.time_ns())
    other = task_id[:14] + ("8" if task_id[14] == "7" else "7") + task_id[15:]

    assert ids.issued(task_id, None, KEY)
    assert not ids.issued(task_id, None, b"other")
    assert not ids.issued(other, None, KEY)
    for index in (20, 28, 33, 35):
        letter = "0" if task_id[index] != "0" else "1"
        assert not ids.issued(task_id[:index] + letter + task_id[index + 1 :], None, KEY)


@pytest.mark.slow
def test_a_batch_is_listed_and_queued_in_the_order_of_its_items(fresh: Service) -> None:
    fresh.start_web()
    items = [{"task": "divide", "input": {"x": 1, "y": 2}}] * 300
    task_ids = [each["task_id"] for each in fresh.http.post("/batches", json={"items": items}).json()["items"]]
    listed = [each["task_id"] for each in fresh.http.get("/tasks", params={"limit": 300}).json()["tasks"]]
    assert listed == task_ids[::-1]
    positions = [fresh.status(each)["queue"]["position"] for each in task_ids[::50]]
    assert positions == list(range(1, 301, 50))


@pytest.fixture
def newcomer(fresh: Service) -> Iterator[str]:
    """The address of a second web server, which starts after Redis has lost everything."""
    url = f"http://127.0.0.1:{(port := free_port())}"

    def live() -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{url}/health/live").is_success
        return False

    fresh.start_web()
    fresh.submit("divide", x=1, y=2)  # its process has read the secret
    fresh.redis.client.flushall()
    web = Process(shlex.split(PROCFILE["web"]), fresh.folder / "second.log", {**fresh.env, "PORT": str(port)})
    eventually(live)
    yield url
    web.kill()


@pytest.mark.parametrize("first", ["old", "new"])
def test_all_web_processes_agree_on_an_id_when_redis_has_lost_everything(
    fresh: Service, newcomer: str, first: str
) -> None:
    task_id = fresh.submit("divide", x=1, y=2)
    fresh.redis.client.flushall()
    urls = [fresh.url, newcomer] if first == "old" else [newcomer, fresh.url]

    statuses = [httpx.get(f"{url}/tasks/{task_id}").status_code for url in urls * 2]

    assert set(statuses) == {410 if first == "old" else 404}
    assert httpx.get(f"{newcomer}/tasks/{fresh.submit('divide', x=1, y=2)}").status_code == 200
