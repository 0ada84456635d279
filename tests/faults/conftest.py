"""Short leases and shutdowns: the faults are the same, and the tests do not take all day."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Service


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Service]:
    """A server of a test's own, with nothing started but its Redis."""
    with Service(tmp_path, TASK_MODULES="sample_tasks", LEASE_SECONDS="3", SOFT_SHUTDOWN_SECONDS="2") as made:
        yield made
