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


class FeedServer:
    """A server whose paths answer as a test defines."""

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
def feed_server() -> Iterator[FeedServer]:
    server = FeedServer()
    with serve(server) as server.url:
        yield server


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def feeds(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that may call the feed server, with each database in turn."""
    folder = tmp_path_factory.mktemp("feeds")
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


def test_rows_are_inserted_updated_or_unchanged(feeds: Service, feed_server: FeedServer) -> None:
    table = [{"id": n, "name": f"n{n}", "odd": "\0 ü '; DROP TABLE x; --"} for n in range(1200)]
    url = feed_server.put("/table", table)
    assert counts(fetch(feeds, "table", url)) == (1200, 0, 0, 1200)
    assert counts(fetch(feeds, "table", url)) == (0, 0, 1200, 1200)
    feed_server.put("/table", [{**table[0], "name": "new"}, *table[1:600], {"id": "x"}])
    result = fetch(feeds, "table", url)
    assert counts(result) == (1, 1, 599, 1201)
    assert (result["pages"], result["not_modified"], result["href"]) == (1, False, "/feeds/table")
    stored = rows(feeds, "table", limit=500)
    assert len(stored) == 1201
    assert {"id": 0, "name": "new", "odd": table[0]["odd"]} in stored
    assert {"id": "x"} in stored


def test_an_unchanged_feed_is_not_downloaded_again(feeds: Service, feed_server: FeedServer) -> None:
    def answer(exchange: Exchange) -> None:
        if exchange.headers["If-None-Match"] == '"v1"' and exchange.headers["If-Modified-Since"] == "yesterday":
            exchange.reply(304)
        else:
            exchange.reply(200, b'[{"id": 1}]', ETag='"v1"', Last_Modified="yesterday")

    feed_server.paths["/etag"] = answer
    assert fetch(feeds, "etag", feed_server.url + "/etag")["not_modified"] is False
    again = fetch(feeds, "etag", feed_server.url + "/etag")
    assert (again["not_modified"], counts(again)) == (True, (0, 0, 1, 1))
    other_key = fetch(feeds, "etag", feed_server.url + "/etag", format="json")
    assert other_key["not_modified"] is False, "what is read in another way is asked for anew"


def test_pages_follow_the_link_header_without_conditional_requests(feeds: Service, feed_server: FeedServer) -> None:
    conditions = []

    def first(exchange: Exchange) -> None:
        conditions.append(exchange.headers["If-None-Match"])
        link = '</other>; rel=prev, </page2?a=1,2>; title="x, y"; rel="last next"'
        exchange.reply(200, b'[{"id": 1}]', ETag='"1"', Link=link)

    feed_server.paths["/page1"] = first
    feed_server.put("/page2?a=1,2", [{"id": 2}, {"id": 1, "late": True}])
    result = fetch(feeds, "linked", feed_server.url + "/page1")
    assert (result["pages"], counts(result)) == (2, (2, 0, 0, 2))
    assert rows(feeds, "linked", limit=1) == [{"id": 1, "late": True}, {"id": 2}]
    fetch(feeds, "linked", feed_server.url + "/page1")
    assert conditions == [None, None]


def test_pages_follow_a_configured_field(feeds: Service, feed_server: FeedServer) -> None:
    url = feed_server.put("/f1", {"data": {"items": [{"a": 1, "b": "x"}]}, "other": [], "page": {"next": "f2"}})
    feed_server.put("/f2", {"data": {"items": [{"a": 1, "b": "y"}]}, "page": {"next": None}})
    result = fetch(feeds, "fields", url, items="data.items", next_field="page.next", key=["a", "b"])
    assert (result["pages"], counts(result)) == (2, (2, 0, 0, 2))


def test_csv_is_read_by_its_header(feeds: Service, feed_server: FeedServer) -> None:
    url = feed_server.put("/csv", "id;ort\n1;Köln\n2;Bonn\n".encode("cp1252"), "text/csv")
    assert counts(fetch(feeds, "csv", url)) == (2, 0, 0, 2)
    assert rows(feeds, "csv") == [{"id": "1", "ort": "Köln"}, {"id": "2", "ort": "Bonn"}]


def test_a_request_is_retried_after_a_server_error(feeds: Service, feed_server: FeedServer) -> None:
    def answer(exchange: Exchange) -> None:
        if feed_server.requested["/stumbles"] % 3:
            exchange.reply(503, b"", Retry_After="1")
        else:
            exchange.reply(200, b'[{"id": 1}]')

    feed_server.paths["/stumbles"] = answer
    assert counts(fetch(feeds, "stumbles", feed_server.url + "/stumbles")) == (1, 0, 0, 1)


def test_a_fetch_that_fails_on_a_later_page_stores_nothing(feeds: Service, feed_server: FeedServer) -> None:
    feed_server.put("/half1", [{"id": 1}], Link='</half2>; rel="next"')
    feed_server.put("/half2", [{"no": "id"}])
    type_, detail = failure(feeds, feed_server.url + "/half1", name="half")
    assert (type_, detail) == (
        "feed-unreadable",
        "Row 2 has no value in `id`, its key. Its fields are: no. Give another `key`, or `skip_without_key=true`.",
    )
    assert feeds.http.get("/feeds/half").status_code == 404


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
    feeds: Service, feed_server: FeedServer, body: bytes, parameters: dict[str, Any], message: str
) -> None:
    type_, detail = failure(feeds, feed_server.put("/bad", body), **parameters)
    assert type_ == "feed-unreadable"
    assert message in detail


def test_a_feed_has_limits_and_exceeding_one_is_final(feeds: Service, feed_server: FeedServer) -> None:
    feed_server.paths["/huge"] = lambda exchange: exchange.begin(200, Content_Length=str(2**40))
    assert failure(feeds, feed_server.url + "/huge")[0] == "feed-too-large"
    feed_server.paths["/gone"] = lambda exchange: exchange.reply(404)
    before = feed_server.requested["/gone"]
    assert failure(feeds, feed_server.url + "/gone") == ("feed-unreachable", "The server answered 404.")
    assert feed_server.requested["/gone"] == before + 1
    feed_server.paths["/inside"] = lambda exchange: exchange.reply(302, Location="http://169.254.169.254/latest")
    assert failure(feeds, feed_server.url + "/inside")[0] == "feed-unreachable"


def test_private_addresses_are_refused_unless_allowed(service: Service, feed_server: FeedServer) -> None:
    url = feed_server.put("/private", [{"id": 1}])
    answer = service.http.post("/tasks/fetch_feed", json={"name": "bad", "url": url})
    assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["url"])
    assert failure(service, url.replace("127.0.0.1", "localhost"))[0] == "feed-unreachable"
    assert feed_server.requested["/private"] == 0


def test_simultaneous_fetches_of_a_feed_run_one_after_the_other(feeds: Service, feed_server: FeedServer) -> None:
    gate = threading.Barrier(2)

    def answer(exchange: Exchange) -> None:
        gate.wait(10)
        exchange.reply(200, json.dumps([{"id": n} for n in range(2000)]).encode())

    feed_server.paths["/both"] = answer
    tasks = [feeds.submit("fetch_feed", name="both", url=feed_server.url + "/both") for _ in range(2)]
    assert sorted(counts(feeds.result(one)) for one in tasks) == [(0, 0, 2000, 2000), (2000, 0, 0, 2000)]


def test_feeds_are_listed_by_cursor(feeds: Service, feed_server: FeedServer) -> None:
    url = feed_server.put("/few", [{"id": 1}])
    for name in ("list-a", "list-b", "list-c"):
        fetch(feeds, name, url)
    names, following = [], "/feeds?limit=1"
    while following:
        page = feeds.http.get(following).json()
        names += [feed["name"] for feed in page["feeds"]]
        following = page["next"]
    assert [name for name in names if name.startswith("list-")] == ["list-a", "list-b", "list-c"]
    assert feeds.http.get("/feeds/list-a").json()["row_count"] == 1


@pytest.mark.parametrize(
    "path", ["/feeds?limit=0", "/feeds?cursor=x", "/feeds/list-x?cursor=WyJhXHUwMDAwIl0", "/feeds?cursor=WzFd"]
)
def test_an_invalid_page_request_is_a_problem(feeds: Service, feed_server: FeedServer, path: str) -> None:
    fetch(feeds, "list-x", feed_server.put("/few", [{"id": 1}]))
    assert feeds.http.get(path).status_code == 422


def test_another_owners_feed_does_not_exist_and_an_admin_sees_all(feeds: Service, feed_server: FeedServer) -> None:
    url = feed_server.put("/mine", [{"id": 1}])
    heads = {name: {"Authorization": f"Bearer {make_key(feeds, name)}"} for name in ("ann", "ben", "root")}
    ask = feeds.http.get
    try:
        for head in heads.values():  # a process reads the keys anew every two seconds
            eventually(lambda head=head: ask("/feeds", headers=head).status_code == 200)
        for name in ("ann", "ben"):
            body = {"name": "mine", "url": url}
            task_id = feeds.http.post("/tasks/fetch_feed", json=body, headers=heads[name]).json()["task_id"]
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
        feeds.redis.client.delete(feeds.keys.api_keys)
        eventually(lambda: ask("/feeds").status_code == 200)


def make_key(service: Service, owner: str) -> str:
    from server.store.api_keys import Role

    return service.store.api_keys.create(owner, Role.ADMIN if owner == "root" else Role.SUBMIT)


@pytest.mark.slow
def test_an_unreachable_database_is_a_problem_for_readers_and_a_retry_for_tasks(
    tmp_path: Any, feed_server: FeedServer
) -> None:
    url = "postgresql://user:secret-word@127.0.0.1:1/none"
    with Service(tmp_path, DATABASE_URL=url, ALLOW_PRIVATE_ADDRESSES="true") as service:
        service.start()
        answer = service.http.get("/feeds")
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/database-unavailable")
        task_id = service.submit("fetch_feed", name="x", url=feed_server.put("/few", []))
        waiting = service.wait_for(task_id, "retrying")
        assert waiting["error"]["type"] == "/problems/database-unavailable"
        texts = [answer.text, json.dumps(waiting), service.workers[0].output()]
        assert not any("secret-word" in text for text in texts)


@pytest.mark.slow
def test_reading_a_feed_does_not_wait_for_its_writer(tmp_path: Path, feed_server: FeedServer) -> None:
    file = tmp_path / "feeds.sqlite"
    with Service(tmp_path, DATABASE_URL=f"sqlite:///{file}", ALLOW_PRIVATE_ADDRESSES="true") as service:
        web = service.start().web
        fetch(service, "few", feed_server.put("/few", [{"id": 1}]))
        with closing(sqlite3.connect(file, isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            assert web is not None
            web.kill()
            service.start_web()
            assert service.http.get("/feeds/few").json()["rows"] == [{"id": 1}]
