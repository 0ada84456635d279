"""API keys over HTTP: an admin lists, creates and revokes them."""

import time
from collections.abc import Iterator

import httpx
import pytest
from harness import Service, eventually

from server.settings import Settings
from server.store import Store, api_keys
from server.store.api_keys import Role


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """An admin's client of a server of its own."""
    with Service(tmp_path_factory.mktemp("keys")) as service:
        key = service.store.api_keys.create("root", Role.ADMIN, "the first one")
        service.start_web()
        service.http.headers["Authorization"] = f"Bearer {key}"
        yield service.http


def status(client: httpx.Client, key: str, path: str = "/catalog") -> int:
    return client.get(path, headers={"Authorization": f"Bearer {key}"}).status_code


def make(admin: httpx.Client, **fields: object) -> dict[str, str]:
    answer = admin.post("/keys", json={"owner": "alice", **fields})
    assert answer.status_code == 201, answer.text
    key: dict[str, str] = answer.json()
    return key


def test_a_new_key_is_shown_once_and_works(admin: httpx.Client) -> None:
    answer = admin.post("/keys", json={"owner": "alice", "role": "read", "note": "support"})
    key = answer.json()

    assert answer.headers["Location"].endswith(f"/keys/{key['id']}")
    assert answer.headers["Cache-Control"] == "no-store"
    assert status(admin, key["key"]) == 200
    [listed] = [each for each in admin.get("/keys").json()["keys"] if each["id"] == key["id"]]
    assert (listed["owner"], listed["role"], listed["note"]) == ("alice", "read", "support")
    assert (listed["expires_at"], listed["last_used_at"]) == (None, None)
    assert key["key"].startswith(listed["begins"])
    assert key["key"] not in admin.get("/keys").text


def test_a_revoked_key_is_refused(admin: httpx.Client) -> None:
    key = make(admin)
    assert status(admin, key["key"]) == 200

    assert admin.delete(f"/keys/{key['id']}").status_code == 204

    eventually(lambda: status(admin, key["key"]) == 401)
    assert admin.delete(f"/keys/{key['id']}").status_code == 404


def test_an_expired_key_is_refused_also_for_polls_from_memory(admin: httpx.Client) -> None:
    key = make(admin, expires_in=2)
    task_id = admin.post("/tasks/divide", json={"x": 1, "y": 2}, headers={"Authorization": f"Bearer {key['key']}"})
    poll = f"/tasks/{task_id.json()['task_id']}"
    began = time.monotonic()

    eventually(lambda: status(admin, key["key"], poll) == 401)

    assert time.monotonic() - began > 1
    assert status(admin, key["key"]) == 401


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"owner": "ship ping"}, "owner"),
        ({}, "owner"),
        ({"owner": "a", "role": "king"}, "role"),
        ({"owner": "a", "expires_in": 0}, "expires_in"),
        ({"owner": "a", "rate_limit": 0}, "rate_limit"),
        ({"owner": "a", "key": "mine"}, "key"),
    ],
)
def test_a_wrong_request_for_a_key_names_the_field(admin: httpx.Client, fields: dict[str, object], field: str) -> None:
    answer = admin.post("/keys", json=fields)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == [field]


def test_a_rate_limited_key_gets_its_remaining_requests_and_then_429(admin: httpx.Client) -> None:
    if time.time() % 60 > 50:
        time.sleep(61 - time.time() % 60)  # all in one minute
    header = {"Authorization": f"Bearer {make(admin, rate_limit=4)['key']}"}

    submitted = admin.post("/tasks/divide", json={"x": 1, "y": 1}, headers=header)
    polls = [admin.get(f"/tasks/{submitted.json()['task_id']}", headers=header) for _ in range(5)]

    assert '"unfinished";r=' in submitted.headers["RateLimit"] and '"key";r=3;' in submitted.headers["RateLimit"]
    assert [answer.status_code for answer in polls] == [200, 200, 200, 429, 429]
    left = [answer.headers["RateLimit"].partition(";t=")[0] for answer in polls]
    assert left == [f'"key";r={number}' for number in (2, 1, 0, 0, 0)]
    assert polls[0].headers["RateLimit-Policy"] == '"key";q=4;w=60'
    assert polls[-1].json()["type"] == "/problems/too-many-requests"
    assert 0 < int(polls[-1].headers["Retry-After"]) <= 60
    assert admin.get("/tasks").status_code == 200


@pytest.mark.parametrize("role", ["submit", "read", "metrics"])
def test_only_an_admin_sees_keys(admin: httpx.Client, role: str) -> None:
    header = {"Authorization": f"Bearer {make(admin, role=role)['key']}"}

    assert admin.get("/keys", headers=header).status_code == 403
    assert admin.post("/keys", json={"owner": "alice", "role": "admin"}, headers=header).status_code == 403
    assert admin.delete("/keys/0123456789abcdef", headers=header).status_code == 403


def test_the_last_use_of_a_key_is_stored_and_deleted_with_it(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_keys, "_USED_SECONDS", 0.0)
    store = Store(Settings(redis_url=service.redis.url, key_prefix="last-use:"))
    key, other = (store.api_keys.create("alice", Role.READ) for _ in range(2))

    store.api_keys.find(key)
    store.api_keys.find(other)
    store.api_keys.revoke(other)
    store.api_keys.refresh()

    [kept] = store.api_keys.entries()
    assert kept.used_ms is not None
    assert abs(kept.used_ms - store.clock.now_ms()) < 60_000
    assert store.redis.hlen(store.keys.api_keys_used) == 1
    store.redis.close()
