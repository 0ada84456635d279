"""Feeds from servers that behave like real APIs: all pages, with a secret, within rate limits."""

import gzip
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from harness import Service
from http_servers import Exchange, serve

ROWS = [{"id": n, "name": f"n{n}"} for n in range(7)]
SECRET = "s3cret-token"


class Api:
    """A server whose answers a test defines by path; a path's function gets the query, too."""

    def __init__(self) -> None:
        self.paths: dict[str, Callable[[Exchange, dict[str, str]], None]] = {}
        self.requested: Counter[str] = Counter()
        self.url = ""

    def __call__(self, exchange: Exchange) -> None:
        parts = urlsplit(exchange.path)
        self.requested[parts.path] += 1
        self.paths[parts.path](exchange, {name: values[-1] for name, values in parse_qs(parts.query).items()})

    def at(self, path: str, answer: Callable[[dict[str, str]], Any], **headers: str) -> str:
        """Answer this path with JSON computed from the query; return its URL."""

        def reply(exchange: Exchange, query: dict[str, str]) -> None:
            exchange.reply(200, json.dumps(answer(query)).encode(), Content_Type="application/json", **headers)

        self.paths[path] = reply
        return self.url + path

    def bytes_at(self, path: str, body: bytes, content_type: str) -> str:
        """Answer this path with these bytes; return its URL."""
        self.paths[path] = lambda exchange, _: exchange.reply(200, body, Content_Type=content_type)
        return self.url + path


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    api = Api()
    with serve(api) as api.url:
        yield api


