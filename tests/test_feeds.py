"""Feeds from a real HTTP server that misbehaves, into SQLite and PostgreSQL, and out again."""

import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from harness import Service, eventually
from http_servers import Exchange, serve
from postgres import postgres

Answer = Callable[[Exchange], None]


class Foreign:
    """A server whose paths answer as a test says."""

    def __init__(self) -> None:
        self.paths: dict[str, Answer] = {}
        self.requested: Counter[str] = Counter()
        self.url = ""

    def __call__(self, exchange: Exchange) -> None:
        self.requested[exchange.path] += 1
        self.paths[exchange.path](exchange)

    def put(self, path: str, body: Any, content_type: str = "application/json", **headers: str) -> str:
        """Let a path answer a body (JSON unless it is bytes); its URL."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.paths[path] = lambda exchange: exchange.reply(200, data, Content_Type=content_type, **headers)
        return self.url + path


@pytest.fixture(scope="module")
def foreign() -> Iterator[Foreign]:
    server = Foreign()
    with serve(server) as server.url:
        yield server


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shelf(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that may call the foreign server, with one database and then with the other."""
    folder = tmp_path_factory.mktemp("shelf")
    settings = {"ALLOW_PRIVATE_ADDRESSES": "true"}
    if request.param == "sqlite":
        with Service(folder, DATABASE_URL=f"sqlite:///{folder}/feeds.sqlite", **settings) as service:
            yield service.start()
    else:
        with postgres() as url, Service(folder, DATABASE_URL=url, **settings) as service:
            yield service.start()


def fetch(service: Service, name: str, url: str, **parameters: Any) -> dict[str, Any]:
    result: dict[str, Any] = service.result(service.submit("fetch_feed", name=name, url=url, **parameters))
    return result


def failure(service: Service, url: str, **parameters: Any) -> tuple[str, str]:
    ended = service.wait_for(service.submit("fetch_feed", **{"name": "bad", "url": url, **parameters}))
    assert ended["status"] == "failed", ended
    return ended["error"]["type"].removeprefix("/problems/"), ended["error"]["detail"]


def counts(result: dict[str, Any]) -> tuple[int, int, int, int]:
    return result["inserted"], result["updated"], result["unchanged"], result["rows"]


def rows(service: Service, name: str, **query: Any) -> list[dict[str, Any]]:
    """All rows, page by page."""
    rows, following = [], f"/feeds/{name}?" + "&".join(f"{key}={value}" for key, value in query.items())
    while following:
        answer = service.http.get(following)
        assert answer.status_code == 200, answer.text
        rows += answer.json()["rows"]
        following = answer.json()["next"]
        assert (f'<{service.url}{following}>; rel="next"' == answer.headers.get("Link")) is bool(following)
    return rows


def test_rows_are_inserted_updated_or_unchanged(shelf: Service, foreign: Foreign) -> None:
    table = [{"id": n, "name": f"n{n}", "odd": "\0 ü '; DROP TABLE x; --"} for n in range(1200)]
    url = foreign.put("/table", table)
    assert counts(fetch(shelf, "table", url)) == (1200, 0, 0, 1200)
    assert counts(fetch(shelf, "table", url)) == (0, 0, 1200, 1200)
    foreign.put("/table", [{**table[0], "name": "new"}, *table[1:600], {"id": "x"}])
    result = fetch(shelf, "table", url)
    assert counts(result) == (1, 1, 599, 1201)
    assert (result["pages"], result["not_modified"], result["href"]) == (1, False, "/feeds/table")
    stored = rows(shelf, "table", limit=500)
    assert len(stored) == 1201
    assert {"id": 0, "name": "new", "odd": table[0]["odd"]} in stored
    assert {"id": "x"} in stored


def test_an_unchanged_feed_is_not_downloaded_again(shelf: Service, foreign: Foreign) -> None:
    def answer(exchange: Exchange) -> None:
        if exchange.headers["If-None-Match"] == '"v1"' and exchange.headers["If-Modified-Since"] == "yesterday":
            exchange.reply(304)
        else:
            exchange.reply(200, b'[{"id": 1}]', ETag='"v1"', Last_Modified="yesterday")

    foreign.paths["/etag"] = answer
    assert fetch(shelf, "etag", foreign.url + "/etag")["not_modified"] is False
    again = fetch(shelf, "etag", foreign.url + "/etag")
    assert (again["not_modified"], counts(again)) == (True, (0, 0, 1, 1))
    other_key = fetch(shelf, "etag", foreign.url + "/etag", format="json")
    assert other_key["not_modified"] is False, "what is read in another way is asked for anew"


