"""Malicious input: no answer is a 500, and no answer grows with the request."""

import json

import pytest
from harness import Service

JSON = {"Content-Type": "application/json"}

#: An answer about a wrong input is smaller than this, whatever the input.
MAX_BYTES = 16_000


@pytest.mark.parametrize(
    "path",
    [
        "/tasks?limit=" + "9" * 5000,
        "/tasks?since=0001-01-01T00:00%2B14:00",
        "/tasks?until=9999-12-31T23:59:59-14:00",
        "/tasks?cursor=%ED%A0%80",
        "/tasks?wait=" + "9" * 5000,
        "/tasks?tag=%00",
        "/audit?until=0001-01-01T00:00%2B14:00",
        "/audit?cursor=0-0",
        "/feeds?cursor=WyJcdWQ4MDAiLCJcdWQ4MDAiXQ",
        "/feeds/%00",
        "/schedules?cursor=%ED%A0%80",
        "/catalog/%ED%A0%80",
        "/problems/%ED%A0%80",
        "/ui/tasks?limit=" + "9" * 5000,
        "/ui/tasks?since=0001-01-01T00:00%2B14:00",
        "/ui/tasks?q=%ED%A0%80",
        "/ui/tasks/events?top=%ED%A0%80",
        "/ui/tasks/events?at=%C2%B2&status=x",
    ],
    ids=lambda path: path[:40],
)
def test_a_crafted_address_is_never_an_internal_error(service: Service, path: str) -> None:
    answer = service.http.get(path)

    assert answer.status_code < 500, answer.text


@pytest.mark.parametrize("query", ["delay=" + "9" * 5000, "not_before=9999-12-31T23:59:59-14:00", "ttl=" + "9" * 5000])
def test_a_crafted_option_is_refused(service: Service, query: str) -> None:
    assert service.http.post(f"/tasks/divide?{query}", json={"x": 1, "y": 1}).status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        {f"k{number}": 1 for number in range(1000)},
        {"x" * 100_000: 1},
        {"text": "a", "items": [{"name": 1}] * 1000},
        {"text": "a", "extra": {"deep" * 1000: "x"}},
    ],
    ids=["many keys", "a long key", "many items", "a long key inside"],
)
def test_the_size_of_an_error_response_does_not_grow_with_the_input(service: Service, body: object) -> None:
    answer = service.http.post("/tasks/typed", json=body)

    assert answer.status_code == 422
    assert len(answer.content) < MAX_BYTES
    assert len(answer.json()["errors"]) <= 50


def test_an_error_counts_the_errors_that_it_omits(service: Service) -> None:
    problem = service.http.post("/tasks/divide", json={f"k{number}": 1 for number in range(100)}).json()

    # 100 unknown keys, and the two that are missing.
    assert len(problem["errors"]) + problem["more_errors"] == 102


@pytest.mark.slow
def test_a_body_with_too_many_values_is_refused_before_it_is_validated(service: Service) -> None:
    body = json.dumps({f"k{number}": 1 for number in range(200_000)})

    answer = service.http.post("/tasks/divide", content=body, headers=JSON)

    assert answer.status_code == 413
    assert len(answer.content) < MAX_BYTES


def test_the_response_to_a_batch_of_invalid_items_has_a_maximum_size(service: Service) -> None:
    item = {"task": "divide", "input": {f"k{number}": 1 for number in range(200)}}

    answer = service.http.post("/batches", json={"items": [item] * 100})

    assert answer.status_code == 202
    assert len(answer.content) < 100 * 2_000
