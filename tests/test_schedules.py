"""Schedules: fire times, one run for each despite kills, and management by an admin."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pytest
from harness import Process, Service, eventually
from jsonschema import Draft202012Validator

from server.services.cron import Timing
from server.store.api_keys import Role

SECOND = timedelta(seconds=1)


# Fire times, computed


def fire_times(line: str, zone: str, start: str, count: int) -> list[str]:
    """The next times of a cron line, as UTC's `day hour:minute`."""
    moment = round(datetime.fromisoformat(start).timestamp() * 1000)
    times = islice(Timing(None, line, zone, 0).after(moment), count)
    return [time.strftime("%m-%d %H:%M", time.gmtime(fire_time / 1000)) for fire_time in times]


@pytest.mark.parametrize(
    ("line", "zone", "start", "expected"),
    [  # 2026-03-29: 02:00 to 03:00 does not exist in Berlin; 2026-03-08 in New York
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T03:00+01:00", ["03-29 01:00", "03-30 00:30", "03-31 00:30"]),
        ("*/30 2 * * *", "Europe/Berlin", "2026-03-28T03:00+01:00", ["03-29 01:00", "03-30 00:00", "03-30 00:30"]),
        ("30 2,3 * * *", "Europe/Berlin", "2026-03-29T00:00+01:00", ["03-29 01:00", "03-29 01:30", "03-30 00:30"]),
        ("0 2,3 * * *", "Europe/Berlin", "2026-03-29T00:00+01:00", ["03-29 01:00", "03-30 00:00", "03-30 01:00"]),
        ("15 2 * * *", "America/New_York", "2026-03-07T03:00-05:00", ["03-08 07:00", "03-09 06:15", "03-10 06:15"]),
    ],
)
def test_a_local_time_that_does_not_exist_fires_once_at_the_next_valid_time(
    line: str, zone: str, start: str, expected: list[str]
) -> None:
    assert fire_times(line, zone, start, 3) == expected


@pytest.mark.parametrize(
    ("line", "zone", "start", "expected"),
    [  # 2026-10-25: 02:00 to 03:00 is repeated in Berlin; 2026-11-01, 01:00 to 02:00 in New York
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:00+02:00", ["10-25 00:30", "10-26 01:30", "10-27 01:30"]),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T02:10+01:00", ["10-26 01:30", "10-27 01:30", "10-28 01:30"]),
        ("*/30 2 * * *", "Europe/Berlin", "2026-10-25T00:00+02:00", ["10-25 00:00", "10-25 00:30", "10-26 01:00"]),
        ("0 */2 * * *", "Europe/Berlin", "2026-10-25T01:00+02:00", ["10-25 00:00", "10-25 03:00", "10-25 05:00"]),
        ("30 1 * * *", "America/New_York", "2026-11-01T00:00-04:00", ["11-01 05:30", "11-02 06:30", "11-03 06:30"]),
    ],
)
def test_a_repeated_local_time_fires_once(line: str, zone: str, start: str, expected: list[str]) -> None:
    assert fire_times(line, zone, start, 3) == expected


@pytest.mark.parametrize("line", ["30 * * * *", "30 0-23 * * *"])
@pytest.mark.parametrize("start", ["2026-03-29T00:45+01:00", "2026-10-25T00:45+02:00"])
def test_an_hourly_line_fires_every_elapsed_hour(line: str, start: str) -> None:
    moment = round(datetime.fromisoformat(start).timestamp() * 1000)
    times = list(islice(Timing(None, line, "Europe/Berlin", 0).after(moment), 5))
    assert [later - earlier for earlier, later in pairwise(times)] == [3_600_000] * 4


def test_an_interval_counts_from_its_start_and_does_not_drift() -> None:
    timing = Timing(1.5, None, "UTC", 1_000_000)
    assert list(islice(timing.after(1_000_000), 3)) == [1_001_500, 1_003_000, 1_004_500]
    assert list(islice(timing.after(1_003_000), 2)) == [1_004_500, 1_006_000]
    assert next(timing.after(9_999_999_999)) == 10_000_000_000