@pytest.fixture(scope="module")
def feeds(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("apis")
    host = urlsplit(api.url).netloc
    secrets = {
        "github": {"host": host, "value": SECRET},
        "elsewhere": {"host": "api.example.org", "value": SECRET},
        "bens": {"host": host, "value": SECRET, "owners": ["ben"]},
    }
    settings = {"ALLOW_PRIVATE_ADDRESSES": "true", "FEED_SECRETS": json.dumps(secrets)}
    with Service(folder, DATABASE_URL=f"sqlite:///{folder}/feeds.sqlite", **settings) as service:
        yield service.start()


def fetch(service: Service, url: str, **parameters: Any) -> dict[str, Any]:
    result: dict[str, Any] = service.result(service.submit("fetch_feed", **{"name": "api", "url": url, **parameters}))
    return result


def failure(service: Service, url: str, **parameters: Any) -> tuple[str, str]:
    ended = service.wait_for(service.submit("fetch_feed", **{"name": "bad", "url": url, **parameters}))
    assert ended["status"] == "failed", ended
    return ended["error"]["type"].removeprefix("/problems/"), ended["error"]["detail"]


def stored(service: Service, name: str = "api") -> list[dict[str, Any]]:
    result: list[dict[str, Any]] = service.http.get(f"/feeds/{name}?limit=500").json()["rows"]
    return result


# -- shaped like real APIs


def test_github_lists_by_link_header_with_a_bearer_token(feeds: Service, api: Api) -> None:
    def repos(exchange: Exchange, query: dict[str, str]) -> None:
        if exchange.headers["Authorization"] != f"Bearer {SECRET}":
            exchange.reply(401, b'{"message": "Bad credentials"}')
            return
        page = int(query.get("page", "1"))
        links = f'<{api.url}/user/repos?page={page + 1}>; rel="next", <{api.url}/user/repos?page=3>; rel="last"'
        rows = json.dumps(ROWS[3 * page - 3 : 3 * page]).encode()
        exchange.reply(
            200, rows, Content_Type="application/json; charset=utf-8", **({"Link": links} if page < 3 else {})
        )

    api.paths["/user/repos"] = repos
    headers = {"Authorization": "Bearer ${github}", "X-GitHub-Api-Version": "2022-11-28"}
    result = fetch(feeds, api.url + "/user/repos", name="github", headers=headers)
    assert (result["pages"], result["rows"], result["partial"]) == (3, 7, False)


def test_stripe_pages_start_after_the_last_row(feeds: Service, api: Api) -> None:
    def customers(query: dict[str, str]) -> Any:
        start = int(query.get("starting_after", "-1")) + 1
        return {"object": "list", "url": "/v1/customers", "has_more": start + 3 < 7, "data": ROWS[start : start + 3]}

    url = api.at("/v1/customers", customers)
    type_, detail = failure(feeds, url)
    assert (type_, "it says that there is more. Say in `paging`" in detail) == ("feed-incomplete", True)
    paging = {"by": "last_row", "param": "starting_after", "field": "id"}
    assert fetch(feeds, url, name="stripe", paging=paging)["rows"] == 7
    assert fetch(feeds, url, name="some", allow_partial=True)["partial"] is True


def test_json_api_links_are_followed_and_keys_are_nested(feeds: Service, api: Api) -> None:
    def articles(query: dict[str, str]) -> Any:
        page = int(query.get("page[number]", "1"))
        rows = [{"type": "articles", "attributes": {"slug": f"a{row['id']}"}} for row in ROWS[3 * page - 3 : 3 * page]]
        following = {"href": f"/articles?page[number]={page + 1}"} if page < 3 else None
        return {"data": rows, "links": {"self": "x", "next": following}, "meta": {"page": {"total": 7}}}

    result = fetch(feeds, api.at("/articles", articles), name="jsonapi", key=["type", "attributes.slug"])
    assert (result["pages"], result["rows"], result["duplicates"]) == (3, 7, 0)


@pytest.mark.parametrize("next_field", [None, "@odata.nextLink"])
def test_odata_names_its_next_page_with_a_dot(feeds: Service, api: Api, next_field: str | None) -> None:
    def people(query: dict[str, str]) -> Any:
        skip = int(query.get("$skiptoken", "0"))
        following = {"@odata.nextLink": f"People?$skiptoken={skip + 3}"} if skip + 3 < 7 else {}
        return {"@odata.context": "$metadata#People", "@odata.count": 7, "value": ROWS[skip : skip + 3], **following}

    url = api.at("/odata/People", people)
    result = fetch(feeds, url, name="odata-given" if next_field else "odata", next_field=next_field)
    assert (result["pages"], result["rows"]) == (3, 7)


def test_drf_pages_by_number_by_offset_and_by_its_own_links(feeds: Service, api: Api) -> None:
    def users(query: dict[str, str]) -> Any:
        page = int(query.get("page", "1"))
        following = f"{api.url}/users/?page={page + 1}" if page < 3 else None
        return {"count": 7, "next": following, "previous": None, "results": ROWS[3 * page - 3 : 3 * page]}

    url = api.at("/users/", users)
    for number, parameters in enumerate([{}, {"next_field": "next"}, {"paging": {"by": "page", "param": "page"}}]):
        result = fetch(feeds, url, name=f"drf-{number}", **parameters)
        assert (result["pages"], result["rows"]) == (3, 7)


def test_offsets_grow_by_the_rows_until_there_are_no_more(feeds: Service, api: Api) -> None:
    url = api.at("/offset", lambda query: ROWS[int(query.get("offset", "0")) :][:3])
    result = fetch(feeds, f"{url}?limit=3", name="offset", paging={"by": "offset", "param": "offset"})
    assert (result["pages"], result["rows"]) == (4, 7)


def test_page_numbers_may_end_with_a_404(feeds: Service, api: Api) -> None:
    def page(exchange: Exchange, query: dict[str, str]) -> None:
        rows = ROWS[3 * int(query["p"]) :][:3]
        exchange.reply(200 if rows else 404, json.dumps(rows).encode())

    api.paths["/pages"] = page
    result = fetch(feeds, f"{api.url}/pages?p=0", name="numbers", paging={"by": "page", "param": "p", "first": 0})
    assert result["rows"] == 7


def test_slack_pages_by_cursor(feeds: Service, api: Api) -> None:
    def members(query: dict[str, str]) -> Any:
        start = int(query.get("cursor", "c0")[1:])
        following = f"c{start + 3}" if start + 3 < 7 else ""
        return {"ok": True, "members": ROWS[start : start + 3], "response_metadata": {"next_cursor": following}}

    url = api.at("/api/users.list", members)
    type_, detail = failure(feeds, url)
    assert (type_, "a next page by `next_cursor`" in detail) == ("feed-incomplete", True)
    paging = {"by": "cursor", "param": "cursor", "field": "response_metadata.next_cursor"}
    assert fetch(feeds, url, name="slack", paging=paging)["rows"] == 7


@pytest.mark.parametrize(
    ("signs", "message"),
    [
        ({"total": 10}, "it announces 10 rows"),
        ({"meta": {"pagination": {"total_pages": 2}}}, "it announces 2 pages"),
        ({"has_more": True}, "it says that there is more"),
        ({"next_page": 2}, "it names a next page by `next_page`"),
        ({"nextPageToken": "x"}, "it names a next page by `nextPageToken`"),
    ],
)
def test_a_feed_with_fewer_rows_than_announced_is_an_error(
    feeds: Service, api: Api, signs: dict[str, Any], message: str
) -> None:
    url = api.at("/announced", lambda _: {"items": ROWS[:3], **signs})
    type_, detail = failure(feeds, url)
    assert (type_, message in detail) == ("feed-incomplete", True), detail
    assert feeds.http.get("/feeds/bad").status_code == 404


def test_a_total_in_a_header_is_checked_too(feeds: Service, api: Api) -> None:
    url = api.at("/counted", lambda _: ROWS[:3], X_Total_Count="10")
    assert failure(feeds, url)[0] == "feed-incomplete"


def test_a_paging_parameter_that_the_server_ignores_is_an_error(feeds: Service, api: Api) -> None:
    url = api.at("/stuck", lambda _: ROWS)
    assert (
        "Does the server know the parameter `seite`?" in failure(feeds, url, paging={"by": "page", "param": "seite"})[1]
    )


# -- secrets


def test_a_secret_is_sent_only_to_its_host_and_never_shown(feeds: Service, api: Api) -> None:
    credentials: list[str | None] = []

    def stranger(exchange: Exchange) -> None:
        credentials.append(exchange.headers["Authorization"])
        exchange.reply(200, b'[{"id": 1}]')

    with serve(stranger) as other:
        api.paths["/moved"] = lambda exchange, _: exchange.reply(302, Location=f"{other}/x")
        task_id = feeds.submit(
            "fetch_feed", name="moved", url=api.url + "/moved", headers={"Authorization": "Bearer ${github}"}
        )
        feeds.result(task_id)
    assert credentials == [None]
    pages = [feeds.http.get(path).text for path in (f"/tasks/{task_id}", f"/tasks/{task_id}/input", "/feeds", "/tasks")]
    kept = [feeds.redis.client.dump(key) or b"" for key in feeds.redis.client.keys("*")]
    assert not any(SECRET in text for text in [*pages, feeds.workers[0].output()])
    assert not any(SECRET.encode() in value for value in kept)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("nope", "You have no secret 'nope'"),
        ("bens", "You have no secret 'bens'"),
        ("elsewhere", "The secret 'elsewhere' may only be sent to https://api.example.org."),
    ],
)
def test_a_secret_of_another_owner_or_for_another_host_is_an_error(
    feeds: Service, api: Api, reference: str, message: str
) -> None:
    url = api.at("/never", lambda _: [])
    type_, detail = failure(feeds, url, headers={"X-Api-Key": f"${{{reference}}}"})
    assert (type_, message in detail) == ("feed-secret", True)
    assert api.requested["/never"] == 0


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"Authorization": "Bearer abc"}, "would be stored with the task. Name a secret instead"),
        ({"Host": "x"}, "The header Host is set by the server"),
        ({"X-A": "a\r\nb: c"}, "cannot be sent"),
    ],
)
def test_headers_that_cannot_be_sent_are_refused(
    feeds: Service, api: Api, headers: dict[str, str], message: str
) -> None:
    answer = feeds.http.post("/tasks/fetch_feed", json={"name": "x", "url": api.url, "headers": headers})
    assert answer.status_code == 422
    assert message in answer.json()["errors"][0]["msg"]


