"""A Redis may forget its scripts at any time: by SCRIPT FLUSH, at a restart, at a failover."""

import threading

from server.store import Store


def test_a_script_that_redis_forgets_right_after_it_was_loaded_runs(store: Store) -> None:
    stopped = threading.Event()

    def forget() -> None:
        while not stopped.is_set():
            store.redis.script_flush()

    thread = threading.Thread(target=forget)
    thread.start()
    try:
        for _ in range(60):
            store.tasks.cancel("unknown")
            with store.blobs.writer("t1/in") as writer:
                writer.write(b"bytes")
            store.blobs.copy("t1/in", "t2/in")
    finally:
        stopped.set()
        thread.join()

    assert store.blobs.load("t2/in") == b"bytes"