@pytest.mark.parametrize(
    ("nickname", "line"),
    [("@hourly", "0 * * * *"), ("@daily", "0 0 * * *"), ("@Weekly", "0 0 * * SUN"), ("@monthly", "0 0 1 * *"),
     ("@yearly", "0 0 1 JAN *")],
)  # fmt: skip
def test_a_nickname_equals_its_cron_line(nickname: str, line: str) -> None:
    start = "2026-03-28T03:00+01:00"
    assert fire_times(nickname, "Europe/Berlin", start, 4) == fire_times(line, "Europe/Berlin", start, 4)


def test_fire_times_are_between_start_and_end_and_an_interval_counts_from_the_start() -> None:
    assert list(Timing(10, None, "UTC", 3, start_ms=5_000, end_ms=35_000).after(0)) == [5_000, 15_000, 25_000, 35_000]
    assert list(Timing(10, None, "UTC", 3, start_ms=5_000, end_ms=35_000).after(15_000)) == [25_000, 35_000]
    assert list(Timing(None, "* * * * *", "UTC", 0, 60_000, 180_000).after(0)) == [60_000, 120_000, 180_000]


@pytest.mark.parametrize("timing", [Timing(1, None, "UTC", 0), Timing(None, "*/1 * * * *", "UTC", 0)])
def test_jitter_is_the_same_on_every_server_and_keeps_the_order(timing: Timing) -> None:
    plain = list(islice(timing.after(999), 200))
    jittered = replace(timing, jitter_ms=600, seed="a")
    late = list(islice(jittered.after(999), 200))
    assert all(0 <= after - before < 600 for before, after in zip(plain, late, strict=True))
    assert len({after - before for before, after in zip(plain, late, strict=True)}) > 50
    assert list(islice(jittered.after(late[99]), 100)) == late[100:]
    assert list(islice(replace(jittered, seed="b").after(999), 200)) != late
    crowded = list(islice(replace(timing, jitter_ms=3_600_000, seed="a").after(999), 200))
    assert crowded == sorted(set(crowded))


def test_jitter_delays_no_fire_time_past_the_end() -> None:
    for seed in map(str, range(20)):
        late = list(Timing(10, None, "UTC", 0, 0, 20_000, 600_000, seed).after(-1))
        assert len(late) == 3
        assert late[-1] == 20_000


# Through HTTP and real workers


Put = Callable[..., dict[str, Any]]


def put_on(service: Service, name: str, **body: Any) -> dict[str, Any]:
    answer = service.http.put(f"/schedules/{name}", json={"task": "ledgered", "options": {"tag": name}, **body})
    assert answer.status_code in (200, 201), answer.text
    shown: dict[str, Any] = answer.json()
    return shown


@pytest.fixture
def put(service: Service) -> Iterator[Put]:
    """Put a schedule on the server that tests share, every task of which has the schedule's name for a tag."""
    names = []

    def put_one(name: str, **body: Any) -> dict[str, Any]:
        names.append(name)
        return put_on(service, name, **body)

    yield put_one
    for name in names:
        service.http.delete(f"/schedules/{name}")
        service.http.post("/bulk/cancel", params={"tag": name})


def show(service: Service, name: str) -> dict[str, Any]:
    shown: dict[str, Any] = service.http.get(f"/schedules/{name}").json()
    return shown


def tasks_of(service: Service, tag: str) -> list[dict[str, Any]]:
    """A schedule's tasks, oldest first."""
    tasks: list[dict[str, Any]] = service.http.get("/tasks", params={"tag": tag}).json()["tasks"]
    return tasks[::-1]


def succeeded(service: Service, tag: str, limit: int) -> list[dict[str, Any]]:
    return [task for task in tasks_of(service, tag) if task["status"] == "succeeded"][:limit]


def wait_for_runs(service: Service, tag: str, number: int, seconds: float = 20) -> list[dict[str, Any]]:
    tasks = eventually(
        lambda: len(ended := succeeded(service, tag, number)) == number and ended, seconds=seconds, every=0.05
    )
    assert tasks
    return tasks


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def fired(service: Service, name: str) -> list[datetime]:
    """The fire times of its last runs, oldest first."""
    return [moment(run["tick"]) for run in reversed(show(service, name)["runs"])]