# -- what a page is written in


def test_json_lines_gzip_and_charsets_are_read(feeds: Service, api: Api) -> None:
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in ROWS)
    assert fetch(feeds, api.bytes_at("/lines", lines, "application/x-ndjson"), name="lines")["rows"] == 7
    dump = api.bytes_at("/dump.jsonl.gz", gzip.compress(lines, mtime=0), "application/gzip")
    assert fetch(feeds, dump, name="dump")["rows"] == 7
    table = "id,слово\n1,Привет\n".encode("cp1251")
    fetch(feeds, api.bytes_at("/ru", table, "text/csv; charset=windows-1251"), name="ru")
    assert stored(feeds, "ru") == [{"id": "1", "слово": "Привет"}]
    fetch(feeds, api.bytes_at("/ru2", table, "text/csv"), name="ru2", encoding="cp1251")
    assert stored(feeds, "ru2") == stored(feeds, "ru")
    latin = '[{"id": 1, "city": "Köln"}]'.encode("latin-1")
    fetch(feeds, api.bytes_at("/latin", latin, "application/json; charset=iso-8859-1"), name="latin")
    assert stored(feeds, "latin") == [{"id": 1, "city": "Köln"}]


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        (b'{"id": 1}\n{"id": 2}\n', "application/json", "give `format=ndjson`"),
        (b'{"id": 1}\n[]\n', "application/x-ndjson", "Line 2 is not a JSON object"),
        (b'{"id": 1}\n{"id": \n', "application/x-ndjson", "in line 2"),
        (b"<!doctype html><p>Sign in", "text/html", "The answer is HTML, not JSON"),
        (gzip.compress(b"[]" * 9999, mtime=0)[:-9], "application/gzip", "cut off"),
        (b"id\n1\n", "text/csv; charset=klingon", "no encoding 'klingon'"),
    ],
)
def test_an_unreadable_body_is_a_clear_error(
    feeds: Service, api: Api, body: bytes, content_type: str, message: str
) -> None:
    assert message in failure(feeds, api.bytes_at("/body", body, content_type))[1]


