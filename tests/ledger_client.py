"""The tests' own connection to Redis inside a task, independent of records."""

from functools import lru_cache

import redis

from server.settings import load
from server.store.connection import connect


@lru_cache(maxsize=1)
def client() -> "redis.Redis":
    """Connect once per process; the pool detects a fork."""
    return connect(load())
