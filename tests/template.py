"""A template that has imported the server, Gunicorn and Celery, and forks the web processes and workers of the tests.

The imports are most of a start. A fork runs the same script as a started process, with its arguments, its environment
and its log, in its own session; only its interpreter has started before. The template ends with the test process.
"""

import atexit
import gc
import os
import runpy
import shutil
import subprocess
import sys
import sysconfig
import time
from multiprocessing import active_children, get_context, util
from pathlib import Path

from server.tasks import LEAVES

_CONTEXT = get_context("forkserver")
#: None of them reads the environment when it is imported. A module that fails is imported by each fork.
_CONTEXT.set_forkserver_preload(
    [
        *("gunicorn.app.wsgiapp", "celery.bin.celery", "celery.apps.worker", "celery.concurrency.prefork"),
        *("server.web.gunicorn_worker.worker", "server.web.app", "server.cli.entry", "server.cli.embedded"),
        *("server.celery_app.worker", *LEAVES),
    ]
)


def _end() -> None:
    for process in active_children():
        process.kill()


# Before multiprocessing waits for each of its processes, however long that lives.
util.Finalize(None, _end, exitpriority=0)


class Fork:
    """A fork of the template, with the methods of a Popen."""

    def __init__(self, command: list[str], log: Path, env: dict[str, str], cwd: Path) -> None:
        self._process = _CONTEXT.Process(target=_run, args=(command, log, env, cwd))
        self._process.start()
        self.pid = self._process.pid or 0

    def poll(self) -> int | None:
        """The exit code, or None while the process runs."""
        return self._process.exitcode

    def wait(self, seconds: float) -> int:
        """Wait for the end; the exit code."""
        self._process.join(seconds)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired(self._process.name, seconds)
        return code


def _run(command: list[str], log: Path, env: dict[str, str], cwd: Path) -> None:
    gc.freeze()
    os.setsid()
    with log.open("ab") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    os.chdir(cwd)
    script = shutil.which(command[0])
    assert script
    libraries = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    installed = [path for path in sys.path if path.startswith(libraries)]
    sys.path[:] = [str(Path(script).parent), *env["PYTHONPATH"].split(os.pathsep), *installed]
    sys.argv[:] = [script, *command[1:]]
    try:
        runpy.run_path(script, run_name="__main__")
    finally:
        atexit._run_exitfuncs()