def starts(service: Service, task_id: str) -> int:
    lines = service.redis.client.lrange("test:ledger", 0, -1)
    return sum(line.startswith(f"{task_id} start ".encode()) for line in lines)


def test_a_schedule_fires_at_the_times_that_it_shows(service: Service, put: Put) -> None:
    shown = put("beat", every=1, input={"seconds": 0}, options={"tag": ["beat"], "priority": "high"})
    assert (shown["every"], shown["cron"], shown["enabled"], shown["overlap"]) == (1, None, True, "skip")
    assert (shown["input"], shown["options"]) == ({"seconds": 0}, {"tag": ["beat"], "priority": "high"})
    created = moment(shown["created_at"])
    assert [moment(fire_time) for fire_time in shown["next"]] == [created + SECOND * n for n in range(1, 6)]

    done = wait_for_runs(service, "beat", 3)

    assert fired(service, "beat")[:3] == [created + SECOND * n for n in (1, 2, 3)]
    runs = show(service, "beat")["runs"][::-1]
    assert [run["task_id"] for run in runs[:3]] == [task["task_id"] for task in done]
    assert [(run["status"], run["links"]["status"]) for run in runs[:3]] == [
        ("succeeded", f"/tasks/{run['task_id']}") for run in runs[:3]
    ]
    assert [starts(service, task["task_id"]) for task in done] == [1, 1, 1]
    document = service.http.get("/openapi.json").json()
    whole = {"$ref": "#/components/schemas/ScheduleObject", "components": document["components"]}
    Draft202012Validator(whole).validate(show(service, "beat"))


def test_a_cron_schedule_shows_its_next_five_times_in_its_zone(service: Service, put: Put) -> None:
    shown = put("mornings", cron="30 6 * * mon-fri", timezone="America/New_York")
    times = [moment(fire_time) for fire_time in shown["next"]]
    assert len(times) == 5
    assert all(
        fire_time.weekday() < 5 and (fire_time.hour, fire_time.minute) in ((10, 30), (11, 30)) for fire_time in times
    )
    assert show(service, "mornings") | {"next": []} == shown | {"next": []}


def test_schedules_are_listed_by_name(service: Service, put: Put) -> None:
    for name in ("b.second", "a-first", "c_third"):
        put(name, every=3600)
    listed = service.http.get("/schedules").json()["schedules"]
    assert [each["name"] for each in listed] == ["a-first", "b.second", "c_third"]


def test_the_list_has_pages_and_filters(service: Service, put: Put) -> None:
    for number in range(5):
        put(f"page-{number}", every=3600, enabled=number % 2 == 0)
    put("page-x", every=3600, task="divide", input={"x": 1, "y": 2}, options={})
    names, following = [], "/schedules?limit=2&task=ledgered&owner=local"
    while following:
        answer = service.http.get(following)
        following = answer.json()["next"]
        assert (answer.headers.get("Link") == f'<{service.url}{following}>; rel="next"') is bool(following)
        names.append([each["name"] for each in answer.json()["schedules"]])
    assert names == [["page-0", "page-1"], ["page-2", "page-3"], ["page-4"]]
    paused = service.http.get("/schedules?enabled=false").json()["schedules"]
    assert [each["name"] for each in paused] == ["page-1", "page-3"]
    assert service.http.get("/schedules?owner=nobody").json() == {"schedules": [], "next": None}
    for query in ("limit=0", "cursor=%20", "enabled=perhaps"):
        assert service.http.get(f"/schedules?{query}").status_code == 422


