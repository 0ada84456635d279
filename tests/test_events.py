"""Server-sent events through Gunicorn, read by httpx-sse, an independent client."""

import contextlib
import itertools
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from harness import Service, eventually
from httpx_sse import ServerSentEvent, connect_sse
from waiting_clients import Caller, Puppet, listening, waited_for

TASKS = "sample_tasks,puppet_tasks"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server with a puppet task, and more child processes than a test uses."""
    with Service(tmp_path_factory.mktemp("told"), TASK_MODULES=TASKS, WORKER_CONCURRENCY="4") as server:
        yield server.start()


@pytest.fixture
def puppet(server: Service) -> Iterator[Puppet]:
    """A running task, which ends with its test."""
    running = Puppet(server)
    yield running
    running.do("end")
    server.wait_for(running.id)


@contextlib.contextmanager
def listen(server: Service, task_id: str, last: str = "") -> Iterator[Iterator[ServerSentEvent]]:
    """Read the events of a task after the one with this id."""
    headers = {"Last-Event-ID": last} if last else {}
    with (
        httpx.Client(base_url=server.url, timeout=30) as client,
        connect_sse(client, "GET", f"/tasks/{task_id}/events", headers=headers) as source,
    ):
        source.response.raise_for_status()
        yield source.iter_sse()


def read_all(server: Service, task_id: str, last: str = "") -> list[ServerSentEvent]:
    """Read all events until the stream ends."""
    with listen(server, task_id, last) as events:
        return list(events)


def summary(events: list[ServerSentEvent]) -> list[tuple[str, str]]:
    """Shorten events to their type and their main value."""
    tell = {"status": "status", "done": "status", "log": "text", "progress": "percent"}
    return [(event.event, str(event.json()[tell[event.event]])) for event in events]


def contents(events: list[ServerSentEvent]) -> list[tuple[str, str, str]]:
    """The complete content of each event."""
    return [(event.id, event.event, event.data) for event in events]


def follow(puppet: Puppet) -> None:
    """The usual sequence: two reports, two lines and the end."""
    puppet.do("progress 10", "log first", "progress 20", "log second")


PROGRESS_AND_LOG = [("progress", "0"), ("progress", "10"), ("log", "first"), ("progress", "20"), ("log", "second")]
END = [("status", "succeeded"), ("done", "succeeded")]


def test_a_stream_has_status_progress_log_and_finally_done(server: Service, puppet: Puppet) -> None:
    with listen(server, puppet.id) as events:
        assert summary([next(events)]) == [("status", "running")]
        puppet.is_waited_for()
        follow(puppet)
        puppet.do("end well")
        rest = list(events)
    assert summary(rest) == PROGRESS_AND_LOG + END
    assert rest[-1].json() == server.status(puppet.id)
    assert rest[2].json()["at"].startswith("20")


def test_an_event_arrives_when_it_happens(server: Service, puppet: Puppet) -> None:
    with listen(server, puppet.id) as events:
        for number in range(3):
            puppet.do(f"log {number}")
            assert next(event for event in events if event.event == "log").json()["text"] == str(number)
        assert server.status(puppet.id)["status"] == "running"


@pytest.mark.slow
def test_a_stream_may_start_while_the_task_is_queued(tmp_path: Path) -> None:
    with Service(tmp_path, TASK_MODULES=TASKS) as server:
        server.start_web()
        task_id = server.submit("flaky", failures=1)
        with listen(server, task_id) as events:
            assert summary([next(events)]) == [("status", "queued")]
            server.start_worker()
            rest = summary(list(events))
        assert [event for event, _ in itertools.groupby(rest)][-2:] == END
        assert ("status", "retrying") in rest


def test_a_late_client_gets_all_earlier_events_and_the_end(server: Service, puppet: Puppet) -> None:
    follow(puppet)
    puppet.do("end")
    server.wait_for(puppet.id)
    assert summary(read_all(server, puppet.id)) == PROGRESS_AND_LOG + END


@pytest.mark.parametrize(("command", "end"), [("fail so", "failed"), ("cancel", "canceled")])
def test_the_done_event_has_the_final_status(server: Service, puppet: Puppet, command: str, end: str) -> None:
    if command == "cancel":
        server.http.post(f"{puppet.path}/cancel")
    puppet.do(command)
    assert summary(read_all(server, puppet.id))[-1] == ("done", end)


def test_a_reconnected_client_gets_exactly_the_missed_events(server: Service, puppet: Puppet) -> None:
    follow(puppet)
    puppet.do("end")
    everything = read_all(server, puppet.id)
    for number, event in enumerate(everything[:-1]):
        assert contents(read_all(server, puppet.id, event.id)) == contents(everything[number + 1 :])
    assert len({event.id for event in everything}) == len(everything)


@pytest.mark.slow
def test_a_client_that_reconnects_many_times_misses_no_event(server: Service, puppet: Puppet) -> None:
    puppet.do(*[f"log {number}" for number in range(30)])
    got: list[ServerSentEvent] = []
    while len(got) < 25:
        with listen(server, puppet.id, got[-1].id if got else "") as events:
            got += itertools.islice(events, 3)
    puppet.do("end")
    got += read_all(server, puppet.id, got[-1].id)
    lines = [str(number) for number in range(30)]
    assert summary(got) == [("status", "running"), ("progress", "0"), *[("log", line) for line in lines], *END]


def test_a_client_that_reconnects_after_the_end_is_told_to_stop(server: Service, puppet: Puppet) -> None:
    puppet.do("end")
    last = read_all(server, puppet.id)[-1].id
    answer = server.http.get(f"{puppet.path}/events", headers={"Last-Event-ID": last})
    assert (answer.status_code, answer.content) == (204, b"")


def test_an_unknown_last_event_id_is_ignored(server: Service, puppet: Puppet) -> None:
    puppet.do("end")
    server.wait_for(puppet.id)
    for wrong in ("7", "x", "1.running-1", "-1.done", "9" * 100 + ".done", "99.new"):
        assert summary(read_all(server, puppet.id, wrong)) == [("progress", "0"), *END]


def test_proxies_and_caches_do_not_buffer_the_stream(server: Service, puppet: Puppet) -> None:
    puppet.do("end")
    answer = server.http.get(f"{puppet.path}/events")
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert answer.text.startswith("retry: ")
    assert server.http.head(f"{puppet.path}/events").status_code == 200


def test_the_events_of_an_unknown_task_are_a_problem(server: Service) -> None:
    answer = server.http.get("/tasks/unknown/events")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/unknown-task")


@pytest.mark.slow
def test_an_idle_stream_has_a_heartbeat(server: Service, puppet: Puppet) -> None:
    with server.http.stream("GET", f"{puppet.path}/events") as answer:
        began = time.monotonic()
        assert next(line for line in answer.iter_lines() if line.startswith(":"))
        assert time.monotonic() - began >= 14


def test_only_the_latest_events_are_kept(server: Service, puppet: Puppet) -> None:
    puppet.do("say 600", "end")
    server.wait_for(puppet.id)
    lines = [text for event, text in summary(read_all(server, puppet.id)) if event == "log"]
    assert lines == [f"line {number}" for number in range(100, 600)]


def test_a_very_long_log_line_is_truncated(server: Service, puppet: Puppet) -> None:
    puppet.do("log " + "ä" * 5000, "end")
    [line] = [text for event, text in summary(read_all(server, puppet.id)) if event == "log"]
    assert line == "ä" * 1000


def test_a_task_without_events_stores_nothing_and_events_are_deleted_with_their_task(
    server: Service, puppet: Puppet
) -> None:
    silent = server.submit("ledgered")
    server.wait_for(silent)
    assert not server.redis.client.exists(server.keys.events(silent)) and not server.redis.client.hexists(
        server.keys.task(silent), "v"
    )
    puppet.do("log something", "end")
    server.wait_for(puppet.id)
    assert server.redis.client.exists(server.keys.events(puppet.id))
    assert server.http.delete(puppet.path).status_code == 204
    assert not server.redis.client.exists(server.keys.events(puppet.id))
    puppet.id = silent


@pytest.mark.slow
def test_streams_use_no_thread_and_one_redis_connection(tmp_path: Path) -> None:
    with Service(tmp_path, TASK_MODULES=TASKS, WEB_THREADS="1") as server, contextlib.ExitStack() as stack:
        server.start()
        puppet = Puppet(server)
        streams = [stack.enter_context(listen(server, puppet.id)) for _ in range(20)]
        assert [next(stream).event for stream in streams] == ["status"] * 20
        puppet.is_waited_for()
        assert server.status(puppet.id)["status"] == "running"
        assert len(listening(server)) == 1
        puppet.do("log to all", "end")
        assert [summary(list(stream)) for stream in streams] == [[("progress", "0"), ("log", "to all"), *END]] * 20


@pytest.mark.slow
def test_over_the_limit_a_stream_has_only_the_current_events(tmp_path: Path) -> None:
    with Service(tmp_path, TASK_MODULES=TASKS, MAX_WAITERS="0") as server:
        server.start()
        puppet = Puppet(server)
        assert summary(now := read_all(server, puppet.id)) == [("status", "running"), ("progress", "0")]
        puppet.do("log more", "end")
        server.wait_for(puppet.id)
        assert summary(read_all(server, puppet.id, now[-1].id)) == [("log", "more"), *END]


@pytest.mark.slow
def test_a_client_that_disconnects_frees_its_slot(tmp_path: Path) -> None:
    with Service(tmp_path, TASK_MODULES=TASKS, MAX_WAITERS="1") as server:
        server.start()
        puppet = Puppet(server)
        with listen(server, puppet.id) as events:
            next(events)
            puppet.is_waited_for()
        eventually(lambda: not waited_for(server, puppet.id))
        with listen(server, puppet.id) as events:
            next(events)
            puppet.is_waited_for()
            puppet.do("end")
            assert summary(list(events))[-1] == ("done", "succeeded")


@pytest.mark.slow
def test_a_redis_that_restarts_meanwhile_does_not_end_the_stream(tmp_path: Path) -> None:
    with Service(tmp_path, TASK_MODULES=TASKS, LEASE_SECONDS="5") as server:
        server.start()
        puppet = Puppet(server)
        with listen(server, puppet.id) as events:
            next(events)
            puppet.is_waited_for()
            server.redis.process.kill()
            time.sleep(0.5)
            server.redis.start()
            puppet.is_waited_for()
            puppet.do("log again", "end")
            assert summary(list(events))[-3:] == [("log", "again"), *END]


@pytest.mark.slow
def test_a_stopping_server_ends_its_streams_and_clients_continue_at_the_next(tmp_path: Path) -> None:
    with Service(tmp_path, TASK_MODULES=TASKS) as server:
        server.start()
        puppet = Puppet(server)
        with listen(server, puppet.id) as events:
            got = [next(events)]
            puppet.is_waited_for()
            puppet.do("log before")
            got.append(next(event for event in events if event.event == "log"))
            assert server.web is not None
            server.web.signal(signal.SIGTERM)
            got += events
        assert server.web.wait() == 0
        server.start_web()
        puppet.do("log after", "end")
        assert summary(read_all(server, puppet.id, got[-1].id)) == [("log", "after"), *END]


@pytest.mark.slow
def test_a_client_that_does_not_read_is_disconnected(tmp_path: Path) -> None:
    """It blocks a thread only for a moment; the client resumes where it stopped."""
    with Service(tmp_path, TASK_MODULES=TASKS, WEB_THREADS="1") as server:
        server.start()
        puppet = Puppet(server)
        with contextlib.closing(Caller(server, f"{puppet.path}/events", narrow=True)) as caller:
            puppet.is_waited_for()
            puppet.do(*["log " + "x" * 1000] * 600)
            # The task runs: the client was disconnected.
            eventually(lambda: not waited_for(server, puppet.id), seconds=60)
            puppet.do("end")
            eventually(lambda: server.redis.client.hget(server.keys.task(puppet.id), "s") == b"succeeded", seconds=60)
            assert b"event: done" not in caller.rest()
        assert len(read_all(server, puppet.id)) == 502
