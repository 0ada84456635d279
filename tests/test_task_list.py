"""Lists of tasks, and bulk calls for all tasks that match a filter."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from harness import Service


def batch(service: Service, count: int, tag: str, **item: Any) -> list[str]:
    one = {"task": "divide", "input": {"x": 1, "y": 2}, "options": {"tag": [tag]}} | item
    answer = service.http.post("/batches", json={"items": [one] * count})
    assert "items" in answer.json(), answer.text
    return [each["task_id"] for each in answer.json()["items"]]


def pages(service: Service, **query: Any) -> list[dict[str, Any]]:
    """Yield every page, following its Link header."""
    bodies, answer = [], service.http.get("/tasks", params=query)
    while True:
        assert answer.status_code == 200, answer.text
        bodies.append(answer.json())
        if "next" not in answer.links:
            return bodies
        answer = service.http.get(answer.links["next"]["url"])


def ids(page: dict[str, Any]) -> list[str]:
    return [task["task_id"] for task in page["tasks"]]


def test_tasks_are_listed_newest_first(service: Service) -> None:
    first = service.submit("divide", x=1, y=2)
    second = service.submit("divide", x=1, y=2)
    listed = ids(service.http.get("/tasks", params={"limit": 2}).json())
    assert listed == [second, first]


def test_a_cursor_neither_skips_nor_repeats_while_tasks_are_added_and_deleted(service: Service) -> None:
    tag = uuid.uuid4().hex
    before = batch(service, 25, tag)
    listed: list[str] = []
    answer = service.http.get("/tasks", params={"task": "divide", "limit": 10})
    while "next" in answer.links and not set(before) <= set(listed):
        listed += ids(answer.json())
        batch(service, 3, tag)
        service.wait_for(before[0])
        service.http.delete(f"/tasks/{listed[0]}")
        answer = service.http.get(answer.links["next"]["url"])
    listed += ids(answer.json())
    assert len(listed) == len(set(listed))
    assert set(before) <= set(listed)


def test_a_tag_filters_page_by_page(service: Service) -> None:
    tag = uuid.uuid4().hex
    task_ids = batch(service, 7, tag)
    listed = pages(service, tag=tag, limit=3)
    assert [len(page["tasks"]) for page in listed] == [3, 3, 1]
    assert {each for page in listed for each in ids(page)} == set(task_ids)


def test_statuses_and_task_types_are_filtered_by_comma_separated_lists(service: Service) -> None:
    tag = uuid.uuid4().hex
    good = batch(service, 1, tag)[0]
    bad = batch(service, 1, tag, input={"x": 1, "y": 0})[0]
    typed = service.http.post(f"/tasks/typed?tag={tag}", json={"text": "t"}).json()["task_id"]
    for each in (good, bad, typed):
        service.wait_for(each)
    assert ids(pages(service, tag=tag, status="failed")[0]) == [bad]
    assert set(ids(pages(service, tag=tag, status="failed,succeeded")[0])) == {good, bad, typed}
    assert ids(pages(service, tag=tag, task="typed,divide", status="succeeded")[0])[0] == typed
    assert ids(pages(service, status="failed", limit=1)[0]) == [bad]


def test_since_and_until_bound_the_time_of_submission(service: Service) -> None:
    first = service.submit("typed", text="first")
    moment = service.status(first)["submitted_at"]
    assert first in ids(service.http.get("/tasks", params={"since": moment, "task": "typed"}).json())
    assert first not in ids(service.http.get("/tasks", params={"until": moment, "task": "typed"}).json())


def test_invalid_filters_are_refused(service: Service) -> None:
    for query in (
        {"status": "sleeping"},
        {"limit": "0"},
        {"limit": "501"},
        {"limit": "x"},
        {"cursor": "abc"},
        {"since": "yesterday"},
        {"until": "2026-01-01T00:00:00"},
    ):
        answer = service.http.get("/tasks", params=query)
        assert answer.status_code == 422, query
        assert answer.json()["errors"][0]["loc"][1] == next(iter(query))


def test_an_unknown_task_type_lists_nothing(service: Service) -> None:
    assert service.http.get("/tasks", params={"task": "nobody_knows"}).json()["tasks"] == []


def test_a_deleted_task_is_gone_with_its_files(service: Service) -> None:
    task_id = service.http.post("/tasks/echo_file", files={"file": ("a.txt", b"content", "text/plain")}).json()[
        "task_id"
    ]
    href = service.result(task_id)["href"]
    answer = service.http.delete(f"/tasks/{task_id}")
    assert (answer.status_code, answer.content, answer.headers.get("Content-Type")) == (204, b"", None)
    assert service.http.get(f"/tasks/{task_id}").status_code == 410
    assert service.http.get(href).status_code == 410
    assert not list(service.redis.client.scan_iter(f"*{task_id}*"))
    assert service.http.delete(f"/tasks/{task_id}").status_code == 410


def test_bulk_cancel_cancels_only_matching_tasks(service: Service) -> None:
    tag, other = uuid.uuid4().hex, uuid.uuid4().hex
    later = {"task": "divide", "input": {"x": 1, "y": 2}}
    matching = batch(service, 5, tag, **later, options={"tag": [tag], "delay": 60})
    spared = batch(service, 1, other, **later, options={"tag": [other], "delay": 60})
    answer = service.http.post("/bulk/cancel", params={"tag": tag})
    assert answer.json() == {"canceled": 5, "refused": [], "more": False, "next": None}
    assert {service.status(each)["status"] for each in matching} == {"canceled"}
    assert service.status(spared[0])["status"] == "scheduled"
    service.http.post("/bulk/cancel", params={"tag": other})


def test_simultaneous_bulk_cancels_count_each_task_once(service: Service) -> None:
    tag = uuid.uuid4().hex
    batch(service, 300, tag, options={"tag": [tag], "delay": 60})
    with ThreadPoolExecutor(4) as threads:
        calls = [threads.submit(service.http.post, "/bulk/cancel", params={"tag": tag}) for _ in range(4)]
    assert sum(call.result().json()["canceled"] for call in calls) == 300


def test_the_next_page_keeps_the_filters(service: Service) -> None:
    tag, other = uuid.uuid4().hex, uuid.uuid4().hex
    both = batch(service, 3, tag, options={"tag": [tag, other]})
    batch(service, 2, tag)
    listed = pages(service, tag=[tag, other], status=["queued,running", "succeeded"], limit=2)
    assert sorted(task for page in listed for task in ids(page)) == sorted(both)


@pytest.mark.parametrize("query", ["task=,", "status=", "tag=,&since=", "status=scheduled&tga=mine"])
def test_an_empty_filter_cancels_nothing(service: Service, query: str) -> None:
    later = batch(service, 1, "mine", options={"tag": ["mine"], "delay": 60})[0]
    assert service.http.post(f"/bulk/cancel?{query}").status_code == 400
    assert service.status(later)["status"] == "scheduled"
    service.http.post(f"/tasks/{later}/cancel")


def test_a_bulk_call_requires_a_filter(service: Service) -> None:
    for path in ("/bulk/cancel", "/bulk/retry"):
        assert service.http.post(path).status_code == 400
        assert service.http.post(path, params={"colour": "red"}).status_code == 400


def test_an_empty_time_window_is_a_valid_filter(service: Service) -> None:
    for method, path in (("GET", "/tasks"), ("POST", "/bulk/cancel"), ("POST", "/bulk/retry")):
        answer = service.http.request(method, path, params={"task": "divide", "until": ""})
        assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["query", "until"])


@pytest.mark.slow
@pytest.mark.parametrize("thousands", [10, pytest.param(100, marks=pytest.mark.slow)])
def test_a_page_costs_redis_the_same_with_a_hundred_tasks_and_with_thousands(tmp_path: Path, thousands: int) -> None:
    many = {"MAX_WAITING_PER_OWNER": "200000", "MAX_WAITING_PER_QUEUE": "200000"}
    with Service(tmp_path, TASK_MODULES="sample_tasks", **many) as service:
        service.start_web()
        batch(service, 100, "few")
        paths = ["/ui/tasks", "/ui/tasks?status=queued&task=divide", "/tasks", "/ui/overview"]
        before = [_redis_cost(service, path) for path in paths]
        for _ in range(thousands):
            batch(service, 1000, "many")
        for path, (calls, size) in zip(paths, before, strict=True):
            assert _redis_cost(service, path) == (calls, pytest.approx(size, rel=0.05, abs=500)), path
        assert service.http.get("/queues").json()["queues"][0]["waiting"] == thousands * 1000 + 100


def _redis_cost(service: Service, path: str) -> tuple[dict[str, int], int]:
    """Return the number of each Redis command for a page, and the number of bytes in the answers.

    Of several requests the one with the fewest: a process also asks for some things once a second.
    """
    service.http.get(path)
    return min((_redis_cost_once(service, path) for _ in range(5)), key=lambda cost: (sum(cost[0].values()), cost[1]))


def _redis_cost_once(service: Service, path: str) -> tuple[dict[str, int], int]:
    service.redis.client.config_resetstat()
    assert service.http.get(path).status_code == 200
    calls = {name: each["calls"] for name, each in service.redis.client.info("commandstats").items()}
    return calls, service.redis.client.info("stats")["total_net_output_bytes"]
