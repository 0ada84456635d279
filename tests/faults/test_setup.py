"""A Redis whose configuration loses tasks, or that cannot work: start, `/health/ready` and doctor report it."""

import shlex
import subprocess
import sys
from typing import Any

import pytest
from harness import PROCFILE, ROOT, Process, Service, eventually
from old_redis import OldRedis


def doctor(service: Service) -> tuple[int, str]:
    """Return the exit code and the output of `coatcheck doctor`."""
    command = [sys.executable, "-m", "server.cli", "doctor"]
    ended = subprocess.run(command, cwd=ROOT, env=service.env, capture_output=True, text=True, timeout=120, check=False)
    return ended.returncode, ended.stdout


def ready(service: Service) -> tuple[int, dict[str, Any]]:
    answer = service.http.get("/health/ready")
    return answer.status_code, answer.json()


def restart(service: Service, *options: str) -> None:
    """Restart the service's Redis with further options."""
    service.redis.process.kill()
    service.redis.launch(*options)
    service.redis.wait_until_ready()


@pytest.mark.slow
def test_a_well_configured_server_is_ready_without_warnings(fresh: Service) -> None:
    fresh.env["SECRET_KEY"] = "s" * 32
    fresh.start()
    eventually(lambda: ready(fresh)[0] == 200)
    assert ready(fresh) == (200, {"status": "ready", "workers": 1, "warnings": []})
    code, text = doctor(fresh)
    assert (code, text) == (0, "warning: No API key exists, so the server answers on loopback addresses only.\n")


@pytest.mark.slow
def test_a_redis_with_an_eviction_policy_is_not_ready(fresh: Service) -> None:
    fresh.redis.client.config_set("maxmemory", "100mb")
    fresh.redis.client.config_set("maxmemory-policy", "allkeys-lru")
    fresh.start()
    status, body = ready(fresh)
    assert (status, "allkeys-lru" in body["detail"]) == (503, True)
    code, text = doctor(fresh)
    assert (code, "error: Redis deletes accepted tasks" in text) == (1, True)
    assert fresh.web and "allkeys-lru" in fresh.web.output() and "allkeys-lru" in fresh.workers[0].output()


@pytest.mark.slow
@pytest.mark.parametrize(("save", "message"), [("", "saves nothing"), ("3600 1", "snapshots alone")])
def test_a_redis_that_does_not_save_is_a_warning(fresh: Service, save: str, message: str) -> None:
    fresh.redis.client.config_set("appendonly", "no")
    fresh.redis.client.config_set("save", save)
    fresh.start()
    eventually(lambda: ready(fresh)[0] == 200)
    status, body = ready(fresh)
    assert (status, len(body["warnings"])) == (200, 1)
    assert message in body["warnings"][0]
    assert message in doctor(fresh)[1]


def test_a_redis_with_few_connections_is_a_warning(fresh: Service) -> None:
    restart(fresh, "--maxclients", "20")
    code, text = doctor(fresh)
    assert (code, "warning: Redis accepts 20 connections" in text) == (0, True)


def test_a_redis_that_is_too_old_stops_web_and_worker_with_a_message(fresh: Service) -> None:
    with OldRedis(fresh.redis.port).listening() as fresh.env["REDIS_URL"]:
        _stopped(fresh, "Redis 6.0.9 is too old. Use Redis 6.2 or newer, or Valkey.")


@pytest.mark.slow
def test_a_redis_that_is_replaced_by_an_older_one_is_not_ready(fresh: Service) -> None:
    redis = OldRedis(fresh.redis.port)
    redis.old = False
    with redis.listening() as fresh.env["REDIS_URL"]:
        fresh.start()
        eventually(lambda: ready(fresh)[0] == 200)
        redis.old = True
        eventually(lambda: "too old" in ready(fresh)[1].get("detail", ""))
        assert ready(fresh)[0] == 503


@pytest.mark.slow
def test_a_cluster_stops_web_and_worker_with_a_message(fresh: Service) -> None:
    restart(fresh, "--cluster-enabled", "yes", "--appendonly", "no")
    _stopped(fresh, "cluster mode")


@pytest.mark.slow
def test_an_acl_that_denies_required_commands_stops_web_and_worker_with_a_message(fresh: Service) -> None:
    fresh.redis.client.acl_setuser(
        "web",
        enabled=True,
        passwords=["+secret"],
        categories=["+@all"],
        commands=["-publish"],
        keys=["*"],
        channels=["*"],
    )
    fresh.env["REDIS_URL"] = fresh.redis.url.replace("//", "//web:secret@")
    _stopped(fresh, "PUBLISH")


def test_a_redis_at_maxmemory_is_reported_as_not_ready(fresh: Service) -> None:
    fresh.start()
    eventually(lambda: ready(fresh)[0] == 200)
    fresh.redis.client.config_set("maxmemory", "1mb")
    status, body = ready(fresh)
    assert (status, "Redis is full" in body["detail"]) == (503, True)
    fresh.redis.client.config_set("maxmemory", "0")
    eventually(lambda: ready(fresh)[0] == 200)


def _stopped(service: Service, message: str) -> None:
    code, text = doctor(service)
    assert (code, message in text) == (1, True), text
    for name in ("web", "worker"):
        process = Process(shlex.split(PROCFILE[name]), service.folder / f"{name}.log", service.env)
        assert process.wait(30) != 0
        lines = process.output().splitlines()
        assert any(line.startswith("coatcheck: ") and message in line for line in lines), lines
