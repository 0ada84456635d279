"""Live pages: updates without a reload, and messages when updates are impossible."""

import re
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import Service, eventually
from http_servers import Exchange, serve
from page_helpers import assert_accessible, drop, give_key, mark, parameter, picture, sign_in
from playwright.sync_api import Page, expect

from server.store.api_keys import CACHE_SECONDS, Role

Open = Callable[..., Page]

SILENT = "The server does not answer."
LATER = "It is updated as soon as the server answers."


def test_log_lines_appear_as_they_are_written_and_nothing_else_is_loaded(service: Service, open_page: Open) -> None:
    task_id = service.submit("talks", lines=100)
    service.wait_for(task_id, "running")
    page = open_page(service)
    url = f"{service.url}/ui/tasks/{task_id}"
    # The first event of its stream, the status, loads the changed parts of the page once.
    with page.expect_request(lambda request: request.url == url and request.resource_type == "fetch"):
        page.goto(url)
    lines = page.locator("#lines li")
    expect(lines.first).to_contain_text("line 1")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    # What is selected stays selected.
    page.evaluate("getSelection().selectAllChildren(document.querySelector('#lines li'))")
    selected = page.evaluate("getSelection().toString()")
    here = lines.count()
    expect(lines.nth(here + 3)).to_contain_text(f"line {here + 4}")
    assert page.evaluate("getSelection().toString()") == selected
    assert requests == []
    expect(page.locator("#mark")).to_have_text("Running")
    expect(page.locator("#progress")).to_contain_text(re.compile(r"\d%"))
    assert_accessible(page)
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel it").click()
    expect(page.locator("#mark")).to_have_text("Canceled")
    expect(page.get_by_role("button", name="Retry")).to_be_visible()


@pytest.mark.slow
def test_output_items_appear_as_they_are_emitted(tmp_path: Path, open_page: Open) -> None:
    with Service(tmp_path, TASK_MODULES="sample_tasks,output_tasks") as service:
        service.start()
        task_id = service.submit("yields_rows", number=60, pause=0.1)
        eventually(lambda: service.http.get(f"/tasks/{task_id}/output").json()["items"])
        page = open_page(service)
        page.goto(f"/ui/tasks/{task_id}")
        items = page.locator("#items li")
        expect(items.first).to_contain_text('1{"number":1,"text":""}')
        expect(items).to_have_count(60, timeout=15_000)
        expect(items.last).to_contain_text('60{"number":60,"text":""}')
        expect(page.locator("#items-note")).to_have_text("60 items")
        assert_accessible(page)
        page.reload()
        expect(items).to_have_count(60)
        page.goto(f"/ui/tasks/{service.submit('divide', x=1, y=2)}")
        expect(page.get_by_role("heading", name="Output")).to_be_hidden()


@pytest.mark.slow
def test_an_idle_page_sends_few_requests(service: Service, open_page: Open) -> None:
    task_id = service.submit("divide", x=1, y=2)
    service.wait_for(task_id)
    paths = ("/ui/tasks", "/ui/overview", "/ui/failures", "/ui/schedules", f"/ui/tasks/{task_id}")
    pages = [open_page(service) for _ in paths]
    requests: list[str] = []
    for page, path in zip(pages, paths, strict=True):
        page.goto(path)
        page.wait_for_timeout(500)
        page.on("request", lambda request: requests.append(request.url))
    pages[0].wait_for_timeout(20_000)
    assert requests == [], "at most 5 requests a minute are allowed"


def test_a_change_does_not_move_the_rows(service: Service, open_page: Open) -> None:
    tag = uuid.uuid4().hex
    running = service.http.post(f"/tasks/reports?tag={tag}", json={"seconds": 60}).json()["task_id"]
    page = open_page(service)
    page.goto(f"/ui/tasks?tag={tag}")
    page.locator(f"#t-{running} input").check()
    row = page.locator(f"#t-{running}")
    row.evaluate("each => { each.dataset.mine = 'yes'; }")
    expect(row.locator(".msg")).to_contain_text("%")
    later = service.http.post(f"/tasks/divide?tag={tag}", json={"x": 1, "y": 2}).json()["task_id"]
    expect(page.get_by_text("1 new task. Show")).to_be_visible()
    expect(page.locator(f"#t-{later}")).to_have_count(0)
    page.keyboard.press(".")
    expect(page.locator(f"#t-{later} .st")).to_have_text("Succeeded")
    service.http.post(f"/tasks/{running}/cancel")
    expect(row.locator(".st")).to_have_text("Canceled")
    assert row.get_attribute("data-mine") == "yes"
    expect(row.locator("input")).to_be_checked()


