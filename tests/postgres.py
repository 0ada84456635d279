"""A real PostgreSQL for tests. If it is not installed, tests are skipped, but fail in CI, which installs it."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import free_port

#: The folder of Debian's `postgresql` programs, which is not on the path.
_DEBIAN = "/usr/lib/postgresql/*/bin"


def _folder() -> Path | None:
    if initdb := shutil.which("initdb"):
        return Path(initdb).resolve().parent
    return next(iter(sorted(Path("/").glob(_DEBIAN.lstrip("/")), reverse=True)), None)


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """The URL of an empty database."""
    binaries = _folder()
    if binaries is None:
        reason = "PostgreSQL is not installed (Debian: apt-get install postgresql)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    # The server refuses to run as root.
    user = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="pg-") as name:
        if user:
            shutil.chown(name, user)
        port = free_port()
        data = f"{name}/data"

        def run(*command: str) -> None:
            with Path(f"{name}/log").open("ab") as log:
                subprocess.run(command, user=user, cwd=name, check=True, stdout=log, stderr=log)

        run(f"{binaries}/initdb", "-D", data, "-A", "trust", "-U", "coatcheck", "-E", "UTF8", "--no-sync")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={name} -c fsync=off"
        run(f"{binaries}/pg_ctl", "-D", data, "-w", "-o", options, "-l", f"{name}/server.log", "start")
        try:
            yield f"postgresql://coatcheck@127.0.0.1:{port}/postgres"
        finally:
            run(f"{binaries}/pg_ctl", "-D", data, "-m", "immediate", "stop")
