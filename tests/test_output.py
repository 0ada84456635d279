"""Items that a task yields or emits, read by pollers and listeners while it runs."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness import Service, eventually
from httpx_sse import ServerSentEvent, connect_sse
from output_tasks import emits, emits_infinity, yields_late, yields_rows
from sample_tasks import LEDGER
from waiting_clients import Puppet

from server import Canceled, TaskError
from server.store.tasks import MAX_OUTPUT_BYTES
from server.testing import run

TASKS = "sample_tasks,output_tasks,puppet_tasks"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server whose tasks give output."""
    with Service(tmp_path_factory.mktemp("output"), TASK_MODULES=TASKS) as service:
        yield service.start()


@pytest.fixture
def killable(tmp_path: Path) -> Iterator[Service]:
    """A server for one test, which kills something."""
    with Service(tmp_path, TASK_MODULES=TASKS, LEASE_SECONDS="5", SOFT_SHUTDOWN_SECONDS="2") as service:
        yield service.start()


def page(service: Service, task_id: str, after: int = 0, wait: int = 0) -> dict[str, Any]:
    """One answer to a poller."""
    answer = service.http.get(f"/tasks/{task_id}/output", params={"after": after, "wait": wait})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def polled(service: Service, task_id: str) -> list[dict[str, Any]]:
    """All answers to a poller, until the end."""
    pages, after = [], 0
    while not pages or not pages[-1]["ended"]:
        pages.append(page(service, task_id, after, wait=5))
        after = pages[-1]["items"][-1]["number"] if pages[-1]["items"] else after
    return pages


def values(pages: list[dict[str, Any]]) -> list[Any]:
    """The values of the last attempt, as the documentation tells a poller to collect them; no item is missing."""
    items: list[tuple[int, Any]] = []
    attempt = pages[0]["attempt"]
    for each in pages:
        if each["attempt"] != attempt:
            items, attempt = [], each["attempt"]
        items += [(item["number"], item["value"]) for item in each["items"]]
    numbers = [number for number, _ in items]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    return [value for _, value in items]


def events_after(service: Service, task_id: str, last: str = "", limit: int = 10_000) -> list[ServerSentEvent]:
    """The events after an id until the end, or some of them."""
    headers = {"Last-Event-ID": last} if last else {}
    events: list[ServerSentEvent] = []
    with (
        httpx.Client(base_url=service.url, timeout=30) as client,
        connect_sse(client, "GET", f"/tasks/{task_id}/events", headers=headers) as source,
    ):
        for event in source.iter_sse():
            events.append(event)
            if len(events) == limit:
                break
    return events


def items_of(events: list[ServerSentEvent]) -> list[dict[str, Any]]:
    return [event.json() for event in events if event.event == "output"]


def happens(service: Service, word: bytes) -> None:
    eventually(lambda: any(word in line for line in service.redis.client.lrange(LEDGER, 0, -1)))


def test_yielded_values_are_the_output_and_the_return_value_is_the_result(server: Service) -> None:
    task_id = server.submit("yields_rows", number=3)

    assert server.result(task_id) == "3 rows"
    assert page(server, task_id) == {
        "task_id": task_id,
        "status": "succeeded",
        "attempt": 1,
        "first": 1,
        "dropped": 0,
        "items": [{"number": n, "value": {"number": n, "text": ""}} for n in (1, 2, 3)],
        "ended": True,
    }
    assert page(server, task_id, after=2)["items"] == [{"number": 3, "value": {"number": 3, "text": ""}}]
    assert page(server, task_id, after=3)["items"] == page(server, task_id, after=99)["items"] == []


def test_async_generators_and_plain_functions_can_give_output(server: Service) -> None:
    late, plain = server.submit("yields_late", texts=["a", "b"]), server.submit("emits", items=[1, None, {"x": [2]}])

    assert server.result(late) is None
    assert server.result(plain) == 3
    assert values(polled(server, late)) == ["a", "b"]
    assert values(polled(server, plain)) == [1, None, {"x": [2]}]


def test_a_task_without_output_has_an_empty_output(server: Service) -> None:
    task_id = server.submit("divide", x=1, y=2)

    server.result(task_id)

    assert page(server, task_id) | {"task_id": ""} == {
        "task_id": "",
        "status": "succeeded",
        "attempt": 1,
        "first": 1,
        "dropped": 0,
        "items": [],
        "ended": True,
    }


