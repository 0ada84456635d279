"""A pool child that is forked while the threads of its parent are at work."""

import os
import signal
import threading

from server.store import Store


def _ends_well_in_a_child(store: Store) -> bool:
    pid = os.fork()
    if pid == 0:
        signal.alarm(10)  # ends a child that waits for a lock
        os._exit(0 if store.redis.ping() else 1)
    return os.waitpid(pid, 0)[1] == 0


def test_a_child_uses_redis_although_a_thread_held_the_lock_of_the_pool_at_the_fork(store: Store) -> None:
    store.redis.ping()
    locked, forked = threading.Event(), threading.Event()

    def hold_lock() -> None:
        pool = store.redis.connection_pool
        with pool._lock:
            locked.set()
            forked.wait(30)

    thread = threading.Thread(target=hold_lock)
    thread.start()
    locked.wait(30)
    try:
        assert _ends_well_in_a_child(store)
    finally:
        forked.set()
        thread.join()
    assert store.redis.ping(), "the parent still has its connections"
