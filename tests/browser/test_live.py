"""Pages while something happens: what comes by itself, and what is said when it cannot come."""

import re
import time
from collections.abc import Callable
from pathlib import Path

from foreign import Exchange, serve
from harness import Service
from looking import assert_accessible, drop, give_key, picture, sign_in
from playwright.sync_api import Page, expect

from server.store.api_keys import CACHE_SECONDS, Role

Open = Callable[..., Page]

SILENT = "The server does not answer."


def test_lines_of_the_log_come_as_they_are_written(service: Service, open_page: Open) -> None:
    made = service.submit("talks", lines=100)
    page = open_page(service)
    page.goto(f"/ui/tasks/{made}")
    lines = page.get_by_role("log").locator("li")
    expect(lines.first).to_contain_text("line 1")
    here = lines.count()
    expect(lines.nth(here + 1)).to_contain_text(f"line {here + 2}")
    expect(page.locator("#state .status")).to_have_text("running")
    expect(page.locator("#state")).to_contain_text(re.compile(r"\d %"))
    assert_accessible(page)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#state .status")).to_have_text("canceled")


def test_tries_of_a_webhook_come_as_they_are_made(tmp_path: Path, open_page: Open) -> None:
    statuses = [503, 204]

    def answer(exchange: Exchange) -> None:
        exchange.reply(statuses.pop(0))

    with serve(answer) as url, Service(tmp_path, TASK_MODULES="sample_tasks", ALLOW_PRIVATE_ADDRESSES="true") as made:
        made.start()
        task_id = made.http.post("/tasks/reports", params={"webhook": f"{url}/hook"}, json={"seconds": 1}).json()[
            "task_id"
        ]
        page = open_page(made)
        page.goto(f"/ui/tasks/{task_id}")
        tries = page.locator("#tries li")
        expect(tries).to_have_text("Not tried yet.")
        expect(tries.first).to_contain_text("503")
        expect(page.locator("#tries")).to_contain_text("Next try at")
        expect(tries).to_have_count(2)
        expect(tries.last).to_contain_text("204")
        expect(page.locator("#tries")).not_to_contain_text("Next try at")


def test_a_server_that_is_gone_for_a_while_is_spoken_of_and_waited_for(fresh: Service, open_page: Open) -> None:
    fresh.start()
    table, ticket = open_page(fresh, refused=True), open_page(fresh, refused=True)
    table.goto("/ui/tasks")
    expect(table.get_by_role("alert")).to_have_count(0)
    ticket.goto("/ui/run/reports")
    ticket.get_by_label("seconds").fill("60")
    ticket.get_by_role("button", name="Run").click()
    expect(ticket.locator(".state")).to_have_text("Running")
    record = open_page(fresh, refused=True)
    record.goto(str(ticket.locator(".more a").get_attribute("href")))
    assert fresh.web is not None
    fresh.web.kill()
    for page in (table, record):
        expect(page.get_by_role("alert")).to_contain_text(SILENT)
        expect(page.get_by_role("alert")).to_contain_text("it goes on by itself")
    expect(ticket.locator(".more")).to_contain_text(SILENT)
    assert_accessible(table)
    fresh.start_web()
    for page in (table, record):
        expect(page.get_by_role("alert")).to_have_count(0)
    expect(ticket.locator(".more")).not_to_contain_text(SILENT)
    ticket.get_by_role("button", name="Cancel").click()
    expect(ticket.locator(".state")).to_have_text("Canceled")
    expect(record.locator("#state .status")).to_have_text("canceled")
    expect(table.locator("tbody .status")).to_have_text("canceled")


def test_a_form_that_cannot_be_fetched_for_a_file_is_spoken_of_and_asked_for_again(
    service: Service, open_page: Open
) -> None:
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


def test_a_store_that_is_out_of_reach_is_spoken_of_in_a_live_page(fresh: Service, open_page: Open) -> None:
    fresh.start_web()
    page = open_page(fresh, refused=True)
    page.goto("/ui/tasks")
    fresh.redis.process.kill()
    expect(page.get_by_role("alert")).to_contain_text("The store cannot be reached.")
    fresh.redis.start()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_worker_that_is_missing_is_spoken_of_until_one_is_there(fresh: Service, open_page: Open) -> None:
    fresh.start_web()
    page, table, plain = (open_page(fresh, script=each, refused=True) for each in (True, True, False))
    page.goto("/ui/run/divide")
    expect(page.get_by_text("No worker is running.")).to_be_visible()
    page.get_by_label("x").fill("1")
    page.get_by_role("button", name="Run").click()
    expect(page.locator(".more")).to_contain_text("No worker is running. It waits until there is one.")
    for each in (table, plain):
        each.goto("/ui/tasks")
        expect(each.get_by_text("No worker is running.")).to_be_visible()
    plain.get_by_role("link", name="divide").click()
    expect(plain.get_by_text("No worker is running.")).to_be_visible()
    assert_accessible(table)
    fresh.start_worker()
    expect(page.locator(".state")).to_have_text("Done")
    expect(table.get_by_text("No worker is running.")).to_have_count(0)


def test_who_is_no_longer_signed_in_is_told_so_and_led_back(
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
    expect(form.locator(".state")).to_have_text("An API key is needed")
    form.locator(".ticket").get_by_role("link", name="Sign in").click()
    expect(form).to_have_url(f"{service.url}/ui/sign-in?next=%2Fui%2Frun%2Fdivide")
    page.get_by_role("alert").get_by_role("link", name="Sign in").click()
    give_key(page, later)
    expect(page).to_have_url(f"{service.url}/ui/tasks?status=failed")


def test_a_task_that_is_gone_is_spoken_of_where_one_acts_on_it(service: Service, open_page: Open) -> None:
    made = service.submit("divide", x=1, y=2)
    service.wait_for(made)
    page = open_page(service, refused=True)
    page.goto(f"/ui/tasks/{made}")
    service.http.delete(f"/tasks/{made}")
    page.get_by_role("button", name="Retry").click()
    expect(page.locator("#said")).to_contain_text(
        "The task has expired. Its record is dropped some time after the end."
    )
    page.reload()
    expect(page.get_by_role("heading", name="The task has expired")).to_be_visible()
    assert_accessible(page)
