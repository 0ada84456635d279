"""Logs: one line per event, with the request's and the task's id; no client input can break a line."""

import asyncio
import json
import logging
import os
import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from harness import Service, eventually

from server.logs import LineFormatter, StandardOutput, event, once_a_turn

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO|WARNING|ERROR|CRITICAL) \S.*")


def lines(service: Service) -> list[str]:
    assert service.web
    logs = [service.web.output(), *(worker.output() for worker in service.workers)]
    return [line for log in logs for line in log.split("\n") if line]


def test_a_request_and_its_task_can_be_followed_through_both_logs(service: Service) -> None:
    answer = service.http.post("/tasks/divide", json={"x": 1, "y": 1}, headers={"X-Request-ID": "from-my-proxy.1"})
    task_id = answer.json()["task_id"]
    service.wait_for(task_id)

    assert answer.headers["X-Request-ID"] == "from-my-proxy.1"
    both = f"request_id=from-my-proxy.1 task_id={task_id}"
    (web,) = [line for line in lines(service) if "path=/tasks/divide" in line and both in line]
    assert "method=POST" in web
    assert "status=202" in web

    def both_logged() -> bool:
        mentions = [line for line in lines(service) if f"task_id={task_id} request_id=from-my-proxy.1" in line]
        return ["task.started" in " ".join(mentions), "task.succeeded" in " ".join(mentions)] == [True, True]

    eventually(both_logged)


@pytest.mark.parametrize(
    "request_id",
    ["", "a b", "a\tb", "x" * 65, "é", "a=b task_id=1", '"', "%0a", "a;b"],
)
def test_an_invalid_request_id_is_replaced(service: Service, request_id: str) -> None:
    answer = service.http.get("/health/live", headers={"X-Request-ID": request_id.encode("latin-1")})

    assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["X-Request-ID"])


def test_every_log_line_is_one_event_despite_line_breaks_in_values(service: Service) -> None:
    service.http.get("/a%0a2026-01-01T00:00:00.000Z%20ERROR%20forged%20%1b[31m%E2%80%A8%C2%85x")
    service.http.post("/tasks/echo_file", content=b"x", headers={"Content-Type": "image/png; x=\x1b[31m"})
    task_id = service.submit("ends", how="os")
    service.wait_for(task_id)

    with_traceback = eventually(lambda: [each for each in lines(service) if "traceback=" in each and task_id in each])

    assert len(with_traceback) == 1
    assert "FileNotFoundError" in with_traceback[0]
    for line in lines(service):
        assert LINE.fullmatch(line), line
        assert line.isprintable()
    assert not [line for line in lines(service) if " ERROR forged" in line.replace("%20", " ") and "path=" not in line]


def test_bodies_and_queries_are_not_logged(service: Service) -> None:
    service.wait_for(service.submit("typed", text="swordfish-in-the-body"))
    service.http.post("/tasks/typed?text=swordfish-in-the-query")
    service.http.get("/catalog", headers={"Authorization": "Bearer swordfish-for-a-key"})

    assert not [line for line in lines(service) if "swordfish-" in line]


def made_up(message: str, **fields: Any) -> str:
    record = logging.LogRecord("x", logging.INFO, "", 0, message, (), None)
    record.fields = fields
    return LineFormatter().format(record)


def test_values_are_plain_or_quoted() -> None:
    line = made_up(
        "event", plain="a-b/c:1", spaced="a b", empty="", none=None, zero=0, quoted='"', broken="a\nb\x9b\u2028"
    )

    assert line.endswith(r'''event plain=a-b/c:1 spaced="a b" zero=0 quoted="\"" broken="a\nb\x9b\u2028"''')


def test_a_message_with_line_breaks_stays_one_line() -> None:
    assert made_up("a\nb\r\x1b[31m").endswith(r"a\nb\r\x1b[31m")


def test_a_traceback_is_logged_as_a_json_string() -> None:
    try:
        raise ValueError("a\nb")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "failed", (), sys.exc_info())

    line = LineFormatter().format(record)

    assert line.count("\n") == 0
    assert json.loads(line.partition("traceback=")[2]).endswith("ValueError: a\nb")


def test_the_output_and_logs_of_a_task_have_its_id_and_reach_its_events(service: Service) -> None:
    task_id = service.submit("prints_and_logs", number=7)
    service.result(task_id)

    entries = service.store.tasks.events(task_id, 0)[1]
    texts = [each.content["text"] for each in entries if each.event == "log"]
    assert texts == ["printed 7 and more", "INFO logged 7", "from a thread", "without an end"]
    lines = [line for line in service.workers[0].output().splitlines() if task_id in line]
    assert [line for line in lines if 'text="printed 7 and more"' in line]
    assert [line for line in lines if '"logged 7"' in line or " logged 7 " in line]
    assert not [line for line in lines if "too fine" in line]


def test_log_lines_of_one_loop_iteration_are_written_together_and_none_is_lost(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[int] = []
    monkeypatch.setattr(logging.getLogger(), "handlers", [output := StandardOutput()])
    output.setFormatter(LineFormatter())

    def counting(number: int, text: bytes, write: Callable[[int, bytes], int] = os.write) -> int:
        writes.extend([1] * (number == 1))
        return write(number, text)

    monkeypatch.setattr("os.write", counting)
    log = logging.getLogger("server.turns")
    log.setLevel(logging.INFO)

    async def turns() -> None:
        with once_a_turn(asyncio.get_running_loop().call_soon):
            for turn in range(2):
                for _ in range(3):
                    event(log, "line", turn=turn)
                await asyncio.sleep(0)
            event(log, "last")
        event(log, "after")

    with ThreadPoolExecutor(1) as pool:  # this thread has the loop of a browser, if its tests ran here
        pool.submit(asyncio.run, turns()).result()

    messages = [line.split(" ", 2)[2] for line in capfd.readouterr().out.splitlines()]
    assert messages == ["line turn=0"] * 3 + ["line turn=1"] * 3 + ["last", "after"]
    assert len(writes) == 4
