"""Secrets in inputs: the task gets them, and no answer, page, log, event, webhook or export shows them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from harness import ROOT, Process, Service, eventually
from secret_tasks import digest
from test_webhooks import Receiver

from server.logs import PLACEHOLDER, begin_task, end_task, redact
from server.sdk.redaction import NAMES, Secrets, is_secret_name

#: The secrets of these tests: none of them may be found anywhere outside Redis's inputs.
CODE, KEY, PIN, DATABASE = 'sword"fish\\one', "swordfish-two", "swordfish-three-3", "swordfish-four"

INPUT: dict[str, Any] = {
    "host": "db.example.org",
    "code": CODE,
    "api_key": KEY,
    "accounts": [{"user": "ann", "pin": PIN, "more": {"db_password": DATABASE, "port": 5432}}],
}
SHOWN = {
    "host": "db.example.org",
    "code": PLACEHOLDER,
    "api_key": PLACEHOLDER,
    "accounts": [{"user": "ann", "pin": PLACEHOLDER, "more": {"db_password": PLACEHOLDER, "port": 5432}}],
}
DIGESTS = [digest(each) for each in (CODE, KEY, PIN, DATABASE)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("secrets")
    with Service(folder, TASK_MODULES="secret_tasks,sample_tasks", ALLOW_PRIVATE_ADDRESSES="true") as service:
        service.start_web()
        service.start_worker("-E")
        yield service


def logs(service: Service) -> str:
    assert service.web
    return "\n".join([service.web.output(), *(worker.output() for worker in service.workers)])


def assert_hidden(text: str) -> None:
    for each in (CODE, KEY, PIN, DATABASE, "swordfish", "sword\\", json.dumps(CODE)[1:-1]):
        assert each not in text, text[max(0, text.find(each) - 300) :][:600]


def test_the_task_gets_the_secrets_that_the_input_does_not_show(server: Service) -> None:
    task_id = server.submit("signs_in", **INPUT)

    assert server.result(task_id) == DIGESTS
    assert server.http.get(f"/tasks/{task_id}/input").json()["input"] == SHOWN


def test_a_task_passes_its_secrets_on_to_another(server: Service) -> None:
    task_id = server.submit("passes_on", code=CODE, account={"user": "ada", "pin": PIN})
    other_id = server.result(task_id)

    assert server.result(other_id) == [digest(CODE), digest(PIN)]
    assert_hidden(server.http.get(f"/tasks/{other_id}/input").text)


def test_the_secrets_of_a_form_are_hidden(server: Service) -> None:
    form = {"key_file_passphrase": CODE}
    answer = server.http.post("/tasks/unlocks", data=form, files={"file": ("a.key", b"x", "text/plain")})
    task_id = answer.json()["task_id"]

    assert server.result(task_id) == digest(CODE)
    shown = server.http.get(f"/tasks/{task_id}/input").json()["input"]
    assert shown["key_file_passphrase"] == PLACEHOLDER
    assert shown["file"]["filename"] == "a.key"


@pytest.mark.parametrize("how", ["raises", "refuses", "tells"])
def test_no_answer_page_export_or_log_shows_a_secret(server: Service, how: str) -> None:
    task_id = server.submit("signs_in", **INPUT, how=how)
    server.wait_for(task_id)

    paths = [f"/tasks/{task_id}", f"/tasks/{task_id}/input", f"/tasks/{task_id}/result", f"/tasks/{task_id}/failure"]
    paths += [f"/ui/tasks/{task_id}", f"/ui/tasks/{task_id}/change", f"/tasks/{task_id}/events", "/tasks", "/failures"]
    paths += ["/ui/tasks", "/ui/failures", "/", "/ui/tasks/export?format=csv", "/ui/tasks/export?format=json"]
    for path in paths:
        assert_hidden(server.http.get(path, headers={"Accept": "*/*"}).text)
    eventually(lambda: task_id in logs(server).rpartition("task.")[2] or task_id in server.workers[0].output())
    assert_hidden(logs(server))


def test_a_failure_view_keeps_everything_but_the_secret(server: Service) -> None:
    task_id = server.submit("signs_in", **INPUT, how="raises")
    server.wait_for(task_id)

    failure = server.http.get(f"/tasks/{task_id}/failure").json()
    assert failure["exception"] == "RuntimeError"
    assert failure["message"] == f"no way in with {PLACEHOLDER} and {PLACEHOLDER}"
    assert "in signs_in" in failure["traceback"]
    refused = server.submit("signs_in", **INPUT, how="refuses")
    assert (
        server.wait_for(refused)["error"]["detail"]
        == f"ValueError: The code {PLACEHOLDER} is not one of db.example.org"
    )


def test_a_task_s_own_log_lines_keep_everything_but_the_secret(server: Service) -> None:
    task_id = server.submit("signs_in", **INPUT, how="tells")
    server.wait_for(task_id)

    assert server.status(task_id)["progress"]["message"] == f"used {PLACEHOLDER}"
    texts = [each.content["text"] for each in server.store.tasks.events(task_id, 0)[1] if each.event == "log"]
    assert texts[:2] == [f"printed {PLACEHOLDER}", f"to the other output {PLACEHOLDER}"]
    assert texts[2:] == [f"WARNING connects with {PLACEHOLDER}", f"line of {PLACEHOLDER}"]


def test_a_search_does_not_find_a_secret(server: Service) -> None:
    task_id = server.submit("signs_in", **INPUT)
    server.wait_for(task_id)

    assert task_id in server.http.get("/ui/tasks", params={"q": "db.example.org"}).text
    for secret in (KEY, PIN, DATABASE):
        assert task_id not in server.http.get("/ui/tasks", params={"q": secret}).text


def test_a_retry_has_the_secret_and_a_placeholder_keeps_it(server: Service) -> None:
    first = server.submit("signs_in", **INPUT, how="later")
    assert server.result(first) == DIGESTS
    changed = {**SHOWN, "host": "other.example.org", "how": ""}

    for body in ({}, {"input": changed}, {"input": {"api_key": PLACEHOLDER}}):
        again = server.http.post(f"/tasks/{first}/retry?again=true", json=body).json()["task_id"]
        assert server.result(again) == DIGESTS
    other = server.http.post(f"/tasks/{first}/retry?again=true", json={"input": {**changed, "code": "new"}}).json()[
        "task_id"
    ]
    assert server.result(other) == [digest("new"), *DIGESTS[1:]]


def test_a_schedule_hides_its_secrets_and_keeps_them_when_it_is_put_again(server: Service) -> None:
    body = {"task": "signs_in", "input": INPUT, "every": 3600}
    shown = server.http.put("/schedules/nightly", json=body).json()
    assert shown["input"] == SHOWN

    for answer in (
        server.http.put("/schedules/nightly", json={**body, "input": {**shown["input"], "host": "x"}}),
        server.http.patch("/schedules/nightly", json={"input": shown["input"]}),
        server.http.patch("/schedules/nightly", json={"enabled": False}),
    ):
        assert answer.status_code == 200, answer.text
        run = server.http.post("/schedules/nightly/run").json()["task_id"]
        assert server.result(run) == DIGESTS
    for path in ("/schedules", "/schedules/nightly", "/ui/schedules", "/ui/schedules?edit=nightly"):
        assert_hidden(server.http.get(path).text)


def test_a_webhook_has_no_secret(server: Service) -> None:
    with Receiver().listening() as receiver:
        answer = server.http.post("/tasks/signs_in", params={"webhook": receiver.url}, json={**INPUT, "how": "refuses"})
        assert answer.status_code == 202, answer.text
        receiver.wait()
    body = str(receiver.got)
    assert PLACEHOLDER in body
    assert_hidden(body)


LISTENS = """
import json
from server.cli.entry import celery
print("listening", flush=True)
with celery.connection_for_read() as connection:
    show = lambda event: print(json.dumps(event), flush=True)
    celery.events.Receiver(connection, handlers={"*": show}).capture()