def test_a_patch_changes_only_the_fields_that_it_names(service: Service, put: Put) -> None:
    before = put("edited", every=3600, input={"seconds": 1}, jitter=5)
    change = {"cron": "@daily", "timezone": "Asia/Tokyo", "start_at": "2031-05-01T00:00:00+09:00", "jitter": None}
    answer = service.http.patch("/schedules/edited", json=change)
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert (shown["every"], shown["cron"], shown["jitter"], shown["input"]) == (None, "@daily", 0, {"seconds": 1})
    assert shown["next"][:2] == ["2031-04-30T15:00:00.000Z", "2031-05-01T15:00:00.000Z"]
    assert (shown["created_at"], shown["options"]) == (before["created_at"], before["options"])
    assert service.http.patch("/schedules/edited", json={"start_at": None, "every": 60}).json()["cron"] is None
    wrong = service.http.patch("/schedules/edited", json={"input": {"seconds": "x"}})
    assert (wrong.status_code, wrong.json()["errors"][0]["loc"]) == (422, ["input", "seconds"])
    for body in ({"surprise": 1}, {"task": None}, {"every": None}):
        assert service.http.patch("/schedules/edited", json=body).status_code == 422
    assert service.http.patch("/schedules/edited", content=b"[]").status_code == 422
    assert service.http.patch("/schedules/none", json={}).status_code == 404
    assert show(service, "edited")["every"] == 60


def test_a_schedule_ends_at_its_end(service: Service, put: Put) -> None:
    start = datetime.now(UTC) + SECOND
    shown = put("short", every=1, start_at=start.isoformat(), end_at=(start + 1.5 * SECOND).isoformat())
    expected = [moment(fire_time) for fire_time in shown["next"]]
    assert [fire_time - start < timedelta(milliseconds=2) for fire_time in expected[:1]] == [True]
    assert len(expected) == 2
    wait_for_runs(service, "short", 2)
    time.sleep(1.5)
    assert fired(service, "short") == expected
    assert show(service, "short")["next"] == []


def test_a_repeated_put_replaces_the_schedule_and_keeps_its_fire_times(service: Service, put: Put) -> None:
    first = put("twice", every=3600)
    answer = service.http.put("/schedules/twice", json={"task": "divide", "input": {"x": 1, "y": 2}, "every": 3600})
    assert answer.status_code == 200
    assert (answer.json()["task"], answer.json()["next"]) == ("divide", first["next"])
    assert answer.json()["created_at"] == first["created_at"]


def test_a_paused_schedule_does_not_fire_and_resumes_without_the_missed_runs(service: Service, put: Put) -> None:
    created = moment(put("nap", every=1)["created_at"])
    wait_for_runs(service, "nap", 1)
    paused = put("nap", every=1, enabled=False)
    assert (paused["enabled"], paused["next"]) == (False, [])
    before = len(tasks_of(service, "nap"))
    time.sleep(2.2)
    assert len(tasks_of(service, "nap")) == before

    resumed = moment(put("nap", every=1)["updated_at"])

    wait_for_runs(service, "nap", before + 1)
    again = fired(service, "nap")[before]
    assert again > resumed
    assert (again - created) % SECOND == timedelta()


def test_run_now_also_runs_a_paused_schedule_and_once_for_each_key(service: Service, put: Put) -> None:
    put("byhand", every=3600, enabled=False, input={"seconds": 0.1})
    first, again = (
        service.http.post("/schedules/byhand/run", headers={"Idempotency-Key": "by-hand-1"}) for _ in range(2)
    )
    assert (first.status_code, first.json()["task"]) == (202, "ledgered")
    assert first.headers["Location"] == f"{service.url}/tasks/{first.json()['task_id']}/result"
    assert again.json()["task_id"] == first.json()["task_id"]
    assert service.result(first.json()["task_id"]) == 0.1
    runs = show(service, "byhand")["runs"]
    assert [(run["task_id"], run["status"], run["tick"]) for run in runs] == [
        (first.json()["task_id"], "succeeded", None)
    ]


def test_deleting_a_schedule_keeps_its_tasks(service: Service, put: Put) -> None:
    put("brief", every=1)
    task_id = wait_for_runs(service, "brief", 1)[0]["task_id"]
    assert service.http.delete("/schedules/brief").status_code == 204
    count = len(tasks_of(service, "brief"))
    for answer in (
        service.http.get("/schedules/brief"),
        service.http.delete("/schedules/brief"),
        service.http.post("/schedules/brief/run"),
    ):
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/unknown-schedule")
    assert service.status(task_id)["status"] == "succeeded"
    assert put("brief", every=3600)["runs"] == []
    assert len(tasks_of(service, "brief")) == count