@pytest.mark.slow
def test_webhook_attempts_appear_as_they_happen(tmp_path: Path, open_page: Open) -> None:
    is_up = threading.Event()

    def answer(exchange: Exchange) -> None:
        exchange.reply(204 if is_up.is_set() else 503)

    with (
        serve(answer) as url,
        Service(tmp_path, TASK_MODULES="sample_tasks", ALLOW_PRIVATE_ADDRESSES="true") as service,
    ):
        service.start()
        task_id = service.http.post("/tasks/reports", params={"webhook": f"{url}/hook"}, json={"seconds": 1}).json()[
            "task_id"
        ]
        page = open_page(service)
        page.goto(f"/ui/tasks/{task_id}")
        tries = page.locator("#tries li")
        expect(tries).to_have_text("Not delivered yet.")
        expect(tries.first).to_contain_text("503")
        expect(page.locator("#tries")).to_contain_text("Next try at")
        overview = open_page(service, refused=True)  # the server ends with its stream
        overview.goto("/ui/overview")
        expect(overview.locator("#hooks tbody tr")).to_contain_text("503")
        assert_accessible(overview)
        is_up.set()
        overview.get_by_role("button", name="Send 1 again").click()
        overview.get_by_role("button", name="Send 1 webhook again").click()
        expect(overview.locator("#outcome")).to_have_text("1 webhook sent again.")
        expect(page.locator("#tries")).to_contain_text("204")
        expect(page.locator("#tries")).not_to_contain_text("Next try at")
        expect(overview.locator("#hooks")).to_be_empty()
        page.get_by_role("button", name="Send again").click()
        expect(tries).to_have_count(3)


@pytest.mark.slow
def test_a_page_reports_an_unreachable_server_and_reconnects(fresh: Service, open_page: Open) -> None:
    fresh.start()
    table, ticket = open_page(fresh, refused=True), open_page(fresh, refused=True)
    table.goto("/ui/tasks")
    expect(table.get_by_role("alert")).to_have_count(0)
    ticket.goto("/ui/run/reports")
    parameter(ticket, "seconds").fill("60")
    ticket.get_by_role("button", name="Run").click()
    expect(mark(ticket)).to_have_text("Running")
    record = open_page(fresh, refused=True)
    record.goto(str(ticket.get_by_role("link", name="Ticket").get_attribute("href")))
    assert fresh.web is not None
    fresh.web.kill()
    for page in (table, record, ticket):
        expect(page.get_by_role("alert")).to_contain_text(SILENT)
        expect(page.get_by_role("alert")).to_contain_text(LATER)
    assert_accessible(table)
    fresh.start_web()
    for page in (table, record, ticket):
        expect(page.get_by_role("alert")).to_have_count(0)
    ticket.get_by_role("button", name="Cancel").click()
    expect(mark(ticket)).to_have_text("Canceled")
    expect(record.locator("#mark")).to_have_text("Canceled")
    table.keyboard.press(".")
    expect(table.locator("tbody .st")).to_have_text("Canceled")