"""

#: The parts of a chain are sent as stock Celery sends them: the message has a text of the arguments.
CHAINS = f"""
from server.cli.entry import celery
from secret_tasks import charge
parts = charge.s(7, {{"holder": "Ann", "card_token": {KEY!r}}}, {DATABASE!r}) | charge.si(8, {{}}, {PIN!r})
parts.apply_async()
"""


def test_celery_s_events_and_messages_have_no_secret(server: Service) -> None:
    listener = Process([sys.executable, "-c", LISTENS], server.folder / "events.log", server.env)
    server.workers.append(listener)  # ended with them
    eventually(lambda: "worker-heartbeat" in listener.output(), seconds=60)  # it may miss earlier events
    failed = server.submit("signs_in", **INPUT, how="raises")
    subprocess.run([sys.executable, "-c", CHAINS], env=server.env, cwd=ROOT, check=True, timeout=120)

    def events(event_type: str, name: str = "") -> list[dict[str, Any]]:
        received = [json.loads(line) for line in listener.output().splitlines() if line.startswith("{")]
        return [each for each in received if each["type"] == event_type and name in (each.get("name"), "")]

    eventually(lambda: failed in str(events("task-failed")), seconds=60)
    eventually(lambda: len(events("task-received", "secret_tasks.charge")) == 2, seconds=60)
    assert all(PLACEHOLDER in each["kwargs"] for each in events("task-received", "secret_tasks.charge"))
    assert f"RuntimeError: no way in with {PLACEHOLDER} and {PLACEHOLDER}" in str(events("task-failed"))
    assert_hidden(logs(server))


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "DB_PASSWORD",
        "dbPassword",
        "X-Api-Key",
        "apiKey",
        "APIKey",
        "accessToken",
        "Authorization",
        "a.secret",
    ],
)
def test_a_name_with_a_secret_word_is_secret(name: str) -> None:
    assert is_secret_name(name)


def test_the_documentation_lists_every_secret_word() -> None:
    documented = (ROOT / "docs/tasks.md").read_text()
    assert [name for name in NAMES if f"`{name}`" not in documented] == []


@pytest.mark.parametrize("name", ["max_tokens", "tokenizer", "secretary", "key", "passwordless", "author", ""])
def test_other_names_are_not_secret(name: str) -> None:
    assert not is_secret_name(name)


def test_any_form_of_a_secret_is_hidden_and_nothing_else() -> None:
    pem = "-----BEGIN KEY-----\nabcdefghij\nklmnopqrst\n-----END KEY-----"
    jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"
    begin_task({}, ["p@ss/word", pem, jwt, "1234", "no", ""])
    try:
        assert redact("postgres://u:p%40ss%2Fword@db") == f"postgres://u:{PLACEHOLDER}@db"
        assert redact("a line: klmnopqrst") == f"a line: {PLACEHOLDER}"
        assert redact(repr(pem)) == f"'{PLACEHOLDER}'"
        assert redact(f"'{jwt[:25]}...{jwt[-24:]}'").count(PLACEHOLDER) == 2
        assert redact("pin 1234, order 12345, no") == f"pin {PLACEHOLDER}, order 12345, no"
    finally:
        end_task()
    assert redact("p@ss/word") == "p@ss/word"


def test_a_closed_schema_without_secrets_costs_no_search() -> None:
    closed = {"type": "object", "additionalProperties": False, "properties": {"x": {"type": "integer"}}}
    assert not Secrets(closed).possible
    assert Secrets({**closed, "properties": {"x": {"type": "object"}}}).possible
    assert Secrets({**closed, "properties": {"token": {"type": "string"}}}).possible
    assert not Secrets({**closed, "properties": {"token": {"type": "object"}}}, uploads=("token",)).possible