def test_a_run_is_skipped_while_the_previous_run_is_unfinished(service: Service, put: Put) -> None:
    put("patient", every=1, input={"seconds": 1.2}, overlap="skip")
    first, second = wait_for_runs(service, "patient", 2)
    assert second["submitted_at"] > first["finished_at"]
    shown = show(service, "patient")
    assert shown["skipped"] >= 1
    earlier, later = fired(service, "patient")[:2]
    assert later - earlier >= 2 * SECOND


def test_a_run_can_wait_for_the_end_of_the_previous_run(service: Service, put: Put) -> None:
    created = moment(put("chain", every=1, task="reports", input={"seconds": 30}, overlap="queue")["created_at"])
    eventually(lambda: len(tasks_of(service, "chain")) >= 3)
    put("chain", every=1, enabled=False)
    first, second, third = (task["task_id"] for task in tasks_of(service, "chain")[:3])
    service.wait_for(first, "running")
    assert [service.status(task_id)["status"] for task_id in (second, third)] == ["scheduled"] * 2
    assert fired(service, "chain")[:3] == [created + SECOND * n for n in (1, 2, 3)]

    service.http.post(f"/tasks/{second}/cancel")
    assert service.status(third)["status"] == "scheduled"  # it waits instead of the second
    service.http.post(f"/tasks/{first}/cancel")

    assert service.wait_for(third, "running")["started_at"] >= service.status(first)["finished_at"]
    assert show(service, "chain")["skipped"] == 0


def test_at_most_ten_runs_of_a_schedule_wait_for_one_another(service: Service, put: Put) -> None:
    put("crowd", every=3600, task="reports", input={"seconds": 60}, overlap="queue")
    now = round(time.time() * 1000)
    for late in range(13):
        service.redis.client.zadd(service.keys.fire_times, {"crowd": now - 1000 + late})
        eventually(lambda: (service.redis.client.zscore(service.keys.fire_times, "crowd") or 0) > now)
    tasks = tasks_of(service, "crowd")
    assert (len(tasks), show(service, "crowd")["skipped"]) == (10, 3)
    for each in reversed(tasks):
        service.http.post(f"/tasks/{each['task_id']}/cancel")


def test_a_run_that_cannot_be_stored_has_a_reason_and_fires_later(service: Service, put: Put) -> None:
    put("blocked", every=1)
    service.redis.client.hincrby(service.keys.unfinished, "local", 10_000)  # as many as one owner may have
    try:
        error = eventually(lambda: show(service, "blocked")["error"])
        assert error["type"] == "/problems/over-quota"
        assert tasks_of(service, "blocked") == []
    finally:
        service.redis.client.hincrby(service.keys.unfinished, "local", -10_000)
    wait_for_runs(service, "blocked", 1)
    assert show(service, "blocked")["error"] is None


@pytest.mark.slow
def test_a_run_that_finds_redis_full_fires_when_space_is_free(fresh: Service) -> None:
    fresh.start()
    put_on(fresh, "hourly", every=3600)
    fresh.redis.client.zadd(fresh.keys.fire_times, {"hourly": round(time.time() * 1000) + 4000})
    fresh.redis.client.config_set("maxmemory", "1mb")
    error = eventually(lambda: show(fresh, "hourly")["error"])
    assert error["type"] == "/problems/storage-full"
    assert tasks_of(fresh, "hourly") == []
    fresh.redis.client.config_set("maxmemory", "0")
    wait_for_runs(fresh, "hourly", 1)


def test_a_schedule_without_its_task_type_reports_it_and_does_not_block_others(service: Service, put: Put) -> None:
    put("gone", every=1)
    definition = service.redis.client.hget(service.keys.schedule("gone"), "definition")
    service.redis.client.hset(
        service.keys.schedule("gone"), "definition", definition.replace(b'"ledgered"', b'"no-such"')
    )
    put("there", every=1)
    error = eventually(lambda: show(service, "gone")["error"])
    assert error["type"] == "/problems/unknown-task-type"
    wait_for_runs(service, "there", 1)