def test_one_object_is_a_row_and_a_map_has_many(feeds: Service, api: Api) -> None:
    fetch(feeds, api.at("/one", lambda _: {"id": 7, "tags": ["a"]}), name="one")
    assert stored(feeds, "one") == [{"id": 7, "tags": ["a"]}]
    url = api.at("/rates", lambda _: {"base": "EUR", "rates": {"USD": 1.1, "GBP": {"id": 9, "value": 0.8}}})
    assert "`shape=map`" in failure(feeds, url, items="rates")[1]
    fetch(feeds, url, name="map", items="rates", shape="map", key=["_key"])
    assert stored(feeds, "map") == [
        {"_key": "GBP", "id": 9, "value": 0.8}, {"_key": "USD", "value": 1.1}
    ]  # fmt: skip
    assert "it has `base`, `rates`" in failure(feeds, url, items="rows")[1]


def test_an_error_after_the_last_of_the_announced_pages_ends_the_feed(feeds: Service, api: Api) -> None:
    def pages(announced: int) -> Callable[[Exchange, dict[str, str]], None]:
        def reply(exchange: Exchange, query: dict[str, str]) -> None:
            page = int(query.get("page", "1"))
            answer = {"results": ROWS[3 * page - 3 : 3 * page], "total_pages": announced}
            exchange.reply(200 if page <= 3 else 400, json.dumps(answer).encode(), Content_Type="application/json")

        return reply

    api.paths["/films"], api.paths["/series"] = pages(3), pages(4)
    paging = {"by": "page", "param": "page"}
    result = fetch(feeds, api.url + "/films", name="films", paging=paging)
    assert (result["pages"], result["rows"], result["partial"]) == (3, 7, False)
    assert failure(feeds, api.url + "/series", paging=paging) == ("feed-unreachable", "The server answered 400.")