def test_pages_follow_the_link_header_without_conditional_requests(shelf: Service, foreign: Foreign) -> None:
    conditions = []

    def first(exchange: Exchange) -> None:
        conditions.append(exchange.headers["If-None-Match"])
        link = '</other>; rel=prev, </page2?a=1,2>; title="x, y"; rel="last next"'
        exchange.reply(200, b'[{"id": 1}]', ETag='"1"', Link=link)

    foreign.paths["/page1"] = first
    foreign.put("/page2?a=1,2", [{"id": 2}, {"id": 1, "late": True}])
    result = fetch(shelf, "linked", foreign.url + "/page1")
    assert (result["pages"], counts(result)) == (2, (2, 0, 0, 2))
    assert rows(shelf, "linked", limit=1) == [{"id": 1, "late": True}, {"id": 2}]
    fetch(shelf, "linked", foreign.url + "/page1")
    assert conditions == [None, None]


def test_pages_follow_a_configured_field(shelf: Service, foreign: Foreign) -> None:
    url = foreign.put("/f1", {"data": {"items": [{"a": 1, "b": "x"}]}, "other": [], "page": {"next": "f2"}})
    foreign.put("/f2", {"data": {"items": [{"a": 1, "b": "y"}]}, "page": {"next": None}})
    result = fetch(shelf, "fields", url, items="data.items", next_field="page.next", key=["a", "b"])
    assert (result["pages"], counts(result)) == (2, (2, 0, 0, 2))


def test_csv_is_read_by_its_header(shelf: Service, foreign: Foreign) -> None:
    url = foreign.put("/csv", "id;ort\n1;Köln\n2;Bonn\n".encode("cp1252"), "text/csv")
    assert counts(fetch(shelf, "csv", url)) == (2, 0, 0, 2)
    assert rows(shelf, "csv") == [{"id": "1", "ort": "Köln"}, {"id": "2", "ort": "Bonn"}]


def test_a_request_is_retried_after_a_server_error(shelf: Service, foreign: Foreign) -> None:
    def answer(exchange: Exchange) -> None:
        if foreign.requested["/stumbles"] % 3:
            exchange.reply(503, b"", Retry_After="1")
        else:
            exchange.reply(200, b'[{"id": 1}]')

    foreign.paths["/stumbles"] = answer
    assert counts(fetch(shelf, "stumbles", foreign.url + "/stumbles")) == (1, 0, 0, 1)


def test_a_fetch_that_fails_on_a_later_page_stores_nothing(shelf: Service, foreign: Foreign) -> None:
    foreign.put("/half1", [{"id": 1}], Link='</half2>; rel="next"')
    foreign.put("/half2", [{"no": "id"}])
    type_, detail = failure(shelf, foreign.url + "/half1", name="half")
    assert (type_, detail) == (
        "feed-unreadable",
        "Row 2 has no value in `id`, its key. Its fields are: no. Give another `key`, or `skip_without_key=true`.",
    )
    assert shelf.http.get("/feeds/half").status_code == 404


@pytest.mark.parametrize(
    ("body", "parameters", "message"),
    [
        (b"{", {}, "The answer is not JSON: Expecting"),
        (b'[{"id": NaN}]', {}, "NaN is not a value of JSON"),
        (b"[" * 100_000, {}, "nested too deeply"),
        (b'{"a": [], "b": []}', {}, "set `items`"),
        (b"[1]", {}, "not a list of objects"),
        (b'[{"id": {}}]', {}, "Row 1: `id` cannot be its key, because it is not a plain value"),
        (b'[{"id": 1}, {"id": 2, "far": [1e999]}]', {}, "Row 2 has a number that is too large"),
        (b"id,a\n1,2\n3\n", {"format": "csv"}, "Line 3 has 1 values, the header 2"),
        (b'{"d": [{"id": 1}], "next": "/bad"}', {"next_field": "next"}, "names as its next page one that was read"),
    ],
)
def test_an_unreadable_feed_is_a_clear_error(
    shelf: Service, foreign: Foreign, body: bytes, parameters: dict[str, Any], message: str
) -> None:
    type_, detail = failure(shelf, foreign.put("/bad", body), **parameters)
    assert type_ == "feed-unreadable"
    assert message in detail


def test_a_feed_has_limits_and_exceeding_one_is_final(shelf: Service, foreign: Foreign) -> None:
    foreign.paths["/huge"] = lambda exchange: exchange.begin(200, Content_Length=str(2**40))
    assert failure(shelf, foreign.url + "/huge")[0] == "feed-too-large"
    foreign.paths["/gone"] = lambda exchange: exchange.reply(404)
    before = foreign.requested["/gone"]
    assert failure(shelf, foreign.url + "/gone") == ("feed-unreachable", "The server answered 404.")
    assert foreign.requested["/gone"] == before + 1
    foreign.paths["/inside"] = lambda exchange: exchange.reply(302, Location="http://169.254.169.254/latest")
    assert failure(shelf, foreign.url + "/inside")[0] == "feed-unreachable"


def test_private_addresses_are_refused_unless_allowed(service: Service, foreign: Foreign) -> None:
    url = foreign.put("/private", [{"id": 1}])
    answer = service.http.post("/tasks/fetch_feed", json={"name": "bad", "url": url})
    assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["url"])
    assert failure(service, url.replace("127.0.0.1", "localhost"))[0] == "feed-unreachable"
    assert foreign.requested["/private"] == 0


