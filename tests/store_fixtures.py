"""A store of a test's own on a real Valkey, and nothing else: no web process and no worker."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Redis

from server import tasks
from server.settings import Settings
from server.store import Store


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """One Valkey for all tests of a process."""
    redis = Redis(tmp_path_factory.mktemp("valkey"))
    yield redis
    redis.client.close()
    redis.process.kill()


@pytest.fixture
def store(valkey: Redis, tmp_path: Path) -> Iterator[Store]:
    """An empty store, with the built-in task types."""
    valkey.client.flushall()
    settings = Settings(redis_url=valkey.url, lease_seconds=3, secret_key="a key of the tests")
    tasks.load(settings)
    store = Store(settings)
    yield store
    store.redis.close()