def leader_of(service: Service) -> Process:
    """The worker that is the leader."""
    token = (service.redis.client.get(service.keys.leader) or b"").decode()
    output = service.redis.client.get(service.keys.worker(token)) or b""
    return next(worker for worker in service.workers if b'"pid": %d,' % worker.pid in output)


@pytest.mark.slow
def test_each_run_fires_once_despite_kills_and_runs_missed_in_an_outage_are_merged(fresh: Service) -> None:
    fresh.start(workers=2)
    created = moment(put_on(fresh, "steady", every=1)["created_at"])
    wait_for_runs(fresh, "steady", 2)

    leader_of(fresh).kill()
    wait_for_runs(fresh, "steady", 5)
    run = show(fresh, "steady")["runs"][0]
    tasks = [task["task_id"] for task in tasks_of(fresh, "steady")]
    assert moment(run["tick"]) == created + SECOND * (tasks.index(run["task_id"]) + 1)
    assert all(later - earlier == SECOND for earlier, later in pairwise(fired(fresh, "steady")))

    for process in [*fresh.workers, fresh.web, fresh.redis.process]:
        assert process is not None
        process.kill()
    time.sleep(4)
    fresh.redis.start()
    fresh.start()

    wait_for_runs(fresh, "steady", len(tasks_of(fresh, "steady")) + 3)
    steps = [later - earlier for earlier, later in pairwise(fired(fresh, "steady"))]
    assert [step for step in steps if step != SECOND] == [max(steps)]
    assert max(steps) >= 4 * SECOND
    assert steps[-1] == SECOND
    for task in tasks_of(fresh, "steady"):
        assert not task["done"] or starts(fresh, task["task_id"]) == task["deliveries"]


# Permissions and invalid requests


def test_an_owner_manages_its_own_schedules_and_an_admin_everyones(tmp_path: Path) -> None:
    with Service(tmp_path, TASK_MODULES="sample_tasks", MAX_SCHEDULES_PER_OWNER="2") as service:
        keys = service.store.api_keys
        roles = {"alice": Role.SUBMIT, "bob": Role.SUBMIT, "reader": Role.READ, "root": Role.ADMIN}
        auth = {owner: {"Authorization": f"Bearer {keys.create(owner, role)}"} for owner, role in roles.items()}
        of_alice = {"Authorization": f"Bearer {keys.create('alice', Role.READ)}"}
        service.start_web()
        body = {"task": "ledgered", "every": 3600}

        def ask(owner: str, method: str, path: str, **options: Any) -> Any:
            return service.http.request(method, path, headers=auth[owner], **options)

        created = ask("alice", "PUT", "/schedules/a", json=body)
        assert (created.status_code, created.json()["owner"]) == (201, "alice")
        assert ask("bob", "PUT", "/schedules/b", json=body).status_code == 201
        conflict = ask("bob", "PUT", "/schedules/a", json=body)
        assert (conflict.status_code, conflict.json()["type"]) == (409, "/problems/schedule-name-taken")
        for method, path, options in (
            *(("GET", "/schedules/a", {}), ("DELETE", "/schedules/a", {}), ("POST", "/schedules/a/run", {})),
            ("PATCH", "/schedules/a", {"json": {"enabled": False}}),
        ):
            answer = ask("bob", method, path, **options)
            assert (answer.status_code, answer.json()["type"]) == (404, "/problems/unknown-schedule"), method
            if method != "GET":
                assert ask("reader", method, path, **options).status_code == 403, method
        assert ask("reader", "PUT", "/schedules/r", json=body).status_code == 403
        assert service.http.get("/schedules").status_code == 401
        assert service.http.get("/schedules/a", headers=of_alice).status_code == 200

        ticket = ask("alice", "POST", "/schedules/a/run").json()
        assert ask("alice", "GET", ticket["links"]["status"]).status_code == 200
        assert ask("bob", "GET", ticket["links"]["status"]).status_code == 404

        assert ask("alice", "PUT", "/schedules/a2", json=body).status_code == 201
        full = ask("alice", "PUT", "/schedules/a3", json=body)
        assert (full.status_code, full.json()["type"]) == (429, "/problems/too-many-schedules")
        assert ask("alice", "PUT", "/schedules/a2", json=body).status_code == 200, "a replacement needs no quota"

        patched = ask("root", "PATCH", "/schedules/b", json={"enabled": False}).json()
        assert (patched["owner"], patched["enabled"]) == ("bob", False)
        names = {
            owner: [each["name"] for each in ask(owner, "GET", "/schedules").json()["schedules"]] for owner in auth
        }
        assert names == {"alice": ["a", "a2"], "bob": ["b"], "reader": [], "root": ["a", "a2", "b"]}
        assert ask("root", "PUT", "/schedules/a2", json=body).json()["owner"] == "root"
        assert ask("alice", "PUT", "/schedules/a3", json=body).status_code == 201, "the admin took one over"
        assert ask("alice", "DELETE", "/schedules/a").status_code == 204
        assert ask("alice", "PUT", "/schedules/a4", json=body).status_code == 201