def test_simultaneous_fetches_of_a_feed_run_one_after_the_other(shelf: Service, foreign: Foreign) -> None:
    gate = threading.Barrier(2)

    def answer(exchange: Exchange) -> None:
        gate.wait(10)
        exchange.reply(200, json.dumps([{"id": n} for n in range(2000)]).encode())

    foreign.paths["/both"] = answer
    tasks = [shelf.submit("fetch_feed", name="both", url=foreign.url + "/both") for _ in range(2)]
    assert sorted(counts(shelf.result(one)) for one in tasks) == [(0, 0, 2000, 2000), (2000, 0, 0, 2000)]


def test_feeds_are_listed_by_cursor(shelf: Service, foreign: Foreign) -> None:
    url = foreign.put("/few", [{"id": 1}])
    for name in ("list-a", "list-b", "list-c"):
        fetch(shelf, name, url)
    names, following = [], "/feeds?limit=1"
    while following:
        page = shelf.http.get(following).json()
        names += [feed["name"] for feed in page["feeds"]]
        following = page["next"]
    assert [name for name in names if name.startswith("list-")] == ["list-a", "list-b", "list-c"]
    assert shelf.http.get("/feeds/list-a").json()["row_count"] == 1


@pytest.mark.parametrize(
    "path", ["/feeds?limit=0", "/feeds?cursor=x", "/feeds/list-x?cursor=WyJhXHUwMDAwIl0", "/feeds?cursor=WzFd"]
)
def test_an_invalid_page_request_is_a_problem(shelf: Service, foreign: Foreign, path: str) -> None:
    fetch(shelf, "list-x", foreign.put("/few", [{"id": 1}]))
    assert shelf.http.get(path).status_code == 422


def test_another_owners_feed_does_not_exist_and_an_admin_sees_all(shelf: Service, foreign: Foreign) -> None:
    url = foreign.put("/mine", [{"id": 1}])
    heads = {name: {"Authorization": f"Bearer {make_key(shelf, name)}"} for name in ("ann", "ben", "root")}
    ask = shelf.http.get
    try:
        for head in heads.values():  # a process reads the keys anew every two seconds
            eventually(lambda head=head: ask("/feeds", headers=head).status_code == 200)
        for name in ("ann", "ben"):
            body = {"name": "mine", "url": url}
            task_id = shelf.http.post("/tasks/fetch_feed", json=body, headers=heads[name]).json()["task_id"]
            path, head = f"/tasks/{task_id}/result", heads[name]
            eventually(lambda path=path, head=head: ask(path, headers=head).status_code == 200)
        assert [feed["owner"] for feed in ask("/feeds", headers=heads["ann"]).json()["feeds"]] == ["ann"]
        assert ask("/feeds/mine?owner=ben", headers=heads["ann"]).status_code == 404
        assert ask("/feeds/mine", headers=heads["root"]).status_code == 404
        assert ask("/feeds/mine?owner=ben", headers=heads["root"]).json()["rows"] == [{"id": 1}]
        owners = {feed["owner"] for feed in ask("/feeds", headers=heads["root"]).json()["feeds"]}
        assert {"ann", "ben"} <= owners
        assert ask("/feeds/mine").status_code == 401
    finally:
        shelf.redis.client.delete(shelf.keys.api_keys)
        eventually(lambda: ask("/feeds").status_code == 200)


def make_key(service: Service, owner: str) -> str:
    from server.store.api_keys import Role

    return service.store.api_keys.create(owner, Role.ADMIN if owner == "root" else Role.SUBMIT)


@pytest.mark.slow
def test_an_unreachable_database_is_a_problem_for_readers_and_a_retry_for_tasks(
    tmp_path: Any, foreign: Foreign
) -> None:
    url = "postgresql://user:secret-word@127.0.0.1:1/none"
    with Service(tmp_path, DATABASE_URL=url, ALLOW_PRIVATE_ADDRESSES="true") as service:
        service.start()
        answer = service.http.get("/feeds")
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/database-unavailable")
        task_id = service.submit("fetch_feed", name="x", url=foreign.put("/few", []))
        waiting = service.wait_for(task_id, "retrying")
        assert waiting["error"]["type"] == "/problems/database-unavailable"
        texts = [answer.text, json.dumps(waiting), service.workers[0].output()]
        assert not any("secret-word" in text for text in texts)


@pytest.mark.slow
def test_reading_a_feed_does_not_wait_for_its_writer(tmp_path: Path, foreign: Foreign) -> None:
    file = tmp_path / "feeds.sqlite"
    with Service(tmp_path, DATABASE_URL=f"sqlite:///{file}", ALLOW_PRIVATE_ADDRESSES="true") as service:
        web = service.start().web
        fetch(service, "few", foreign.put("/few", [{"id": 1}]))
        with closing(sqlite3.connect(file, isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            assert web is not None
            web.kill()
            service.start_web()
            assert service.http.get("/feeds/few").json()["rows"] == [{"id": 1}]