def test_items_arrive_without_delay_while_the_task_runs(server: Service) -> None:
    task_id = server.submit("yields_then_sleeps", seconds=0)
    server.result(task_id)
    task_id = server.submit("yields_then_sleeps")

    pages = [page(server, task_id, wait=20)]
    while len(values(pages)) < 3:
        pages.append(page(server, task_id, after=len(values(pages)), wait=5))

    assert values(pages)[:3] == [1, 2, 3]
    assert server.status(task_id)["status"] == "running"
    server.http.post(f"/tasks/{task_id}/cancel")
    assert server.wait_for(task_id)["status"] == "canceled"  # at its next item, without a progress report
    happens(server, task_id.encode() + b" closed")
    assert polled(server, task_id)[-1]["ended"]


def test_a_waiting_poll_returns_a_new_item(server: Service) -> None:
    puppet = Puppet(server)
    puppet.do("emit first")
    assert page(server, puppet.id, wait=20)["items"] == [{"number": 1, "value": "first"}]
    puppet.do("log not an item", "emit second", "emit third")

    began = time.monotonic()
    pages = [page(server, puppet.id, 1, wait=20)]
    if len(pages[0]["items"]) == 1:
        pages.append(page(server, puppet.id, 2, wait=20))

    assert values(pages) == ["second", "third"]
    assert time.monotonic() - began < 10
    assert page(server, puppet.id, 3, wait=1) | {"task_id": ""} == {
        **{"task_id": "", "status": "running", "attempt": 1, "first": 1, "dropped": 0, "items": [], "ended": False}
    }
    puppet.do("end")
    assert page(server, puppet.id, 3, wait=20)["ended"]


def test_many_items_are_paged_and_all_are_sent_as_events(server: Service) -> None:
    task_id = server.submit("yields_rows", number=3_500, length=500)
    server.result(task_id)

    pages = polled(server, task_id)
    events = events_after(server, task_id)

    assert [row["number"] for row in values(pages)] == list(range(1, 3_501))
    assert 3 < len(pages) < 10
    assert [item["number"] for item in items_of(events)] == list(range(1, 3_501))
    assert [event.event for event in events[-2:]] == ["status", "done"]


def test_a_listener_that_reconnects_receives_exactly_the_missed_events(server: Service) -> None:
    puppet = Puppet(server)
    puppet.do("emit a", "progress 10", "emit b", "log word", "emit c", "end")
    server.result(puppet.id)
    everything = events_after(server, puppet.id)

    assert [item["value"] for item in items_of(everything)] == ["a", "b", "c"]
    assert items_of(everything)[0] == {"number": 1, "value": "a", "attempt": 1}
    assert len({event.id for event in everything}) == len(everything)
    for at, event in enumerate(everything[:-1]):
        missed = events_after(server, puppet.id, event.id)
        assert [(each.id, each.event, each.data) for each in missed] == [
            (each.id, each.event, each.data) for each in everything[at + 1 :]
        ]


def test_a_listener_receives_items_as_they_arrive(server: Service) -> None:
    task_id = server.submit("yields_rows", number=40, pause=0.05)

    first = events_after(server, task_id, limit=4)
    assert server.status(task_id)["status"] == "running"
    rest = events_after(server, task_id, first[-1].id)

    assert [item["number"] for item in items_of(first + rest)] == list(range(1, 41))


@pytest.mark.parametrize("end", ["dies", "fails"])
def test_a_new_attempt_continues_the_numbers_and_drops_earlier_items(server: Service, end: str) -> None:
    task_id = server.submit("yields_again", number=10, end=end)

    pages = polled(server, task_id)

    assert values(pages) == [f"2/{at}" for at in range(10)]
    assert pages[-1] | {"items": []} == {
        **{"task_id": task_id, "status": "succeeded", "attempt": 2, "first": 7, "dropped": 0},
        **{"items": [], "ended": True},
    }
    assert [item["value"] for item in items_of(events_after(server, task_id))] == [f"2/{at}" for at in range(10)]


@pytest.mark.slow
def test_a_poller_and_a_listener_survive_a_killed_worker(killable: Service) -> None:
    task_id = killable.submit("yields_again", number=2_000, end="waits")
    happens(killable, b"half")
    pages = [page(killable, task_id)]
    while len(values(pages)) < 1_001:
        pages.append(page(killable, task_id, after=len(values(pages)), wait=5))
    before = events_after(killable, task_id, limit=500)

    killable.workers[0].kill()
    killable.start_worker()
    after = pages[-1]["items"][-1]["number"]
    while not pages[-1]["ended"]:
        pages.append(page(killable, task_id, after, wait=5))
        after = pages[-1]["items"][-1]["number"] if pages[-1]["items"] else after

    assert values(pages) == [f"2/{at}" for at in range(2_000)]
    assert pages[-1]["first"] == 1_002
    events = items_of(before + events_after(killable, task_id, before[-1].id))
    assert [item["value"] for item in events if item["attempt"] == 2] == [f"2/{at}" for at in range(2_000)]
    assert {item["attempt"] for item in events} == {1, 2}


