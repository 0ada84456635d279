"""`coatcheck run`: check the environment, start the Procfile's lines unchanged, print a welcome, stop everything."""

import errno
import os
import shlex
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import dotenv
import redis
from honcho.environ import parse_procfile

from server.cli.commands import web, worker
from server.cli.orphan_guard import OrphanGuard
from server.cli.processes import ModuleWatcher, Processes, Stop
from server.cli.valkey import CannotRun, EmbeddedValkey
from server.settings import Settings, SettingsError, load
from server.store.connection import connect

REDIS_TIMEOUT = 2.0

#: Seconds for the server to become ready.
READY_LIMIT = 60.0
EXAMPLE_PATH = "/tasks/divide"

# No proxy: `http_proxy` in the environment is not meant for this machine's address.
HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def main() -> int:
    """Run until Ctrl-C or SIGTERM (0), or until a process keeps ending (1). If it cannot start: 1 and a message."""
    stop = Stop()
    try:
        return run(stop)
    except (CannotRun, SettingsError) as error:
        print(f"make run: {error}", file=sys.stderr)
        return 1


def run(stop: Stop) -> int:
    """Start everything in order. The stack stops it in reverse order, so that Valkey ends last.

    Raises:
        CannotRun, SettingsError: no process of the Procfile was started.
    """
    commands = read_procfile(Path("Procfile"))
    prepare_environment()
    with ExitStack() as started:
        orphan_guard = started.enter_context(OrphanGuard())
        valkey = None
        if not os.environ.get("REDIS_URL"):
            valkey = started.enter_context(EmbeddedValkey())
            os.environ["REDIS_URL"] = valkey.url
        config = load()
        os.environ["PORT"] = str(config.port)  # a Procfile's line may name $PORT, as on a PaaS
        check_port(config.host, config.port)
        if valkey:
            valkey.start(stop, orphan_guard)
        else:
            check_redis(config)
        if stop.requested:
            return 0
        watcher = ModuleWatcher(config.task_modules if config.reload else ())
        processes = started.enter_context(Processes(stop, orphan_guard, watcher))
        for name, command in commands.items():
            processes.start(name, command)
        threading.Thread(target=welcome, args=(config.host, config.port, stop), daemon=True).start()
        return processes.wait(valkey.process if valkey else None)


def read_procfile(path: Path) -> dict[str, str]:
    """Read the commands by name, without `release`, which a PaaS runs once per deploy. Without a file: our own."""
    if not path.exists():
        return {"web": shlex.join(web()), "worker": shlex.join(worker())}
    try:
        commands = dict(parse_procfile(path.read_text()).processes)
    except OSError as error:
        raise CannotRun(f"{path.absolute()} cannot be read: {error.strerror}.") from None
    commands.pop("release", None)
    return commands


def prepare_environment() -> None:
    """Prepare the children's environment: `.env` below what is set, and this venv's commands first in PATH."""
    dotenv.load_dotenv(".env")
    os.environ.setdefault("HOST", "127.0.0.1")  # the server's default, 0.0.0.0, is for a PaaS and requires an API key
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    os.environ["PYTHONUNBUFFERED"] = "1"


def check_port(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise CannotRun(f"Port {port} is in use. Choose another one, such as PORT={port + 1}.") from None
            raise CannotRun(f"HOST {host}, PORT {port} cannot be opened: {error.strerror}.") from None


def check_redis(config: Settings) -> None:
    """Send one PING to the Redis at REDIS_URL. An error names host and port, but never a part of the password."""
    try:
        where = urlsplit(config.redis_url.split(";")[0])
        name = f"{where.hostname or 'localhost'}:{where.port or 6379}"
        with connect(config, timeout=REDIS_TIMEOUT) as client:
            client.ping()
    except redis.AuthenticationError:
        raise CannotRun(f"The Redis at {name} (REDIS_URL) refuses the user name or password.") from None
    except (redis.RedisError, OSError) as error:
        silent = isinstance(error, redis.TimeoutError)
        reason = "no answer" if silent else getattr(error.__context__, "strerror", None) or type(error).__name__
        raise CannotRun(f"The Redis at {name} (REDIS_URL) cannot be reached: {reason}.") from None


def welcome(host: str, port: int, stop: Stop) -> None:
    """Print the address and a first command when the server is ready, or a message after a time-out."""
    url = address(host, port)
    awaited = ["/health/ready", "/health/live"]
    deadline = time.monotonic() + READY_LIMIT
    while not stop.requested:
        if status(url + awaited[-1]) == 200:
            awaited.pop()
        if not awaited:
            print(greeting(url, needs_key=status(url + "/catalog") == 401), flush=True)
            return
        if time.monotonic() > deadline:
            print(
                f"\nNot ready after {READY_LIMIT:.0f} seconds. The lines above and {url}/health/ready say why.",
                flush=True,
            )
            return
        time.sleep(0.2)  # each attempt writes a line to the web process's log


def address(host: str, port: int) -> str:
    """The base URL for this machine. A wildcard address is replaced by loopback."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def status(url: str) -> int:
    """Return the status of a GET, or 0 without an answer."""
    try:
        with HTTP.open(url, timeout=2) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except (OSError, ValueError):
        return 0


def greeting(url: str, *, needs_key: bool) -> str:
    key = "-H 'Authorization: Bearer <your key>' " if needs_key else ""
    return (
        f"\nCoatcheck is ready at {url} (Ctrl-C stops it). In a second shell:\n\n"
        f"  curl -X POST {key}-H 'Content-Type: application/json' -d '{{\"x\": 7, \"y\": 2}}' {url}{EXAMPLE_PATH}\n\n"
        "`make key OWNER=alice ROLE=submit` and `.venv/bin/celery -A wsgi inspect active` work there too.\n"
    )
