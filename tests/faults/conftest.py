"""Fixtures for fault tests: short leases and shutdowns keep the tests short."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Service


@pytest.fixture(autouse=True, scope="module")
def _started() -> Iterator[None]:
    """Start processes by their command line: here they are started and killed."""
    Service.forked = False
    yield
    Service.forked = True


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Service]:
    """A server for one test, of which only Redis is started."""
    with Service(tmp_path, TASK_MODULES="sample_tasks", LEASE_SECONDS="3", SOFT_SHUTDOWN_SECONDS="2") as service:
        yield service
