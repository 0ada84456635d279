"""The smallest plans of managed Redis accept twenty connections: web and worker share them, and give idle ones back."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis
from harness import Service, eventually

from server.settings import Settings
from server.store import Store
from server.store.connection import connections_wanted
from server.store.connection.pool import IDLE_SECONDS, Pool

PLAN = 20


def connections(service: Service) -> int:
    """The connections of web and worker, without the test's own."""
    return len(service.redis.client.client_list()) - 1


@pytest.fixture
def small(fresh: Service) -> Service:
    """A server with the default settings, whose Redis accepts twenty connections."""
    fresh.redis.process.kill()
    fresh.redis.launch("--maxclients", str(PLAN))
    fresh.redis.wait_until_ready()
    fresh.env["WEB_CONCURRENCY"] = str(Settings.model_fields["web_concurrency"].default)
    return fresh


def test_the_defaults_fit_into_twenty_connections() -> None:
    wanted = connections_wanted(Settings(redis_url="redis://nowhere"))
    assert wanted <= PLAN - 1  # one is left for `coatcheck keys` and `celery inspect`


@pytest.mark.slow
def test_web_and_worker_share_twenty_connections_under_load_and_release_idle_ones(small: Service) -> None:
    small.start()
    peak = 0
    stop = threading.Event()

    def sample() -> None:
        nonlocal peak
        while not stop.wait(0.02):
            peak = max(peak, connections(small))

    watcher = threading.Thread(target=sample)
    watcher.start()
    with ThreadPoolExecutor(40) as clients:
        file = {"file": ("a.txt", b"x" * 300_000, "text/plain")}
        uploads = [clients.submit(small.http.post, "/tasks/echo_file", files=file) for _ in range(60)]
        waits = [clients.submit(small.http.post, "/tasks/divide?wait=20", json={"x": 1, "y": 2}) for _ in range(200)]
        lists = [clients.submit(small.http.get, "/tasks") for _ in range(200)]
        responses = [each.result() for each in (*uploads, *waits, *lists)]
    stop.set()
    watcher.join()
    assert {answer.status_code for answer in responses} <= {200, 202}
    for answer in responses[:60]:
        assert small.wait_for(answer.json()["task_id"], seconds=60)["status"] == "succeeded"
    assert 5 < peak <= connections_wanted(Settings(redis_url="redis://nowhere"))
    for log in ("web.log", "worker-0.log"):
        assert "max number of clients" not in (small.folder / log).read_text()
    time.sleep(IDLE_SECONDS)
    eventually(lambda: connections(small) <= 11, seconds=2 * IDLE_SECONDS)


@pytest.mark.slow
@pytest.mark.parametrize(("web", "children"), [(1, 1), (4, 4)])
def test_each_combination_of_processes_uses_at_most_its_documented_connections(
    fresh: Service, web: int, children: int
) -> None:
    fresh.env |= {"WEB_CONCURRENCY": str(web), "WORKER_CONCURRENCY": str(children)}
    settings = Settings(redis_url="redis://nowhere", web_concurrency=web, worker_concurrency=children)
    fresh.start()
    peak = 0
    with ThreadPoolExecutor(40) as clients:
        calls = [clients.submit(fresh.http.get, "/tasks") for _ in range(300)]
        calls += [clients.submit(fresh.http.post, "/tasks/divide?wait=20", json={"x": 1, "y": 2}) for _ in range(200)]
        while not all(call.done() for call in calls):
            peak = max(peak, connections(fresh))
    assert connections_wanted(settings) / 2 < peak <= connections_wanted(settings)


def test_a_thread_waits_for_a_connection_that_another_thread_uses(fresh: Service) -> None:
    client = Store(Settings(redis_url=fresh.redis.url, max_redis_connections=4, web_concurrency=2)).redis
    client.ping()
    in_use = [client.connection_pool.get_connection() for _ in range(client.connection_pool.max_connections)]
    with pytest.raises(redis.ConnectionError):
        client.ping()
    threading.Timer(0.2, client.connection_pool.release, in_use[:1]).start()
    assert client.ping()
    for connection in in_use[1:]:
        client.connection_pool.release(connection)
    with ThreadPoolExecutor(20) as threads:
        assert all(threads.map(lambda _: client.ping(), range(500)))
    assert connections(fresh) <= 2


def test_a_pool_keeps_its_size_after_refused_connections(fresh: Service) -> None:
    client = Store(Settings(redis_url=fresh.redis.url)).redis
    fresh.redis.process.kill()
    for _ in range(20):
        with pytest.raises(redis.ConnectionError):
            client.ping()
    fresh.redis.start()
    with ThreadPoolExecutor(20) as threads:
        assert all(threads.map(lambda _: client.ping(), range(200)))


def test_the_pool_uses_what_redis_py_has(tmp_path: Path) -> None:
    pool = Pool()
    for name in ("_in_use_connections", "_available_connections", "_created_connections", "_lock", "_checkpid"):
        assert hasattr(pool, name)
