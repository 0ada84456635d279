"""The web pages: complete without JavaScript, without requests to other hosts, and small."""

import gzip
import re
import shlex
import subprocess
import sys
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from textwrap import dedent
from urllib.parse import urljoin, urlsplit

import pytest
from flask.testing import FlaskClient
from harness import ROOT

import server.web.app
from server import tasks
from server.sdk.registry import catalog
from server.settings import Settings
from server.store import Store
from server.web.app import create_app
from server.web.errors import problem_types

STATIC = tuple(
    f"/static/{name}"
    for name in ("app.css", *(each.name for each in (Path(server.web.app.__file__).parent / "ui" / "static").iterdir()))
)

SETTINGS = Settings(redis_url="redis://127.0.0.1:6399/0")  # nothing connects to it here
tasks.load(SETTINGS)

#: Compressed bytes of the docs, and of all styles and scripts together: no page may load more than 80 KB.
MAX_DOCS, MAX_FILES = 34_000, 58_000


class Page(HTMLParser):
    """The elements of a page, as (tag, attributes)."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))

    def all(self, *tags: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    tasks.load(SETTINGS)
    return create_app(Store(SETTINGS)).test_client()


def fetched(client: FlaskClient, path: str) -> tuple[str, str]:
    """Return the media type and the text of one of the pages' own files, and close it."""
    with client.get(path) as answer:
        assert answer.status_code == 200
        return answer.mimetype, answer.text


@pytest.fixture(scope="module")
def docs(client: FlaskClient) -> Page:
    return Page(client.get("/docs").text)


