"""The application below a prefix: under every host, next to other applications and behind proxies."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import proxies
import pytest
from crawler import Crawl
from harness import ROOT, Process, Service, eventually, free_port
from hosts import COMMANDS
from test_hosts import hosted

from server.store.api_keys import Role

OURS = "Gunicorn, our worker"

#: Hosts that serve a module with the dispatcher; our own worker serves our application itself.
DISPATCHED = [host for host in COMMANDS if host != OURS]

#: Which headers a proxy adds, and whether it strips the prefix from the path.
FORWARDED = [("", False), ("host", True), ("no host", True), ("no host", False)]


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, str]]:
    """A Redis and a worker, and an admin's key; the web servers are those of the tests."""
    with Service(tmp_path_factory.mktemp("mounted"), TASK_MODULES="sample_tasks") as service:
        key = service.store.api_keys.create("root", Role.ADMIN)
        service.start_worker()
        yield service, key


@contextlib.contextmanager
def behind_proxy(service: Service, proxy: str, forwarded: str, strips: bool, folder: Path) -> Iterator[str]:
    """Our worker behind a proxy; the address for clients."""
    if reason := proxies.missing(proxy):
        pytest.skip(reason)
    port = free_port()
    base = f"http://127.0.0.1:{port}/jobs"
    settings = {"TRUSTED_PROXIES": "127.0.0.0/8"} if forwarded else {"PUBLIC_URL": base}
    with hosted(service, OURS, "wsgi", folder, **settings) as inner:
        command = proxies.command(proxy, forwarded, port, int(inner.rpartition(":")[2]), folder, strips=strips)
        process = Process(command, folder / "proxy.log", service.env)
        try:
            eventually(lambda: responds(f"{base}/health/live"))
            yield base
        finally:
            process.kill()


def responds(address: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(address).status_code == 200
    return False


def visit(service: Service, key: str, base: str) -> Crawl:
    """Use the API and the pages as their clients do, and follow every address in their answers."""
    origin = base.removesuffix("/jobs")
    with httpx.Client(timeout=30, headers={"Connection": "close"}) as client:
        page = client.get(f"{base}/ui/tasks")
        assert (page.status_code, page.headers["Location"]) == (303, f"{base}/ui/sign-in?next=/ui/tasks")
        form = {"key": key, "next": "/ui/tasks"}
        signed = client.post(f"{base}/ui/sign-in", data=form, headers={"Origin": origin})
        assert (signed.status_code, signed.headers["Location"]) == (303, f"{base}/ui/tasks")
        assert "Path=/jobs" in signed.headers["Set-Cookie"]
        api = httpx.Client(timeout=30, headers={"Connection": "close", "Authorization": f"Bearer {key}"})
        crawl = Crawl(client, base)
        starts = [f"{base}{path}" for path in ("/", "/openapi.json", "/catalog", "/queues", "/workers", "/schedules")]
        starts += [f"{base}{path}" for path in ("/tasks?limit=1", "/schedules?limit=1", "/failures", "/docs")]
        with api:
            for response in submitted(service, api, base):
                starts += list(crawl.named(response))
        crawl.walk(*starts)
        refused = client.get(f"{base}/no/such/address")
        assert refused.json()["type"] == "/jobs/problems/not-found"
    return crawl


def submitted(service: Service, api: httpx.Client, base: str) -> Iterator[httpx.Response]:
    """Submit tasks in each way, and wait for their ends; the responses to the submits."""
    good = api.post(f"{base}/tasks/echo_file", files={"file": ("a b.txt", b"hello", "text/plain")})
    small = api.post(f"{base}/tasks/divide", json={"x": 1, "y": 2})
    bad = api.post(f"{base}/tasks/divide", json={"x": 1, "y": 0})
    batch = api.post(f"{base}/batches", json={"items": [{"task": "divide", "input": {"x": 1, "y": 2}}]})
    for name in ("one", "two"):
        created = api.put(
            f"{base}/schedules/{name}", json={"task": "divide", "input": {"x": 1, "y": 2}, "every": 86400}
        )
        assert created.status_code in (200, 201), created.text
        yield created
    assert [each.status_code for each in (good, small, bad, batch)] == [202] * 4, good.text
    for each in (good, small, bad):
        assert each.headers["Operation-Location"] == f"{base}/tasks/{each.json()['task_id']}"
        status = httpx.URL(each.headers["Operation-Location"])
        eventually(lambda status=status: api.get(status).json()["done"])
    result = api.get(good.headers["Location"])
    assert api.get(httpx.URL(base).join(result.json()["result"]["href"])).content == b"hello"
    yield from (good, small, bad, batch, result)


def unreached(crawl: Crawl) -> list[str]:
    """The patterns of addresses that a walk has not met."""
    patterns = " ".join(crawl.answers_by_pattern)
    parts = ("/static/", ".js", ".css", "/docs", "/problems/", "/files/", "cursor", "/batches/", "/events")
    pages = ("/ui/tasks/ID", "/ui/overview", "/ui/schedules", "/ui/failures", "/schedules/one", "/openapi.json")
    return [part for part in (*parts, *pages) if part not in patterns]


@pytest.mark.slow
@pytest.mark.parametrize("host", DISPATCHED)
def test_every_address_works_below_a_prefix_of_another_application(
    keyed: tuple[Service, str], host: str, tmp_path: Path
) -> None:
    with hosted(keyed[0], host, "mounted_in_flask", tmp_path, "/jobs/health/live") as url:
        assert unreached(visit(*keyed, f"{url}/jobs")) == []


@pytest.mark.slow
def test_every_address_works_with_django_in_the_same_process(keyed: tuple[Service, str], tmp_path: Path) -> None:
    with hosted(keyed[0], "waitress", "mounted_in_django", tmp_path, "/jobs/health/live") as url:
        assert unreached(visit(*keyed, f"{url}/jobs")) == []
        assert httpx.get(url).status_code == 418


@pytest.mark.slow
@pytest.mark.parametrize(("forwarded", "strips"), FORWARDED)
@pytest.mark.parametrize("proxy", ["nginx", "apache"])
def test_every_address_works_behind_a_proxy(
    keyed: tuple[Service, str], proxy: str, forwarded: str, strips: bool, tmp_path: Path
) -> None:
    with behind_proxy(keyed[0], proxy, forwarded, strips, tmp_path) as base:
        assert unreached(visit(*keyed, base)) == []


def test_the_docs_have_a_row_for_each_host() -> None:
    page = (ROOT / "docs" / "deploying.md").read_text()
    rows = [line.split(" | ")[0].removeprefix("| ") for line in page.splitlines() if line.startswith("| ")]
    table = rows[rows.index("host") + 1 :][: len(COMMANDS) + 2]

    assert [re.split(r" [12]\.|, which", row)[0] for row in table] == [*COMMANDS, "nginx", "Apache"]
