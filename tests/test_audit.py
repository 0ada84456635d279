"""The audit: who did what, by which request, through real HTTP."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from harness import Service
from test_keys import manage

from server.settings import Settings
from server.store import Store
from server.store.api_keys import Role
from server.store.audit import MAX_ENTRIES, Act
from server.web.app import create_app
from server.web.audited import ACTIONS, NOT_AUDITED


class Audited:
    """A server with an admin and a submitter."""

    def __init__(self, service: Service) -> None:
        self.service = service
        keys = {
            name: service.store.api_keys.create(name, role) for name, role in (("root", Role.ADMIN), ("al", "submit"))
        }
        service.start()
        service.http.headers["Authorization"] = f"Bearer {keys['root']}"
        self.root = service.http
        self.al = httpx.Client(base_url=service.url, headers={"Authorization": f"Bearer {keys['al']}"}, timeout=30)

    def entries(self, **query: Any) -> list[dict[str, Any]]:
        """The audit's entries that match."""
        entries: list[dict[str, Any]] = self.root.get("/audit", params=query).json()["entries"]
        return entries


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audited]:
    """One server for all tests of this module."""
    with Service(tmp_path_factory.mktemp("audited")) as service:
        audited = Audited(service)
        yield audited
        audited.al.close()


def test_cancels_retries_and_deletes_are_audited_with_their_caller_and_request(audited: Audited) -> None:
    task = audited.al.post("/tasks/divide?delay=60", json={"x": 1, "y": 1}).json()["task_id"]

    for method, path, request_id in (
        ("POST", f"/tasks/{task}/cancel", "r-1"),
        ("POST", f"/tasks/{task}/cancel", "r-2"),  # it changes nothing
        ("POST", f"/tasks/{task}/retry", "r-3"),
        ("DELETE", f"/tasks/{task}", "r-4"),
        ("DELETE", f"/tasks/{task}", "r-5"),  # it is refused
    ):
        audited.al.request(method, path, headers={"X-Request-ID": request_id})
    entries = audited.entries(target=task)

    assert [(each["action"], each["by"], each["count"], each["request_id"]) for each in entries] == [
        ("delete", "al", 1, "r-4"),
        ("retry", "al", 1, "r-3"),
        ("cancel", "al", 1, "r-1"),
    ]
    assert entries[0]["key_id"] in {each["id"] for each in audited.root.get("/keys").json()["keys"]}


def test_a_bulk_call_is_audited_with_its_filter_and_count(audited: Audited) -> None:
    for _ in range(3):
        audited.al.post("/tasks/divide?delay=60&tag=many", json={"x": 1, "y": 1})

    for _ in range(2):  # the second changes nothing
        audited.root.post("/bulk/cancel?tag=many&status=scheduled&dry_run=true")
        audited.root.post("/bulk/cancel?tag=many&status=scheduled")

    [entry] = audited.entries(action="bulk_cancel")
    assert (entry["by"], entry["filter"], entry["count"]) == ("root", "tag=many&status=scheduled", 3)


def test_changes_of_keys_and_schedules_are_audited(audited: Audited) -> None:
    key = audited.root.post("/keys", json={"owner": "shop"}).json()
    audited.root.delete(f"/keys/{key['id']}")
    schedule = {"task": "divide", "input": {"x": 1, "y": 2}, "every": 3600}
    audited.al.put("/schedules/hourly", json=schedule)
    audited.al.patch("/schedules/hourly", json={"enabled": False})
    audited.al.delete("/schedules/hourly")
    by_command = manage(audited.service, "create", "--owner", "carl").stdout.strip()

    assert [each["action"] for each in audited.entries(target=key["id"])] == ["revoke_key", "make_key"]
    assert [each["action"] for each in audited.entries(target="hourly", by="al")] == [
        *("delete_schedule", "change_schedule", "put_schedule")
    ]
    [entry] = audited.entries(by="command line")
    assert entry["target"] in {each["id"] for each in audited.root.get("/keys").json()["keys"]}
    assert key["key"] not in str(audited.entries()) and by_command not in str(audited.entries())


def test_only_admins_read_the_audit_log_with_pages_and_filters(audited: Audited) -> None:
    for number in range(5):
        audited.service.store.audit.record(Act("delete", "pages", target=str(number)))

    first = audited.root.get("/audit?by=pages&limit=3")
    second = audited.root.get(first.json()["next"]).json()
    times = [each["at"] for each in audited.entries(by="pages")]

    assert [each["target"] for each in first.json()["entries"]] == ["4", "3", "2"]
    assert ([each["target"] for each in second["entries"]], second["next"]) == (["1", "0"], None)
    assert len(audited.entries(by="pages", since=times[-1])) == 5
    assert audited.entries(by="pages", until=times[-1]) == []
    assert audited.al.get("/audit").status_code == 403
    assert audited.root.get("/audit?cursor=x").status_code == 422


def test_the_audit_page_lists_entries_and_links_to_older_ones(audited: Audited) -> None:
    for number in range(101):
        audited.service.store.audit.record(Act("delete", "reader", target=f"<{number}>"))

    page = audited.root.get("/ui/audit?by=reader").text

    assert "&lt;100&gt;" in page and "<100>" not in page
    assert "/ui/audit?by=reader&amp;cursor=" in page
    assert audited.al.get("/ui/audit").status_code == 403


def test_the_audit_log_has_a_maximum_length(service: Service) -> None:
    store = Store(Settings(redis_url=service.redis.url, key_prefix="bounded:"))
    for _ in range(MAX_ENTRIES // 1000 + 2):
        with store.redis.pipeline(transaction=False) as pipe:
            for _ in range(1000):
                pipe.xadd(store.keys.audit, {"act": '{"action": "delete", "by": "many"}'})
            pipe.execute()

    store.audit.record(Act("delete", "last"))

    assert MAX_ENTRIES <= store.redis.xlen(store.keys.audit) < MAX_ENTRIES + 200
    entries, _ = store.audit.page(1, None, lambda act: True, None, None)
    assert entries[0].act.by == "last"
    store.redis.close()


def test_each_route_that_changes_something_is_audited_or_listed_as_an_exception() -> None:
    app = create_app(Store(Settings(redis_url="redis://127.0.0.1:1/0")))
    changing = {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if (rule.methods or set()) - {"GET", "HEAD", "OPTIONS", "QUERY"} and not rule.rule.startswith("/feeds")
    }

    assert changing == ACTIONS.keys() | NOT_AUDITED
