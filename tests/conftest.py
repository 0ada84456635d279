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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a web server or a worker, and sort the faults last: they fill the gaps that long files leave."""
    for item in items:
        if _needs_servers(item):
            item.add_marker(pytest.mark.system)
    items.sort(key=lambda item: item.path.parent.name == "faults")


def _needs_servers(item: pytest.Item) -> bool:
    """Whether the test, or a test of the same module, starts Gunicorn or Celery."""
    names = vars(getattr(item, "module", None) or object)
    return not {"Service", "Process"}.isdisjoint(names) or "service" in getattr(item, "fixturenames", ())


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