GOOD = {"task": "divide", "input": {"x": 1, "y": 2}, "every": 60}


@pytest.mark.parametrize(
    ("change", "loc"),
    [
        ({"task": "no-such"}, ["task"]),
        ({"task": 5}, ["task"]),
        ({"input": {"x": "one", "y": 2}}, ["input", "x"]),
        ({"input": {"x": 1}}, ["input", "y"]),
        ({"every": 0.5}, ["every"]),
        ({"every": "60"}, ["every"]),
        ({"every": None}, ["every"]),
        ({"cron": "* * * * *"}, ["every"]),
        ({"every": None, "cron": "* * * *"}, ["cron"]),
        ({"every": None, "cron": ""}, ["cron"]),
        ({"every": None, "cron": "* * * * * *"}, ["cron"]),
        ({"every": None, "cron": "61 * * * *"}, ["cron"]),
        ({"every": None, "cron": "0 0 31 2 *"}, ["cron"]),
        ({"every": None, "cron": "@reboot"}, ["cron"]),
        ({"start_at": "tomorrow"}, ["start_at"]),
        ({"start_at": "2026-01-01T00:00:00"}, ["start_at"]),
        ({"start_at": "0001-01-01T00:00:00+14:00"}, ["start_at"]),
        ({"start_at": "2030-01-01T00:00:00Z", "end_at": "2029-01-01T00:00:00Z"}, ["end_at"]),
        ({"jitter": -1}, ["jitter"]),
        ({"jitter": 3601}, ["jitter"]),
        ({"timezone": "Europe/Atlantis"}, ["timezone"]),
        ({"timezone": "../../etc/passwd"}, ["timezone"]),
        ({"timezone": "Europe"}, ["timezone"]),
        ({"enabled": "yes"}, ["enabled"]),
        ({"overlap": "both"}, ["overlap"]),
        ({"options": {"priority": "urgent"}}, ["options", "priority"]),
        ({"options": {"delay": 5}}, ["options", "delay"]),
        ({"options": {"unique_for": 5}}, ["options", "unique"]),
        ({"options": {"on_conflict": "reject"}}, ["options", "unique"]),
        ({"surprise": 1}, ["surprise"]),
    ],
)
def test_the_error_for_an_invalid_field_has_its_location(
    service: Service, change: dict[str, Any], loc: list[str]
) -> None:
    answer = service.http.put("/schedules/wrong", json=GOOD | change)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-input"), answer.text
    assert answer.json()["errors"][0]["loc"] == loc
    assert "Value error" not in answer.text
    assert service.http.get("/schedules/wrong").status_code == 404


def test_a_body_that_is_not_json_and_an_invalid_name_are_refused(service: Service) -> None:
    assert service.http.put("/schedules/wrong", content=b"{").json()["type"] == "/problems/malformed-body"
    answer = service.http.put("/schedules/a%20b", json=GOOD)
    assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["path", "name"])
