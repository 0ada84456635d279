"""`make run` with real processes: a Procfile with two small programs replaces Gunicorn and Celery."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from harness import free_port
from reaper import popen

pytestmark = pytest.mark.system

ROOT = Path(__file__).parent.parent
LIMIT = 60.0

WEB = """
import http.server, os

class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass

http.server.HTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Health).serve_forever()
"""

WORKER = """
import os, redis, signal, sys, time

store = redis.Redis.from_url(os.environ["REDIS_URL"])

def hand_back(*_):
    time.sleep(0.3)
    print("handed back", store.incr("handed back"), flush=True)
    sys.exit(0)

signal.signal(signal.SIGTERM, hand_back)
print("worker up", flush=True)
while True:
    signal.pause()
"""

STUBBORN = """
import signal

signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("worker up", flush=True)
while True:
    signal.pause()
"""


class Site:
    """A folder with a Procfile, and the runners started in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "output"
        self.port = free_port()
        self.command = [sys.executable, "-m", "server.cli", "run"]
        self._runners: list[subprocess.Popen[bytes]] = []
        self.write(web="python web.py", worker="python worker.py")
        (folder / "web.py").write_text(WEB)
        (folder / "worker.py").write_text(WORKER)

    def write(self, **lines: str) -> None:
        (self.folder / "Procfile").write_text("".join(f"{name}: {line}\n" for name, line in lines.items()))

    def environment(self, **changes: str) -> dict[str, str]:
        ours = {"PORT": str(self.port), "PYTHONPATH": str(ROOT)}
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return kept | ours | changes

    def start(self, expect: str = "is ready at", **changes: str) -> "subprocess.Popen[bytes]":
        """Start a runner as the leader of its process group, as a terminal does, and wait for its output."""
        with self.log.open("wb") as log:
            runner = popen(
                self.command,
                cwd=self.folder,
                env=self.environment(**changes),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._runners.append(runner)
        until(lambda: expect in self.output and "worker up" in self.output, lambda: self.output)
        return runner

    def refusal(self, **changes: str) -> str:
        """Return the message of a runner that cannot start."""
        done = subprocess.run(
            self.command,
            check=False,
            cwd=self.folder,
            env=self.environment(**changes),
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
        assert done.returncode == 1
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1, "one sentence, no traceback"
        return done.stderr

    def close(self) -> None:
        """End everything that the test has started."""
        for runner in self._runners:
            if runner.poll() is None:
                runner.kill()
            runner.wait()
        for pid in self.left():
            with contextlib.suppress(ProcessLookupError):  # it may end by itself between the check and the kill
                os.kill(pid, signal.SIGKILL)

    @property
    def output(self) -> str:
        return self.log.read_text()

    @property
    def url(self) -> str:
        return (self.folder / "var/redis-url").read_text().strip()

    def left(self) -> list[int]:
        """Return every process with this working folder: all children of the runner, in any session."""
        pids = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                working_folder = (entry / "cwd").readlink()
            except OSError:  # ended in the meantime, or not accessible
                continue
            if working_folder.is_relative_to(self.folder):
                pids.append(int(entry.name))
        return pids


def until(condition: Callable[[], bool], describe: Callable[[], object]) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, describe()
        time.sleep(0.05)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    if not Path("/proc/self/cwd").exists():
        pytest.skip("looks for left processes in /proc")
    site = Site(tmp_path.resolve())
    yield site
    site.close()


def test_it_prints_the_address_of_the_server_and_a_first_command(site: Site) -> None:
    site.start()

    assert f"http://127.0.0.1:{site.port}" in site.output
    assert "  curl -X POST -H 'Content-Type: application/json' " in site.output


def test_the_embedded_valkey_listens_on_loopback_keeps_a_file_and_never_evicts(site: Site) -> None:
    site.start()

    with redis.Redis.from_url(site.url) as store:
        config = store.config_get("*")
    assert config["bind"] == "127.0.0.1"
    assert config["appendonly"] == "yes"
    assert config["maxmemory-policy"] == "noeviction"
    assert config["dir"] == str(site.folder / "var/valkey")


@pytest.mark.slow
def test_data_and_address_survive_a_restart(site: Site) -> None:
    runner = site.start()
    url = site.url
    with redis.Redis.from_url(url) as store:
        store.set("kept", "yes")
    runner.terminate()
    assert runner.wait(LIMIT) == 0

    site.start()

    assert site.url == url
    with redis.Redis.from_url(url) as store:
        assert store.get("kept") == b"yes"


@pytest.mark.slow
def test_it_waits_for_a_valkey_that_loads_its_data(site: Site) -> None:
    runner = site.start()
    with redis.Redis.from_url(site.url, socket_timeout=60) as client, client.pipeline(transaction=False) as pipe:
        for part in range(20):
            pipe.eval("for i = 1, 50000 do redis.call('SET', ARGV[1] .. ':' .. i, i) end", 0, str(part))
        pipe.execute()
    runner.send_signal(signal.SIGTERM)
    assert runner.wait(LIMIT) == 0
    site.start()
    with redis.Redis.from_url(site.url, socket_timeout=60) as client:
        assert client.dbsize() >= 1_000_000


@pytest.mark.slow
def test_a_second_run_on_the_same_data_is_refused(site: Site) -> None:
    runner = site.start()

    message = site.refusal(PORT=str(free_port()))

    assert f"Another `make run` (process {runner.pid}) already uses {site.folder}/var/" in message
    assert runner.poll() is None


def test_a_port_in_use_is_refused(site: Site) -> None:
    with socket.create_server(("127.0.0.1", site.port)):
        assert f"Port {site.port} is in use" in site.refusal()
    assert site.left() == []


@pytest.mark.slow
def test_a_port_that_is_not_a_number_is_refused(site: Site) -> None:
    assert "PORT: " in site.refusal(PORT="eighty")


@pytest.mark.slow
def test_the_error_for_an_unreachable_redis_omits_its_password(site: Site) -> None:
    port = free_port()

    message = site.refusal(REDIS_URL=f"redis://me:swordfish@127.0.0.1:{port}/0")

    assert f"127.0.0.1:{port} (REDIS_URL) cannot be reached: Connection refused." in message
    assert "swordfish" not in message


@pytest.mark.slow
def test_a_redis_that_does_not_answer_is_refused_within_a_few_seconds(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        message = site.refusal(REDIS_URL=f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
    assert "cannot be reached: no answer" in message
    assert time.monotonic() - started < 20


@pytest.mark.slow
def test_the_error_for_an_invalid_redis_url_does_not_quote_it(site: Site) -> None:
    message = site.refusal(REDIS_URL="redis://me:trout/lake@127.0.0.1:6379/0")

    assert "REDIS_URL: must have the form" in message
    assert "trout" not in message


@pytest.mark.slow
def test_with_a_redis_url_no_valkey_is_started(site: Site) -> None:
    first = site.start()
    (site.folder / "other").mkdir()
    other = Site(site.folder / "other")

    second = other.start(REDIS_URL=site.url)
    second.terminate()

    assert second.wait(LIMIT) == 0
    assert not (other.folder / "var").exists()
    assert first.poll() is None


@pytest.mark.slow
def test_the_error_for_unreadable_data_has_the_last_line_of_valkeys_log(site: Site) -> None:
    site.start().terminate()
    until(lambda: site.left() == [], site.left)
    (file,) = (site.folder / "var/valkey/appendonlydir").glob("*.incr.aof")
    file.write_bytes(b"not an append-only file" + file.read_bytes())

    message = site.refusal()

    assert "Valkey did not start" in message
    assert "Bad file format reading the append only file" in message


def test_the_environment_overrides_the_env_file(site: Site) -> None:
    (site.folder / ".env").write_text("PORT=1\nGREETING='two  words'\n")
    site.write(web="python web.py", worker='echo "<$GREETING> on $PORT"; python worker.py')

    site.start()

    assert f"<two  words> on {site.port}\n" in site.output


def test_it_ignores_the_release_line(site: Site) -> None:
    site.write(release="false", web="python web.py", worker="python worker.py")

    assert site.start().poll() is None


@pytest.mark.parametrize("how", ["ctrl-c", "sigterm"])
def test_a_stop_leaves_no_process_and_ends_valkey_last(site: Site, how: str) -> None:
    runner = site.start()

    if how == "ctrl-c":
        os.killpg(runner.pid, signal.SIGINT)
    else:
        runner.terminate()

    assert runner.wait(LIMIT) == 0
    assert site.left() == []
    assert "handed back 1" in site.output, "the worker wrote to Valkey after the request to stop"
    assert "ready to exit" in (site.folder / "var/valkey.log").read_text()


def test_a_second_ctrl_c_kills_a_process_that_does_not_stop(site: Site) -> None:
    (site.folder / "worker.py").write_text(STUBBORN)
    runner = site.start()
    runner.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        runner.wait(0.5)

    runner.send_signal(signal.SIGINT)

    assert runner.wait(3) == 0
    assert site.left() == []
    assert "ready to exit" in (site.folder / "var/valkey.log").read_text()


def test_a_process_that_exits_is_restarted_after_a_pause(site: Site) -> None:
    site.write(web="python web.py", worker="test -e once && exec python worker.py; touch once; echo worker up; exit 3")

    runner = site.start(expect="worker ended by itself (code 3). It starts again in 1 s.")
    until(lambda: site.output.count("worker up") == 2, lambda: site.output)
    runner.send_signal(signal.SIGINT)

    assert runner.wait(LIMIT) == 0
    assert "handed back 1" in site.output
    assert site.left() == []


@pytest.mark.slow
def test_a_process_that_keeps_exiting_ends_everything_after_growing_pauses(site: Site) -> None:
    site.write(web="python web.py", worker="echo worker up; sleep 0.2; exit 7")

    runner = site.start(expect="It starts again in 1 s.")

    assert runner.wait(LIMIT) == 1
    assert "It starts again in 2 s." in site.output and "It starts again in 4 s." in site.output
    assert "worker ended 4 times in a row (last code 7), so everything stops." in site.output
    assert site.left() == []


def test_children_of_a_killed_main_process_end_before_it_is_restarted(site: Site) -> None:
    sleep = f"sleep 9{site.port}"  # no other test's
    site.write(web="python web.py", worker=f"echo worker up; {sleep} & test -e once && wait; touch once; kill -9 $$")

    runner = site.start(expect="worker ended by itself (code -9)")
    until(lambda: site.output.count("worker up") == 2, lambda: site.output)

    def sleeping() -> int:
        ps = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
        return ps.stdout.splitlines().count(sleep)

    until(lambda: sleeping() == 1, lambda: str(sleeping()))
    runner.send_signal(signal.SIGINT)
    assert runner.wait(LIMIT) == 0
    assert site.left() == []


def test_the_processes_of_a_killed_runner_end_soon(site: Site) -> None:
    runner = site.start()

    runner.kill()
    runner.wait()

    until(lambda: site.left() == [], site.left)
    assert "ready to exit" in (site.folder / "var/valkey.log").read_text()


@pytest.mark.parametrize("how", ["ctrl-c", "sigterm"])
def test_make_run_stops_with_make(site: Site, how: str) -> None:
    (site.folder / ".venv").symlink_to(sys.prefix)
    # -o: do not check what is installed, it runs this test
    site.command = ["make", "-f", str(ROOT / "Makefile"), "-o", ".venv/.installed", "run"]
    make = site.start()

    if how == "ctrl-c":
        os.killpg(make.pid, signal.SIGINT)
    else:
        make.terminate()

    make.wait(LIMIT)
    assert site.left() == []
    assert "handed back 1" in site.output


def test_a_changed_task_module_restarts_web_and_worker(site: Site) -> None:
    (site.folder / "mine.py").write_text("# one")
    site.start(TASK_MODULES="mine")

    (site.folder / "mine.py").write_text("# two, changed")

    until(lambda: site.output.count("worker up") == 2, lambda: site.output)
    assert "mine.py has changed: web and worker start again." in site.output
    assert "handed back 1" in site.output


def test_a_temporarily_broken_module_does_not_end_the_runner(site: Site) -> None:
    worker = (site.folder / "worker.py").read_text()
    (site.folder / "worker.py").write_text(f"import mine\n{worker}")
    (site.folder / "mine.py").write_text("")
    site.start(TASK_MODULES="mine")

    (site.folder / "mine.py").write_text("1 / 0")
    until(lambda: "It starts again when a task module changes." in site.output, lambda: site.output)
    (site.folder / "mine.py").write_text("# as good as before")

    until(lambda: site.output.count("worker up") == 2, lambda: site.output)


def test_reload_can_be_switched_off(site: Site) -> None:
    (site.folder / "mine.py").write_text("# one")
    site.start(TASK_MODULES="mine", RELOAD="false")

    (site.folder / "mine.py").write_text("# two, changed")
    time.sleep(2)

    assert site.output.count("worker up") == 1
