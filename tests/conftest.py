"""Fixtures for all test modules, and the distribution of tests to processes."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx._transports.default
import pytest
from harness import Service


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Distribute the tests; called only with pytest-xdist."""
    from xdist_scheduler import FileScheduling

    return FileScheduling(config, log)


def pytest_configure() -> None:
    """Let the tests fork their servers, and their HTTP clients share the authorities' certificates.

    Each client, and each `httpx.get`, would otherwise read all of them: 30 ms of CPU.
    """
    Service.forked = True
    transports: Any = httpx._transports.default
    transports.create_ssl_context = lru_cache(transports.create_ssl_context)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for the short form of the slow tests."""
    parser.addoption("--short", action="store_true", help="of the slow tests, select only the first of each file")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark tests that need a web server or a worker, and run the fault tests last: they fill the gaps of long files."""
    for item in items:
        if _needs_servers(item):
            item.add_marker(pytest.mark.system)
    items.sort(key=lambda item: item.path.parent.name == "faults")
    if config.getoption("short"):
        _deselect_all_but_the_first_slow(config, items)


def _deselect_all_but_the_first_slow(config: pytest.Config, items: list[pytest.Item]) -> None:
    slow = [item for item in items if item.get_closest_marker("slow")]
    first = {item.path: item for item in reversed(slow)}
    left_out = {item for item in slow if first[item.path] is not item}
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = [item for item in items if item not in left_out]


def _needs_servers(item: pytest.Item) -> bool:
    """Return whether the test, or a test of the same module, starts Gunicorn or Celery."""
    names = vars(getattr(item, "module", None) or object)
    return not {"Service", "Process"}.isdisjoint(names) or "service" in getattr(item, "fixturenames", ())


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server shared by all tests that do not change it: a web process, and a worker with the tests' own tasks."""
    with Service(tmp_path_factory.mktemp("service"), TASK_MODULES="sample_tasks,client_tasks") as service:
        yield service.start()


@pytest.fixture(autouse=True)
def _left_as_it_was(request: pytest.FixtureRequest) -> Iterator[None]:
    """Cancel tasks that a test left on the shared server, since they would occupy a child in later tests."""
    yield
    if "service" in request.fixturenames:
        request.getfixturevalue("service").cancel_unfinished()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Service]:
    """A server for one test with only Redis started: for tests that kill processes."""
    with Service(tmp_path, TASK_MODULES="sample_tasks", LEASE_SECONDS="5", SOFT_SHUTDOWN_SECONDS="2") as service:
        yield service
