"""W3C Trace Context from submit to webhook, and logs as JSON whose lines name task, request and trace."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from harness import Service, eventually
from test_webhooks import Receiver

from server.logs.trace import NO_TRACE, parse_trace

ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{ID}-00f067aa0ba902b7-01"
STATE = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
TRACED = {"traceparent": PARENT, "tracestate": STATE}


Line = dict[str, Any]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {"LOG_FORMAT": "json", "ALLOW_PRIVATE_ADDRESSES": "true", "WEB_CONCURRENCY": "2", "LEASE_SECONDS": "5"}
    with Service(tmp_path_factory.mktemp("traces"), TASK_MODULES="traced_tasks", **settings) as service:
        yield service.start()


def lines(service: Service) -> list[Line]:
    """Return every line of web and worker; each is one JSON object."""
    assert service.web
    logs = [service.web.output(), *(worker.output() for worker in service.workers)]
    records = [json.loads(line) for log in logs for line in log.splitlines(keepends=False) if line]
    assert all({"time", "level", "message"} <= each.keys() for each in records)
    return records


def submitted(service: Service, headers: dict[str, str], query: str = "", **parameters: Any) -> str:
    answer = service.http.post(f"/tasks/writes_lines{query}", json=parameters, headers=headers)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["task_id"])


@pytest.mark.parametrize("query", ["", "?tag=by-flask"], ids=["in the loop", "by Flask"])
def test_a_task_knows_the_trace_of_its_submit(server: Service, query: str) -> None:
    assert server.result(submitted(server, TRACED, query)) == [PARENT, STATE]


@pytest.mark.parametrize("query", ["", "?tag=by-flask"], ids=["in the loop", "by Flask"])
def test_a_task_without_a_trace_gets_none(server: Service, query: str) -> None:
    invalid = {"traceparent": f"00-{'0' * 32}-00f067aa0ba902b7-01", "tracestate": STATE}
    for headers in ({}, {"tracestate": STATE}, invalid):
        task_id = submitted(server, headers, query)
        assert server.result(task_id) == ["", ""]
        assert not [each for each in lines(server) if each.get("task_id") == task_id and "trace_id" in each]


def test_every_other_submit_keeps_the_trace(server: Service) -> None:
    first = submitted(server, TRACED, how="submits")
    (child,) = server.result(first)
    assert server.result(child) == [PARENT, STATE]  # of the task that submitted it
    other = {"traceparent": PARENT.replace("00f067", "11f067")}
    again = server.http.post(f"/tasks/{child}/retry", headers=other).json()["task_id"]
    assert server.result(again) == [other["traceparent"], ""]
    items = {"items": [{"task": "writes_lines"}]}
    batch = server.http.post("/batches", json=items, headers=TRACED).json()
    assert server.result(batch["items"][0]["task_id"]) == [PARENT, STATE]
    server.http.put("/schedules/traced", json={"task": "writes_lines", "every": 3600})
    run = server.http.post("/schedules/traced/run", headers=TRACED).json()["task_id"]
    assert server.result(run) == [PARENT, STATE]


def test_a_webhook_continues_the_trace(server: Service) -> None:
    with Receiver().listening() as receiver:
        submitted(server, TRACED, f"?webhook={receiver.url}")
        submitted(server, {}, f"?webhook={receiver.url}")
        items = {"items": [{"task": "writes_lines"}]}
        for headers in (TRACED, {}):
            server.http.post("/batches", json=items, params={"webhook": receiver.url}, headers=headers)
        receiver.wait(4)
    traced = [each for each, _ in receiver.got if "traceparent" in each]
    assert [(each["traceparent"], each["tracestate"]) for each in traced] == [(PARENT, STATE)] * 2


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("", {"request", "task.started", "task.log", "logged \u2028 {}", "task.succeeded"}),
        ("fails", {"request", "task.started", "task.log", "logged \u2028 {}", "task.failed"}),
        ("dies", {"request", "task.started", "task.worker_lost"}),
    ],
)
def test_each_line_of_a_task_names_task_request_and_trace(server: Service, how: str, expected: set[str]) -> None:
    task_id = submitted(server, {**TRACED, "X-Request-ID": f"req-{how}"}, how=how)

    def of_task() -> list[Line]:
        of_this_task = [
            each for each in lines(server) if task_id in str(each) and not each.get("path", "").endswith(task_id)
        ]
        return of_this_task if expected <= {each["message"] for each in of_this_task} else []

    of_this_task = eventually(of_task, seconds=60)
    for each in of_this_task:
        assert (each["task_id"], each["request_id"], each["trace_id"]) == (task_id, f"req-{how}", ID), each
    texts = {each.get("text") for each in of_this_task}
    assert how == "dies" or {"printed", "to standard error", "of the task"} <= texts
    assert how != "fails" or any("OSError: for the test" in each.get("traceback", "") for each in of_this_task)


def test_log_lines_of_gunicorn_and_celery_are_json_and_belong_to_no_task(server: Service) -> None:
    server.result(submitted(server, TRACED))
    time.sleep(1.5)  # lines of maintenance
    records = lines(server)

    assert [each for each in records if "Booting worker" in each["message"]]
    ready = [each for each in records if each["message"].endswith(" ready.")]
    assert ready
    assert "task_id" not in ready[0]
    assert not [each for each in records if each["message"].startswith("maintenance") and "task_id" in each]


@pytest.mark.parametrize(
    ("parent", "kept"),
    [
        (PARENT, PARENT),
        (PARENT[:-2] + "00", PARENT[:-2] + "00"),
        ("cc" + PARENT[2:] + "-what-comes-later", PARENT),
        ("cc" + PARENT[2:-2] + "fe", PARENT[:-2] + "00"),
        ("ff" + PARENT[2:], ""),
        (PARENT + "-more", ""),
        (PARENT + "more", ""),
        ("cc" + PARENT[2:] + "more", ""),
        (PARENT.upper(), ""),
        (PARENT[:-1], ""),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", ""),
        (f"00-{ID}-{'0' * 16}-01", ""),
        (f"{PARENT},{PARENT}", ""),
        ("", ""),
        ("0\u0660" + PARENT[2:], ""),
    ],
)
def test_a_traceparent_is_validated(parent: str, kept: str) -> None:
    assert parse_trace(parent).parent == kept


@pytest.mark.parametrize(
    ("state", "kept"),
    [
        (STATE, STATE),
        ("a=1, b=2 ,,\tc=3", "a=1,b=2,c=3"),
        ("fw529a3039@dt=x", "fw529a3039@dt=x"),
        ("a=1,a=2", ""),
        ("A=1", ""),
        ("a", ""),
        ("a=", ""),
        ("a=b=c", ""),
        ("a=\x7f", ""),
        (",".join(f"k{n}=1" for n in range(33)), ""),
        (",".join(f"k{n:02}={'x' * 100}" for n in range(6)), ",".join(f"k{n:02}={'x' * 100}" for n in range(4))),
    ],
)
def test_a_tracestate_is_validated(state: str, kept: str) -> None:
    assert parse_trace(PARENT, state).state == kept
    assert parse_trace("", state) == NO_TRACE