def test_the_fields_of_an_object_or_a_map_are_data(feeds: Service, api: Api) -> None:
    invoice = {"id": 7, "total": 250, "next": "/invoices/8", "has_more": True}
    url = api.at("/invoice", lambda _: invoice)
    assert (
        "or `shape=object` if the answer is one row."
        in failure(feeds, api.at("/bill", lambda _: {"id": 7, "total": 2}))[1]
    )
    assert fetch(feeds, url, name="invoice", shape="object")["pages"] == 1
    assert stored(feeds, "invoice") == [invoice]
    url = api.at("/words", lambda _: {"count": 5, "cat": 2})
    assert fetch(feeds, url, name="words", shape="map", key=["_key"])["rows"] == 2


# -- keys


def test_duplicate_and_empty_keys_are_counted_or_refused(feeds: Service, api: Api) -> None:
    rows = [{"id": 1, "v": "a"}, {"id": 1, "v": "b"}, {"id": None}, {"id": ""}, {"v": "c"}]
    url = api.at("/keys", lambda _: rows)
    type_, detail = failure(feeds, url)
    assert (type_, "Row 3 has no value in `id`" in detail, "`skip_without_key=true`" in detail) == (
        "feed-unreadable", True, True
    )  # fmt: skip
    result = fetch(feeds, url, name="keys", skip_without_key=True)
    assert (result["duplicates"], result["skipped"], result["rows"]) == (1, 3, 1)
    assert stored(feeds, "keys") == [{"id": 1, "v": "b"}]
    assert "Row 2 has the key 1" in failure(feeds, url, skip_without_key=True, refuse_duplicates=True)[1]


def test_rows_that_the_source_no_longer_has_are_deleted_on_request(feeds: Service, api: Api) -> None:
    url = api.at("/shrinks", lambda _: [{"id": n} for n in range(1200)])
    fetch(feeds, url, name="shrinks")
    api.at("/shrinks", lambda _: [{"id": 1}, {"id": 5000}])
    assert fetch(feeds, url, name="shrinks")["rows"] == 1201
    result = fetch(feeds, url, name="shrinks", delete_missing=True)
    assert (result["deleted"], result["rows"], result["unchanged"]) == (1199, 2, 2)
    assert stored(feeds, "shrinks") == [{"id": 1}, {"id": 5000}]


# -- rate limits


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (429, lambda: {"Retry-After": "1"}),
        (429, lambda: {"Retry-After": formatdate(time.time() + 2, usegmt=True)}),
        (403, lambda: {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + 2)}),
        (403, lambda: {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}),
    ],
)
def test_a_fetch_waits_for_a_rate_limit(
    feeds: Service, api: Api, status: int, headers: Callable[[], dict[str, str]]
) -> None:
    begun: list[float] = []

    def answer(exchange: Exchange, _: dict[str, str]) -> None:
        begun.append(time.monotonic())
        if len(begun) == 1:
            exchange.reply(status, b"slow down", **{name.replace("-", "_"): value for name, value in headers().items()})
        else:
            exchange.reply(200, b'[{"id": 1}]')

    api.paths["/limited"] = answer
    assert fetch(feeds, api.url + "/limited", name="limited")["rows"] == 1
    assert begun[1] - begun[0] >= 0.9


def test_a_long_rate_limit_frees_the_workers_slot(feeds: Service, api: Api) -> None:
    api.paths["/later"] = lambda exchange, _: exchange.reply(429, b"", Retry_After="600")
    task_id = feeds.submit("fetch_feed", name="later", url=api.url + "/later")
    waiting = feeds.wait_for(task_id, "retrying")
    assert waiting["error"]["type"] == "/problems/feed-rate-limited"
    assert "tries again in 600 s" in waiting["error"]["detail"]
    feeds.http.post(f"/tasks/{task_id}/cancel")
    api.paths["/forbidden"] = lambda exchange, _: exchange.reply(403, b"")
    assert failure(feeds, api.url + "/forbidden") == ("feed-unreachable", "The server answered 403.")
