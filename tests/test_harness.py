"""An interrupted test run leaves no process behind: neither servers nor their children."""

import os
import subprocess
import sys
from pathlib import Path
from signal import Signals

import pytest
from harness import ROOT, eventually

pytestmark = pytest.mark.system

#: Two test files, so that pytest-xdist gives each of its two processes one.
TEST = """
import time
from harness import Service

def test_that_is_interrupted(tmp_path):
    with Service(tmp_path) as service:
        service.start()
        groups = [service.redis.process.pid, service.web.pid, *(worker.pid for worker in service.workers)]
        with open({groups!r}, "w") as file:
            file.write(" ".join(map(str, groups)))
        time.sleep(600)
"""


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("processes", [0, 2])
@pytest.mark.parametrize("number", [Signals.SIGINT, Signals.SIGKILL])
def test_a_signal_ends_every_process_that_a_test_started(tmp_path: Path, number: Signals, processes: int) -> None:
    files = [tmp_path / f"groups-{n}" for n in range(max(processes, 1))]
    for n, file in enumerate(files):
        (tmp_path / f"test_interrupted_{n}.py").write_text(TEST.format(groups=str(file)))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", str(processes)]
    options = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path), str(tmp_path)]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env["PYTHONPATH"] = f"{ROOT}:{ROOT / 'tests'}"
    groups: list[int] = []
    tests = subprocess.Popen([*command, *options], env=env, cwd=tmp_path, stdout=subprocess.DEVNULL, process_group=0)
    try:
        eventually(lambda: all(file.exists() and file.read_text() for file in files), seconds=90)
        groups = [int(pid) for file in files for pid in file.read_text().split()]
        assert [group for group in groups if not _alive(group)] == []

        os.killpg(tests.pid, number)  # as a terminal does: to every process in the foreground
        try:
            tests.wait(60)
        except subprocess.TimeoutExpired:
            tests.send_signal(Signals.SIGABRT)  # pytest's faulthandler then shows where it hangs
            raise

        eventually(lambda: not any(map(_alive, groups)))
    finally:
        for group in filter(_alive, [tests.pid, *groups]):
            os.killpg(group, Signals.SIGKILL)
        tests.wait(60)
