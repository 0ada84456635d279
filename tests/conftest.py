"""Fixtures that every test module may use, and how the tests are shared out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import Service


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Asked for by pytest-xdist alone, which a run in one process does without."""
    from sharing import Sharing

    return Sharing(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The faults come last: one by one they fill up what the long files leave."""
    items.sort(key=lambda item: item.path.parent.name == "faults")


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One server for all tests that leave it as it is: a web process and a worker with the tests' own tasks."""
    with Service(tmp_path_factory.mktemp("service"), TASK_MODULES="sample_tasks,client_tasks") as made:
        yield made.start()


@pytest.fixture(autouse=True)
def _left_as_it_was(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a test leaves running on the server of all would take a child from the tests that follow."""
    yield
    if "service" in request.fixturenames:
        request.getfixturevalue("service").cancel_unfinished()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Service]:
    """A server of a test's own, with nothing started but its Redis: for tests that kill."""
    with Service(tmp_path, TASK_MODULES="sample_tasks", LEASE_SECONDS="5", SOFT_SHUTDOWN_SECONDS="2") as made:
        yield made
