"""Signing in: the browser's cookie, the pages that it opens, and requests from other sites, which are refused."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from harness import Service, eventually

from server.store.api_keys import Role
from server.web.sessions import COOKIE


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, dict[str, str]]]:
    with Service(tmp_path_factory.mktemp("sessions"), TASK_MODULES="sample_tasks") as service:
        keys = service.store.api_keys
        owner_keys = {owner: keys.create(owner, Role.SUBMIT) for owner in ("alice", "bob", "carol")}
        service.start_web()
        yield service, owner_keys


@contextmanager
def signed_in(service: Service, key: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=30) as client:
        answer = client.post("/ui/sign-in", data={"key": key, "next": "/"}, headers={"Origin": service.url})
        assert (answer.status_code, answer.headers["Location"]) == (303, f"{service.url}/")
        yield client


def test_a_session_has_the_rights_of_its_key(keyed: tuple[Service, dict[str, str]]) -> None:
    service, keys = keyed
    with signed_in(service, keys["alice"]) as alice, signed_in(service, keys["bob"]) as bob:
        task_id = alice.post("/tasks/divide", json={"x": 1, "y": 2}, headers={"Origin": service.url}).json()["task_id"]
        assert alice.get(f"/tasks/{task_id}").status_code == 200
        assert bob.get(f"/tasks/{task_id}").status_code == 404
        assert bob.get("/tasks").json()["tasks"] == []


def test_the_cookie_is_http_only_and_does_not_contain_the_key(keyed: tuple[Service, dict[str, str]]) -> None:
    service, keys = keyed
    form = {"key": keys["alice"]}
    answer = httpx.post(f"{service.url}/ui/sign-in", data=form, headers={"Origin": service.url})
    cookie = answer.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    assert keys["alice"] not in cookie


@pytest.mark.parametrize(
    "headers",
    [{}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}, {"Origin": "http://a"}],
)
def test_a_request_that_changes_state_must_come_from_a_page_of_the_server(
    keyed: tuple[Service, dict[str, str]], headers: dict[str, str]
) -> None:
    service, keys = keyed
    with signed_in(service, keys["alice"]) as alice:
        assert alice.post("/tasks/divide", json={"x": 1, "y": 2}, headers=headers).status_code == 403
        assert alice.post("/ui/sign-in", data={"key": keys["bob"]}, headers=headers).status_code == 403
        fetched = alice.post("/tasks/divide", json={"x": 1, "y": 2}, headers={"Sec-Fetch-Site": "same-origin"})
        assert fetched.status_code == 202


def test_a_wrong_key_does_not_sign_in(keyed: tuple[Service, dict[str, str]]) -> None:
    service, _ = keyed
    answer = httpx.post(f"{service.url}/ui/sign-in", data={"key": "cck_no"}, headers={"Origin": service.url})
    assert answer.status_code == 403
    assert "This key is not valid." in answer.text
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("change", ["x", "9" * 10 + ".", ".", "\u00e9"])
def test_a_modified_cookie_is_not_accepted(keyed: tuple[Service, dict[str, str]], change: str) -> None:
    service, keys = keyed
    with signed_in(service, keys["alice"]) as alice:
        cookie = f"{COOKIE}={change}{alice.cookies[COOKIE]}".encode("latin-1")
        assert httpx.get(f"{service.url}/tasks", headers=[(b"Cookie", cookie)]).status_code == 401


def test_a_session_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    from server.web import sessions

    monkeypatch.setattr(sessions, "store", lambda: SimpleNamespace(secret=b"secret"))
    assert sessions.unseal(sessions.seal("name", 4_000_000_000)) == "name"
    assert sessions.unseal(sessions.seal("name", 1)) is None


def test_a_session_ends_with_its_key_and_with_signing_out(keyed: tuple[Service, dict[str, str]]) -> None:
    service, keys = keyed
    with signed_in(service, keys["carol"]) as carol:
        assert carol.post("/ui/sign-out", headers={"Origin": service.url}).status_code == 303
        assert carol.get("/tasks").status_code == 401
    with signed_in(service, keys["carol"]) as carol:
        service.store.api_keys.revoke(keys["carol"])
        eventually(lambda: carol.get("/tasks").status_code == 401)


@pytest.mark.parametrize("elsewhere", ["//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil", "evil"])
def test_signing_in_redirects_only_to_pages_of_the_server(
    keyed: tuple[Service, dict[str, str]], elsewhere: str
) -> None:
    service, keys = keyed
    form = {"key": keys["alice"], "next": elsewhere}
    answer = httpx.post(f"{service.url}/ui/sign-in", data=form, headers={"Origin": service.url})
    assert answer.headers["Location"] == f"{service.url}/"


def test_the_home_page_is_public_and_shows_how_to_sign_in(keyed: tuple[Service, dict[str, str]]) -> None:
    service, _ = keyed
    answer = httpx.get(service.url)
    assert answer.status_code == 200
    assert 'href="/ui/sign-in"' in answer.text


def test_an_unknown_task_type_has_an_error_page(keyed: tuple[Service, dict[str, str]]) -> None:
    service, _ = keyed
    answer = httpx.get(f"{service.url}/ui/run/no-such-kind")
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_a_form_that_is_sent_after_the_session_has_ended_leads_to_the_sign_in_page(
    keyed: tuple[Service, dict[str, str]],
) -> None:
    service, _ = keyed
    form, headers = {"x": "1", "y": "2"}, {"Origin": service.url, "Cookie": f"{COOKIE}=1.ended.0"}
    answer = httpx.post(f"{service.url}/ui/run/divide", data=form, headers=headers)
    assert answer.status_code == 401
    assert 'href="/ui/sign-in?next=%2Fui%2Frun%2Fdivide"' in answer.text


def test_a_form_with_a_refused_file_keeps_its_other_fields(keyed: tuple[Service, dict[str, str]]) -> None:
    service, keys = keyed
    parts = [  # without JavaScript, a browser sends the form's parts in their order
        ("delimiter", (None, "|")),
        ("file", ("a.pdf", b"%PDF-1.7 " + bytes(2**20), "application/pdf")),
        ("types", (None, '{"size": "number"}')),
    ]
    with signed_in(service, keys["alice"]) as alice:
        answer = alice.post("/ui/run/csv_stats", files=parts, headers={"Origin": service.url})
    assert answer.status_code == 415
    assert 'value="|"' in answer.text and ">{&#34;size&#34;: &#34;number&#34;}</textarea>" in answer.text


def test_a_user_named_by_a_trusted_proxy_needs_no_key(tmp_path: Path) -> None:
    with Service(tmp_path, AUTH_PROXY_HEADER="X-Forwarded-User", AUTH_PROXY_ADMINS="root") as service:
        service.store.api_keys.create("alice", Role.SUBMIT)
        service.start_web()
        same_origin = {"Origin": service.url}
        as_bob, as_root = ({"X-Forwarded-User": name} for name in ("bob@example.org", "root"))
        task = service.http.post("/tasks/divide", json={"x": 1, "y": 2}, headers={**as_bob, **same_origin}).json()[
            "task_id"
        ]
        assert service.http.get(f"/tasks/{task}", headers=as_bob).status_code == 200
        assert service.http.get(f"/tasks/{task}", headers={"X-Forwarded-User": "carol"}).status_code == 404
        assert service.http.get("/queues", headers=as_bob).status_code == 403
        assert service.http.get("/queues", headers=as_root).status_code == 200
        assert service.http.get("/tasks").status_code == 401
        elsewhere = {**as_bob, "Origin": "https://evil.example"}
        assert service.http.post("/tasks/divide", json={"x": 1, "y": 2}, headers=elsewhere).status_code == 403
        assert service.http.get("/tasks", headers={"X-Forwarded-User": "no such/name"}).status_code == 403
        page = service.http.get("/ui/tasks", headers=as_bob).text
        assert "bob@example.org" in page and "Sign out" not in page


def test_the_header_of_an_untrusted_address_is_ignored(tmp_path: Path) -> None:
    with Service(tmp_path, AUTH_PROXY_HEADER="X-Forwarded-User", AUTH_PROXY_ADDRESSES="192.0.2.1") as service:
        service.store.api_keys.create("alice", Role.SUBMIT)
        service.start_web()
        assert service.http.get("/tasks", headers={"X-Forwarded-User": "alice"}).status_code == 401