def test_a_form_that_fails_to_load_is_reported_and_requested_again(service: Service, open_page: Open) -> None:
    page = open_page(service, refused=True)
    page.goto("/")
    drop(page, "cat.png", "image/png", picture())
    page.context.set_offline(True)
    page.get_by_role("button", name="thumbnail", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text(SILENT)
    page.context.set_offline(False)
    page.get_by_role("button", name="thumbnail", exact=True).click()
    expect(page.locator("#work pre.command")).to_contain_text("-F image=@cat.png")
    expect(page.get_by_role("alert")).to_have_count(0)


@pytest.mark.slow
def test_a_page_reloads_when_redis_is_back(fresh: Service, open_page: Open) -> None:
    fresh.start_web()
    page = open_page(fresh, refused=True)
    page.goto("/ui/tasks")
    fresh.redis.process.kill()
    page.reload()
    expect(page.get_by_text("The store cannot be reached.")).to_be_visible()
    fresh.redis.start()
    expect(page.get_by_role("heading", name="Tasks")).to_be_visible()


@pytest.mark.slow
def test_a_page_reports_missing_workers_until_one_starts(fresh: Service, open_page: Open) -> None:
    fresh.start_web()
    page, table, plain = (open_page(fresh, script=each, refused=True) for each in (True, True, False))
    page.goto("/ui/run/divide")
    expect(page.get_by_text("No worker is running.")).to_be_visible()
    parameter(page, "x").fill("1")
    page.get_by_role("button", name="Run").click()
    expect(page.locator(".outcome .body")).to_contain_text("No worker is running. It waits until one is started.")
    for each in (table, plain):
        each.goto("/ui/tasks")
        expect(each.get_by_text("No worker is running.")).to_be_visible()
    plain.get_by_role("link", name="divide").click()
    expect(plain.get_by_text("No worker is running.")).to_be_visible()
    assert_accessible(table)
    fresh.start_worker()
    expect(mark(page)).to_have_text("Done")
    table.reload()
    expect(table.get_by_text("No worker is running.")).to_have_count(0)


@pytest.mark.slow
def test_a_signed_out_user_is_told_and_can_return_after_signing_in(
    keyed: tuple[Service, dict[str, str]], open_page: Open
) -> None:
    service, _ = keyed
    keys = service.store.api_keys
    key, later = (keys.create("carol", Role.SUBMIT) for _ in range(2))
    page, form = open_page(service), open_page(service, refused=True)
    for each, path in ((page, "/ui/tasks?status=failed"), (form, "/ui/run/divide")):
        sign_in(each, key)
        each.goto(path)
    keys.revoke(key)
    time.sleep(CACHE_SECONDS)
    expect(page.get_by_role("alert")).to_contain_text("You are signed out")
    assert_accessible(page)
    form.get_by_role("button", name="Run").click()
    expect(form.locator(".outcome")).to_contain_text("An API key is required")
    form.locator(".outcome").get_by_role("link", name="Sign in").click()
    expect(form).to_have_url(f"{service.url}/ui/sign-in?next=%2Fui%2Frun%2Fdivide")
    page.get_by_role("alert").get_by_role("link", name="Sign in").click()
    give_key(page, later)
    expect(page).to_have_url(f"{service.url}/ui/tasks?status=failed")


def test_the_page_of_a_running_task_reports_that_its_key_was_revoked(
    keyed: tuple[Service, dict[str, str]], open_page: Open
) -> None:
    service, _ = keyed
    key = service.store.api_keys.create("carol", Role.SUBMIT)
    page = open_page(service, refused=True)
    sign_in(page, key)
    page.goto("/ui/run/reports")
    parameter(page, "seconds").fill("300")
    page.get_by_role("button", name="Run").click()
    expect(mark(page)).to_have_text("Running")
    service.store.api_keys.revoke(key)
    expect(page.locator(".outcome")).to_contain_text("An API key is required")
    service.cancel_unfinished()


def test_an_action_on_a_deleted_task_reports_that_it_is_gone(service: Service, open_page: Open) -> None:
    task_id = service.submit("divide", x=1, y=2)
    service.wait_for(task_id)
    page = open_page(service, refused=True)
    page.goto(f"/ui/tasks/{task_id}")
    service.http.delete(f"/tasks/{task_id}")
    page.get_by_role("button", name="Retry").click()
    page.get_by_role("button", name="Retry it").click()
    detail = "The task has expired. A record is deleted some time after its end."
    expect(page.locator("#outcome")).to_contain_text(detail)
    page.reload()
    expect(page.get_by_role("heading", name="The task has expired")).to_be_visible()
    assert_accessible(page)
