"""Task ids: in the order in which they were made, and known again without being kept."""

import threading
import time
from uuid import UUID

from harness import Service

from server.store import ids

KEY = b"key"


def test_ids_come_in_the_order_in_which_they_were_made_within_a_millisecond_too() -> None:
    made = [ids.new("alice", KEY, time.time_ns()) for _ in range(20_000)]
    assert made == sorted(set(made))
    assert len({ids.milliseconds(each) for each in made}) < len(made)


def test_no_two_threads_make_the_same_id() -> None:
    made: list[list[str]] = [[] for _ in range(4)]
    threads = [
        threading.Thread(
            target=lambda own: own.extend(ids.new("alice", KEY, time.time_ns()) for _ in range(5_000)), args=(own,)
        )
        for own in made
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(own == sorted(own) for own in made)
    assert len({each for own in made for each in own}) == 20_000


def test_an_id_is_a_uuid_of_version_7_with_the_time_of_its_making() -> None:
    before = time.time_ns() // 1_000_000
    made = ids.new("alice", KEY, time.time_ns())
    assert (UUID(made).version, UUID(made).variant) == (7, "specified in RFC 4122")
    assert before <= ids.milliseconds(made) <= before + 1_000


def test_an_id_is_its_owners_and_this_servers() -> None:
    made = ids.new("alice", KEY, time.time_ns())
    assert ids.issued(made, "alice", KEY)
    other = made[:14] + ("8" if made[14] == "7" else "7") + made[15:]
    for text, owner, key in [(made, "bob", KEY), (made, "alice", b"other"), (other, "alice", KEY), ("x", "alice", KEY)]:
        assert not ids.issued(text, owner, key)
    assert not ids.issued(made.upper(), "alice", KEY)


def test_an_admin_knows_an_issued_id_whoever_its_owner_is() -> None:
    made = ids.new("alice", KEY, time.time_ns())
    other = made[:14] + ("8" if made[14] == "7" else "7") + made[15:]

    assert ids.issued(made, None, KEY)
    assert not ids.issued(made, None, b"other")
    assert not ids.issued(other, None, KEY)
    for place in (20, 28, 33, 35):
        letter = "0" if made[place] != "0" else "1"
        assert not ids.issued(made[:place] + letter + made[place + 1 :], None, KEY)


def test_a_batch_is_listed_and_queued_in_its_own_order(fresh: Service) -> None:
    fresh.start_web()
    items = [{"task": "divide", "input": {"x": 1, "y": 2}}] * 300
    made = [each["task_id"] for each in fresh.http.post("/batches", json={"items": items}).json()["items"]]
    listed = [each["task_id"] for each in fresh.http.get("/tasks", params={"limit": 300}).json()["tasks"]]
    assert listed == made[::-1]
    places = [fresh.status(each)["queue"]["position"] for each in made[::50]]
    assert places == list(range(1, 301, 50))
