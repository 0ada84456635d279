"""schemathesis with a running server: each operation of /openapi.json, with all checks, and along its links.

Every request is generated from the document, and every answer is compared with it. `schemathesis.toml` has the
settings, `schemathesis_hooks.py` explains failures that are not errors.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import ROOT, Service


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server with a key, so that missing keys are tested. It connects to this machine only."""
    folder = tmp_path_factory.mktemp("schemathesis")
    with Service(folder, TASK_MODULES="loopback_only", WORKER_CONCURRENCY="4") as service:
        command = [sys.executable, "-m", "server.cli", "keys", "create", "--owner", "tester", "--role", "admin"]
        created = subprocess.run(command, env=service.env, cwd=ROOT, capture_output=True, text=True, check=True)
        service.env["COATCHECK_KEY"] = created.stdout.split()[0]
        yield service.start()


def check(service: Service, *options: str) -> None:
    """Run schemathesis; fail with its report."""
    program = Path(sys.executable).with_name("schemathesis")
    config = str(ROOT / "tests" / "schemathesis.toml")
    command = [str(program), "--config-file", config, "run", f"{service.url}/openapi.json", "--no-color"]
    done = subprocess.run(
        [*command, *options], env=service.env, cwd=service.folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_server_conforms_to_its_document(guarded: Service) -> None:
    check(guarded, "--phases", "examples,fuzzing,stateful", "--max-examples", "3")


@pytest.mark.slow
def test_the_server_conforms_to_its_document_in_a_long_run(guarded: Service) -> None:
    check(guarded, "--max-examples", "25")