def test_an_outage_of_redis_neither_loses_nor_duplicates_items(killable: Service) -> None:
    task_id = killable.submit("yields_rows", number=200, pause=0.02)
    assert page(killable, task_id, wait=20)["items"]

    killable.redis.process.kill()
    time.sleep(1.5)
    killable.redis.start()

    assert killable.wait_for(task_id, seconds=60)["deliveries"] == 1
    assert [row["number"] for row in values(polled(killable, task_id))] == list(range(1, 201))


def test_the_newest_items_are_kept_up_to_a_size_and_count_toward_the_quota(server: Service) -> None:
    stored_bytes = lambda: int(server.redis.client.hget(server.keys.bytes_held, "local") or 0)  # noqa: E731
    before = stored_bytes()
    task_id = server.submit("yields_rows", number=12, length=500_000)
    server.result(task_id)

    pages = polled(server, task_id)

    assert pages[0]["first"] == 5
    assert pages[0]["dropped"] == 4
    assert [row["number"] for row in values(pages)] == list(range(5, 13))
    assert 8 * 500_000 < stored_bytes() - before < MAX_OUTPUT_BYTES + 5_000
    assert server.http.delete(f"/tasks/{task_id}").status_code == 204
    assert stored_bytes() == before
    assert not server.redis.client.exists(server.keys.output(task_id))


def test_the_items_before_a_failure_are_kept(server: Service) -> None:
    late, wrong = server.submit("yields_wrong", case="late"), server.submit("yields_wrong", case="type")
    large = server.submit("emits", items=[1, "x" * 2_000_000])

    ended = [server.wait_for(task_id)["error"]["detail"] for task_id in (late, wrong, large)]

    assert ended[0] == "ValueError: too late"
    assert ended[1].startswith("An item of the output does not fit its declared type")
    assert ended[2] == "An item of the output has 2000002 bytes; the limit is 1048576."
    assert [values(polled(server, task_id)) for task_id in (late, wrong, large)] == [[1]] * 3


@pytest.mark.slow
def test_output_over_the_quota_ends_the_task(tmp_path: Path) -> None:
    with Service(tmp_path, TASK_MODULES=TASKS, MAX_BYTES_PER_OWNER="200000") as service:
        service.start()
        ended = service.wait_for(service.submit("yields_rows", number=500, length=1_000, pause=0.001))

        assert ended["status"] == "failed"
        assert ended["error"]["type"] == "/problems/storage-full"
        assert "the limit is 200000" in ended["error"]["detail"]


def test_the_catalog_has_the_schema_of_the_items(server: Service) -> None:
    catalog = {each["name"]: each for each in server.http.get("/catalog").json()["tasks"]}

    assert catalog["yields_rows"]["item_schema"]["properties"]["number"] == {"title": "Number", "type": "integer"}
    assert catalog["yields_rows"]["output_schema"]["type"] == "string"
    assert catalog["yields_late"]["item_schema"]["type"] == "string"
    assert "item_schema" not in catalog["emits"]


def test_a_file_in_an_item_can_be_read_after_the_end(server: Service) -> None:
    task_id = server.submit("yields_a_file")
    server.wait_for(task_id)

    assert server.http.get(values(polled(server, task_id))[0]["href"]).text == "page"


@pytest.mark.parametrize("wrong", ["-1", "x", "1.5", ""])
def test_an_invalid_number_is_refused(server: Service, wrong: str) -> None:
    task_id = server.submit("emits", items=[])

    answer = server.http.get(f"/tasks/{task_id}/output", params={"after": wrong})

    assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["query", "after"])


def test_another_owners_output_is_not_found(server: Service) -> None:
    answer = server.http.get("/tasks/00000000-0000-7000-8000-000000000000/output")

    assert answer.status_code == 404


def test_a_test_reads_the_output() -> None:
    done = run(yields_rows, number=2)

    assert (done.output, done.result) == ([{"number": 1, "text": ""}, {"number": 2, "text": ""}], "2 rows")
    assert run(yields_late, texts=["a"]).output == ["a"]
    assert run(emits, items=[[1], 2]).output == [[1], 2]
    with pytest.raises(Canceled):
        run(emits, items=[1], canceled=True)
    with pytest.raises(TaskError, match="An item of the output does not fit JSON"):
        run(emits_infinity)
