"""Causes each way in which Redis answers "not now", and ends it."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import redis
from harness import Service, free_port


@contextlib.contextmanager
def _config(service: Service, **options: str) -> Iterator[None]:
    client = service.redis.client
    before: Any = client.config_get(*(name.replace("_", "-") for name in options))
    for name, value in options.items():
        client.config_set(name.replace("_", "-"), value)
    try:
        yield
    finally:
        for name, value in before.items():
            client.config_set(name, value)


@contextlib.contextmanager
def no_replicas(service: Service) -> Iterator[None]:
    """NOREPLICAS: it requires a replica, and none is connected."""
    with _config(service, min_replicas_to_write="1"):
        yield


@contextlib.contextmanager
def read_only(service: Service) -> Iterator[None]:
    """READONLY: a failover has made it the replica of a master that does not answer."""
    service.redis.client.replicaof("127.0.0.1", free_port())
    try:
        yield
    finally:
        service.redis.client.replicaof("NO", "ONE")


@contextlib.contextmanager
def master_down(service: Service) -> Iterator[None]:
    """MASTERDOWN: the same, and it does not serve its data."""
    with _config(service, replica_serve_stale_data="no"), read_only(service):
        yield


@contextlib.contextmanager
def disk_error(service: Service) -> Iterator[None]:
    """MISCONF: a snapshot cannot be written, because a folder has its name."""
    folder = service.folder / "dump.rdb"
    folder.unlink(missing_ok=True)  # of an earlier outage's end
    folder.mkdir()
    with _config(service, save="3600 1"):
        service.redis.client.bgsave()
        _until(lambda: _status(service) == "err")
        try:
            yield
        finally:
            folder.rmdir()
            service.redis.client.bgsave()
            _until(lambda: _status(service) == "ok")


def _status(service: Service) -> Any:
    return service.redis.client.info("persistence")["rdb_last_bgsave_status"]  # type: ignore[index]


@contextlib.contextmanager
def busy(service: Service) -> Iterator[None]:
    """BUSY: another client's script does not end."""
    other = contextlib.closing(redis.Redis(port=service.redis.port))
    with _config(service, busy_reply_threshold="20"), other as client:
        hog = threading.Thread(target=_hog, args=(client,), daemon=True)
        hog.start()
        time.sleep(0.1)
        try:
            yield
        finally:
            service.redis.client.script_kill()
            hog.join(5)


def _hog(client: "redis.Redis") -> None:
    with contextlib.suppress(redis.RedisError):
        client.eval("while true do end", 0)


@contextlib.contextmanager
def loading(service: Service) -> Iterator[None]:
    """LOADING: it was killed, and is loading its data."""
    client = service.redis.client
    with client.pipeline(transaction=False) as pipe:
        for number in range(250_000):
            pipe.set("test:ballast", number)
        pipe.execute()
    service.redis.process.kill()
    service.redis.launch("--key-load-delay", "100")  # 40 s at least
    try:
        _until(lambda: _is_loading(client))
        yield
    finally:
        client.config_set("key-load-delay", "0")
        service.redis.wait_until_ready()


def _is_loading(client: "redis.Redis") -> bool:
    try:
        client.ping()
    except redis.BusyLoadingError:
        return True
    except redis.ConnectionError:
        return False
    raise AssertionError("It has loaded already.")


@contextlib.contextmanager
def full(service: Service) -> Iterator[None]:
    """OOM: it is at `maxmemory`."""
    with _config(service, maxmemory="1mb"):
        yield


Outage = Callable[[Service], contextlib.AbstractContextManager[None]]

#: Each outage by the code of Redis's answer.
OUTAGES: dict[str, Outage] = {
    "NOREPLICAS": no_replicas,
    "READONLY": read_only,
    "MASTERDOWN": master_down,
    "MISCONF": disk_error,
    "BUSY": busy,
    "LOADING": loading,
    "OOM": full,
}


def _until(done: Callable[[], bool]) -> None:
    for _ in range(500):
        if done():
            return
        time.sleep(0.02)
    raise AssertionError("Redis did not do it")