@pytest.mark.parametrize(("path", "status"), [("/ui/tasks", 503), ("/ui/run/no-such-task-type", 404)])
def test_an_error_page_says_that_it_looks_again_only_if_it_does(client: FlaskClient, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert ("data-recover" in answer.text) is ("looks again" in answer.text) is (status == 503)


# The document


def test_openapi_json_is_the_document(client: FlaskClient) -> None:
    answer = client.get("/openapi.json")
    assert answer.mimetype == "application/json"
    assert answer.json["openapi"] == "3.1.0"


def test_openapi_json_is_not_sent_again_to_a_client_that_has_it(client: FlaskClient) -> None:
    etag = client.get("/openapi.json").headers["ETag"]
    answer = client.get("/openapi.json", headers={"If-None-Match": etag})
    assert (answer.status_code, answer.data) == (304, b"")
    assert "Content-Encoding" not in answer.headers


# Text is compressed for clients that accept it


@pytest.mark.parametrize("path", ["/openapi.json", "/docs", "/static/run.js", "/problems/invalid-input"])
def test_text_is_compressed_for_clients_that_accept_it(client: FlaskClient, path: str) -> None:
    plain = client.get(path)
    zipped = client.get(path, headers={"Accept-Encoding": "br, gzip"})
    assert "Content-Encoding" not in plain.headers
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in plain.vary and "Accept-Encoding" in zipped.vary
    assert gzip.decompress(zipped.data) == plain.data
    assert len(zipped.data) < len(plain.data) * 0.8
    assert zipped.content_length == len(zipped.data)


@pytest.mark.parametrize("accepts", ["identity", "gzip;q=0", "br", ""])
def test_clients_that_do_not_accept_gzip_get_no_gzip(client: FlaskClient, accepts: str) -> None:
    for path in ("/openapi.json", "/docs", "/static/run.js"):
        assert "Content-Encoding" not in client.get(path, headers={"Accept-Encoding": accepts}).headers


def test_each_encoding_has_its_own_etag(client: FlaskClient) -> None:
    tags = {}
    for encoding in ("identity", "gzip"):
        headers = {"Accept-Encoding": encoding}
        tags[encoding] = client.get("/openapi.json", headers=headers).headers["ETag"]
        again = client.get("/openapi.json", headers={**headers, "If-None-Match": tags[encoding]})
        assert (again.status_code, again.data) == (304, b"")
    assert len(set(tags.values())) == 2
    stale = {"Accept-Encoding": "gzip", "If-None-Match": tags["identity"]}
    assert client.get("/openapi.json", headers=stale).status_code == 200


def test_a_script_is_cached_forever_under_its_version_and_revalidated_otherwise(client: FlaskClient) -> None:
    address = next(each["src"] for each in Page(client.get("/docs").text).all("script"))
    assert "immutable" in client.get(address).headers["Cache-Control"]
    for other in ("/static/0123456789ab/docs.js", "/static/docs.js"):
        response = client.get(other)
        assert (response.status_code, response.headers["Cache-Control"]) == (200, "no-cache")
    assert client.get("/static/none.js").status_code == 404


# The docs page


@pytest.mark.parametrize("path", ["/docs", "/problems/invalid-input"])
def test_a_page_may_load_only_from_its_own_host_and_nothing_inline(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' blob: data:",
        "connect-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    assert "<style" not in answer.text


def test_a_form_of_the_page_is_posted_with_its_origin(client: FlaskClient) -> None:
    # Fetch, "append a request Origin header": `no-referrer` would make it `null`, which the guard refuses.
    assert client.get("/docs").headers["Referrer-Policy"] == "same-origin"


@pytest.mark.parametrize("path", ["/docs", "/problems/invalid-input"])
def test_a_page_names_no_other_host(client: FlaskClient, path: str) -> None:
    page = Page(client.get(path).text)
    for _, attributes in page.elements:
        for key in ("href", "src", "action"):
            address = urljoin("http://localhost/docs", attributes.get(key, ""))
            assert urlsplit(address).netloc == "localhost", address
    named = set(re.findall(r"https?://([^/\s<'\"]+)", unescape(page.html)))
    assert named <= {"localhost", "api.example.org"}, "the second is the example of a feed"


@pytest.mark.parametrize("path", ["/docs", "/problems/invalid-input"])
def test_a_page_has_no_inline_script_and_no_style_on_an_element(client: FlaskClient, path: str) -> None:
    page = Page(client.get(path).text)
    assert all("src" in script for script in page.all("script"))
    assert not any(key == "style" or key.startswith("on") for _, attributes in page.elements for key in attributes)


@pytest.mark.parametrize("path", STATIC)
def test_the_pages_own_files_are_served_and_name_no_other_host(client: FlaskClient, path: str) -> None:
    _, text = fetched(client, path)
    assert not set(re.findall(r"https?://[\w.]+[^\s\"')]*", text)) - {"http://www.w3.org/2000/svg"}


def test_the_script_is_sent_as_javascript(client: FlaskClient) -> None:
    assert fetched(client, "/static/docs.js")[0] == "text/javascript"


def test_every_task_is_a_form_that_works_without_javascript(docs: Page) -> None:
    forms = {form["action"]: form for form in docs.all("form") if "action" in form}
    assert set(forms) == {f"/ui/run/{task_type.name}" for task_type in catalog()}
    assert all(form["method"] == "post" for form in forms.values())


def test_every_parameter_has_a_field_and_every_field_a_label(docs: Page) -> None:
    fields = [field for field in docs.all("input", "select", "textarea") if "." in field.get("id", "")]
    labels = {label["for"] for label in docs.all("label") if "for" in label}

    assert len({field["id"] for field in fields}) == len(fields)
    assert {field["id"] for field in fields} <= labels
    wanted = sorted(name for task_type in catalog() for name in task_type.input_schema.get("properties", {}))
    assert sorted(field["name"] for field in fields) == wanted


def test_fields_have_bounds_choices_and_file_types(docs: Page) -> None:
    inputs = [field for field in docs.all("input") if "name" in field and field["type"] != "radio"]
    fields = {field["name"]: field for field in inputs}
    seconds = [field for field in inputs if field["name"] == "seconds"]  # of the tests' own tasks, too
    assert ("number", "0", "3600") in [(each["type"], each.get("min"), each.get("max")) for each in seconds]
    assert (fields["image"]["type"], fields["image"]["accept"]) == ("file", "image/*")
    assert "operations" in {area["name"] for area in docs.all("textarea")}
    assert "format" in {choice["name"] for choice in docs.all("select")}


def test_a_large_bound_is_written_in_digits(docs: Page) -> None:
    assert not re.search(r"\de\+\d", docs.html)
    assert "0 to 1000000" in docs.html


def test_an_unset_choice_is_omitted_from_a_form_without_javascript(docs: Page) -> None:
    assert all("disabled" in option for option in docs.all("option") if option.get("value") == "")


def test_every_route_is_on_the_page_with_a_command(client: FlaskClient, docs: Page) -> None:
    ids = {element["id"] for element in docs.all("details") if "id" in element}
    wanted = {
        each["operationId"] for item in client.get("/openapi.json").json["paths"].values() for each in item.values()
    }
    submits = {f"submit_{task_type.name}" for task_type in catalog()}
    assert wanted - submits | {task_type.name for task_type in catalog()} == ids
    commands = re.findall(r"<pre[^>]*>(curl .*?)</pre>", unescape(docs.html), re.DOTALL)
    assert len(commands) >= len(ids)
    for command in commands:
        arguments = [
            argument for argument in shlex.split(command) if argument != "Authorization: Bearer $COATCHECK_KEY"
        ]
        assert sum(argument.startswith("http://localhost/") for argument in arguments) == 1, command
        assert set(arguments) & {"-X", "-I", "-F", "-L"} or len(arguments) == 3, command


def test_a_command_has_the_method_of_its_route(docs: Page) -> None:
    text = unescape(docs.html).replace('-H "Authorization: Bearer $COATCHECK_KEY" ', "")
    assert ">curl http://localhost/tasks/<task_id></pre>" in text
    assert ">curl -X DELETE http://localhost/tasks/<task_id></pre>" in text
    assert ">curl -X POST http://localhost/bulk/cancel?status=queued</pre>" in text


def test_every_link_within_the_page_has_a_target(docs: Page) -> None:
    ids = {element["id"] for _, element in docs.elements if "id" in element}
    targets = {element["href"][1:] for element in docs.all("a") if element.get("href", "").startswith("#")}
    assert targets <= ids


def test_the_docs_and_the_pages_own_files_stay_small(client: FlaskClient) -> None:
    zipped = {"Accept-Encoding": "gzip"}
    code = f"""
        from server import tasks; from server.settings import Settings; from server.store import Store
        from server.web.app import create_app
        settings = Settings(redis_url="{SETTINGS.redis_url}")
        tasks.load(settings)
        print(len(create_app(Store(settings)).test_client().get("/docs", headers={zipped}).data))
    """  # a process of its own: here, the docs also describe the tasks of other test modules
    done = subprocess.run([sys.executable, "-c", dedent(code)], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) < MAX_DOCS
    assert sum(len(client.get(path, headers=zipped).data) for path in STATIC) < MAX_FILES


def test_a_host_with_markup_in_its_name_does_not_reach_the_page(client: FlaskClient) -> None:
    answer = client.get("/docs", headers={"Host": "<script>alert(1)</script>"})
    assert b"<script>alert" not in answer.data


# Problems


@pytest.mark.parametrize("name", sorted(problem_types()))
def test_every_problem_has_a_page_with_its_meaning_and_advice(client: FlaskClient, name: str) -> None:
    answer = client.get(f"/problems/{name}")
    text = unescape(re.sub(r"<[^>]+>", "", answer.text))
    assert answer.status_code == 200
    assert problem_types()[name].title in text
    assert str(problem_types()[name].status) in text
    assert problem_types()[name].advice.replace("`", "") in text


def test_the_page_of_an_unknown_problem_is_not_found(client: FlaskClient) -> None:
    answer = client.get("/problems/No such")
    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")
    assert answer.get_json(force=True)["type"] == "/problems/not-found"
