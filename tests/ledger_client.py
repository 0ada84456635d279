"""The tests' own connection to Redis from inside a task, beside all records."""

from functools import lru_cache

import redis

from server.settings import load
from server.store.connection import connect


@lru_cache(maxsize=1)
def client() -> "redis.Redis":
    """Connect once in each process; the pool notices a fork."""
    return connect(load())
