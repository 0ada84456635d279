"""The table of tasks and a task's own page, in a real browser."""

import base64
import csv
import json
import re
import uuid
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from harness import Service, eventually
from page_helpers import CSV, assert_accessible, mark, parameter, picture, sign_in
from playwright.sync_api import Page, Route, expect

Open = Callable[..., Page]


def submit(service: Service, task: str, tag: str, **parameters: object) -> str:
    answer = service.http.post(f"/tasks/{task}?tag={tag}", json=parameters)
    return str(answer.json()["task_id"])


def test_filters_are_in_the_address_and_narrow_the_list(service: Service, open_page: Open) -> None:
    tag = uuid.uuid4().hex
    good, bad = submit(service, "divide", tag, x=1, y=2), submit(service, "divide", tag, x=1, y=0)
    for each in (good, bad):
        service.wait_for(each)
    page = open_page(service)
    page.goto("/ui/tasks")
    page.get_by_role("searchbox").fill(f"tag:{tag}")
    page.get_by_role("searchbox").press("Enter")
    expect(page.locator("#rows tr")).to_have_count(2)
    page.get_by_role("navigation", name="Status").get_by_role("link", name="Failed").click()
    expect(page).to_have_url(re.compile(rf"status=failed.*tag={tag}"))
    expect(page.locator("#rows tr")).to_have_count(1)
    expect(page.locator(f"#t-{bad} .msg")).to_contain_text("zero")
    page.locator(f"#t-{bad} a").click()
    page.get_by_role("link", name="Tasks", exact=True).first.wait_for()
    page.locator("#back").click()
    expect(page).to_have_url(re.compile(rf"status=failed.*tag={tag}"))
    page.get_by_role("searchbox").fill(good)
    page.get_by_role("searchbox").press("Enter")
    expect(page).to_have_url(re.compile(f"/ui/tasks/{good}$"))


def test_the_search_field_finds_tasks_by_error_input_and_part_of_an_id(service: Service, open_page: Open) -> None:
    tag = uuid.uuid4().hex
    good, bad = submit(service, "divide", tag, x=31415926, y=2), submit(service, "divide", tag, x=31415926, y=0)
    for each in (good, bad):
        service.wait_for(each)
    page = open_page(service)
    for terms, matches in (
        ("31415926", [bad, good]),
        ("31415926 ZERO", [bad]),
        (good[-10:], [good]),
        (f"tag:{tag} divide", [bad, good]),
        ("no such words", []),
    ):
        page.goto("/ui/tasks")
        page.get_by_role("searchbox").fill(terms)
        page.get_by_role("searchbox").press("Enter")
        expect(page.get_by_text(re.compile(rf"{len(matches)} match(es)? in the newest"))).to_be_visible()
        rows = page.locator("#rows tr").evaluate_all("rows => rows.map((row) => row.id)")
        assert rows == [f"t-{each}" for each in matches], terms
    expect(page.get_by_text("No matching tasks")).to_be_visible()
    assert_accessible(page)


def test_a_search_reads_a_limited_number_of_tasks_and_continues_where_it_stopped(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    from server.store.listing import Filter
    from server.store.record import Status
    from server.web.ui import search as module

    tag = uuid.uuid4().hex
    task_ids = [submit(service, "divide", tag, x=n, y=1) for n in range(6)]
    monkeypatch.setattr(module, "store", lambda: service.store)
    monkeypatch.setattr(module, "_CHUNK", 2)
    monkeypatch.setattr(module, "MAX_LOOKED_AT", 2)
    wanted = Filter(["local"], ["divide"], tuple(Status))
    listed, cursor = [], None
    for _ in range(3):
        matches = module.search(wanted, tag, 50, cursor)
        assert matches.looked_at == 2
        listed += [record.id for record in matches.records]
        cursor = matches.cursor
    assert listed == task_ids[::-1]


def test_empty_fields_are_not_in_the_address_and_times_are_in_utc(service: Service, open_page: Open) -> None:
    task_id = submit(service, "divide", "x", x=1, y=2)
    moment = service.wait_for(task_id)["submitted_at"][:16]
    for script in (True, False):
        page = open_page(service, script=script)
        page.goto("/ui/tasks")
        page.get_by_text("Filter", exact=True).click()
        page.get_by_label("Since").fill(moment)
        page.get_by_label("Until").fill("2999-01-01T00:00")
        page.get_by_role("button", name="Show", exact=True).click()
        until = "2999-01-01T00%3A00Z"
        expect(page).to_have_url(f"{service.url}/ui/tasks?since={moment.replace(':', '%3A')}Z&until={until}")
        expect(page.locator(f"#t-{task_id}")).to_be_visible()
        expect(page.get_by_label("Since")).to_have_value(moment)
        page.get_by_label("Until").fill(moment)
        page.get_by_role("button", name="Show", exact=True).click()
        expect(page.locator(f"#t-{task_id}")).to_have_count(0)


def test_a_repeated_query_parameter_stays_repeated(service: Service) -> None:
    answer = service.http.get("/ui/tasks?tag=a&tag=b&status=", follow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"{service.url}/ui/tasks?tag=a&tag=b")


def test_an_invalid_filter_is_refused_with_a_message(service: Service, open_page: Open) -> None:
    page = open_page(service, script=False)
    answer = page.request.get(f"{service.url}/ui/tasks?since=yesterday")
    assert (answer.status, "Invalid value for since." in answer.text()) == (422, True)


def test_all_matching_tasks_are_canceled_and_retried(service: Service, open_page: Open) -> None:
    tag, spared = uuid.uuid4().hex, submit(service, "reports", "spared", seconds=60)
    item = {"task": "divide", "input": {"x": 1, "y": 2}, "options": {"tag": [tag], "delay": 600}}
    service.http.post("/batches", json={"items": [item] * 7})
    page = open_page(service)
    page.goto("/ui/tasks")
    expect(page.get_by_text("All that match")).to_have_count(0)
    page.goto(f"/ui/tasks?tag={tag}&limit=3")
    page.locator("#bulk").get_by_role("button", name="Cancel").click()
    expect(page.locator(".confirm")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#outcome")).to_be_empty()
    for word, verb in (("canceled", "Cancel"), ("retried", "Retry")):
        page.locator("#bulk").get_by_role("button", name=verb).click()
        expect(page.locator(".confirm")).to_contain_text(f"{verb} 7 tasks that match: tag {tag}?")
        expect(page.locator(".confirm tr")).to_have_count(3)
        page.locator(".confirm").get_by_role("button", name=f"{verb} 7 tasks").click()
        expect(page.locator("#outcome")).to_have_text(f"7 {word}")
    tasks = service.http.get(f"/tasks?tag={tag}").json()["tasks"]
    assert len(tasks) == 14
    assert not service.status(spared)["done"]
    service.http.post(f"/tasks/{spared}/cancel")
    assert_accessible(page)


def test_a_second_retry_of_matching_tasks_reports_the_first(service: Service, open_page: Open) -> None:
    tag = uuid.uuid4().hex
    task_ids = [submit(service, "divide", tag, x=1, y=0) for _ in range(3)]
    for each in task_ids:
        service.wait_for(each)
    service.http.post(f"/tasks/{task_ids[0]}/retry", json={"input": {"y": 1}})
    page = open_page(service)
    page.goto(f"/ui/tasks?tag={tag}&until={service.status(task_ids[2])['finished_at']}")
    retry = page.locator("#bulk").get_by_role("button", name="Retry")
    retry.click()
    expect(page.locator(".confirm")).to_contain_text("1 of the 3 was retried already and is skipped. The rest become")
    expect(page.locator(".confirm tr")).to_have_count(2)
    assert_accessible(page)
    page.locator(".confirm").get_by_role("button", name="Retry 2 tasks").click()
    expect(page.locator("#outcome")).to_have_text("2 retried")
    retry.click()
    expect(page.locator("#outcome")).to_have_text("There is no task to retry: 3 were retried already.")
    expect(page.locator(".confirm")).to_have_count(0)


def test_a_selected_task_that_was_retried_is_skipped(service: Service, open_page: Open) -> None:
    tag = uuid.uuid4().hex
    task_ids = [submit(service, "divide", tag, x=1, y=0) for _ in range(3)]
    for each in task_ids:
        service.wait_for(each)
    page = open_page(service, refused=True)
    page.goto(f"/ui/tasks?tag={tag}")
    service.http.post(f"/tasks/{task_ids[0]}/retry", json={"input": {"y": 1}})  # after the page was loaded
    page.locator("#all").check()
    page.get_by_role("button", name="Retry 3").click()
    page.locator(".confirm").get_by_role("button", name="Retry 3 tasks").click()
    expect(page.locator("#outcome")).to_contain_text("2 retried, 1 not: The task was retried already")
    page.goto(f"/ui/tasks?tag={tag}&status=failed&until={service.status(task_ids[2])['finished_at']}")
    page.locator("#all").check()
    expect(page.locator("#selection")).to_contain_text("3 selected")
    expect(page.get_by_role("button", name="Retry 3")).to_be_hidden()


def test_a_retried_task_links_to_its_retry_and_can_be_retried_again(service: Service, open_page: Open) -> None:
    task_id = submit(service, "divide", "x", x=1, y=0)
    service.wait_for(task_id)
    page, other = open_page(service), open_page(service, refused=True)
    for each in (page, other):
        each.goto(f"/ui/tasks/{task_id}")
    page.get_by_role("button", name="Retry…").click()
    page.get_by_role("button", name="Retry it").click()
    expect(page).not_to_have_url(re.compile(task_id))
    first = page.url.rpartition("/")[2]
    other.get_by_role("button", name="Retry…").click()
    other.get_by_role("button", name="Retry it").click()
    expect(other).to_have_url(re.compile(first))  # someone else was faster: it leads to the same task

    service.wait_for(first)
    page.goto(f"/ui/tasks/{task_id}")
    notice = page.locator("#retried")
    expect(notice).to_contain_text(re.compile(rf"Already retried. At .*, as …{first[-12:]}, which failed."))
    expect(page.locator("#about")).to_contain_text("Retried as")
    assert_accessible(page)
    page.get_by_role("button", name="Retry again…").click()
    expect(page.locator(".confirm")).to_contain_text("It was retried already. Another new task")
    page.get_by_role("button", name="Retry it again").dblclick()
    expect(page).not_to_have_url(re.compile(task_id))
    service.http.delete(f"/tasks/{first}")
    tagged = service.http.get("/tasks?tag=x&limit=10").json()["tasks"]
    assert len([each for each in tagged if each.get("retry_of") == task_id]) == 1
    newest = service.wait_for(service.status(task_id)["retried_as"])["task_id"]
    service.http.delete(f"/tasks/{newest}")
    page.goto(f"/ui/tasks/{task_id}")
    expect(notice).to_contain_text("which has been deleted")


def test_a_bulk_action_cannot_be_started_twice(service: Service, open_page: Open) -> None:
    tag = uuid.uuid4().hex
    item = {"task": "divide", "input": {"x": 1, "y": 2}, "options": {"tag": [tag], "delay": 600}}
    service.http.post("/batches", json={"items": [item] * 5})
    page = open_page(service)
    page.goto(f"/ui/tasks?tag={tag}")
    sent: list[str] = []
    acts = re.compile(r"/bulk/cancel\?(?!.*dry_run)")
    page.on("request", lambda request: sent.append(request.url) if acts.search(request.url) else None)
    routes: list[Route] = []
    page.route(acts, lambda route: routes.append(route))  # noqa: PLW0108 - Playwright inspects it
    cancel = page.locator("#bulk").get_by_role("button", name="Cancel")
    cancel.click()
    page.locator(".confirm .last").dblclick()
    expect(cancel).to_have_attribute("aria-disabled", "true")
    cancel.evaluate("(button) => button.click()")
    expect(page.locator("#outcome")).to_have_text("0 canceled of 5…")
    expect(page.locator(".confirm")).to_have_count(0)
    routes.pop().continue_()
    expect(page.locator("#outcome")).to_have_text("5 canceled")
    assert len(sent) == 1
    expect(cancel).not_to_have_attribute("aria-disabled", "true")


def test_the_counts_on_tabs_are_updated(service: Service, open_page: Open) -> None:
    task_type = "divide"
    for _ in range(2):
        service.wait_for(submit(service, task_type, "counted", x=1, y=2))
    page = open_page(service)
    page.goto(f"/ui/tasks?task={task_type}&status=succeeded")
    tab = page.locator(".tabs > a[data-status=succeeded] .n")
    before = int(tab.inner_text().replace(",", ""))
    assert before >= 2
    expect(page.locator(".pager")).to_contain_text(f"of {before} tasks")
    service.wait_for(submit(service, task_type, "counted", x=1, y=2))
    expect(tab).to_have_text(f"{before + 1:,}")
    page.goto(f"/ui/tasks?task={task_type}&q=nothing")
    expect(tab).to_have_count(0)


def test_the_list_is_exported_as_csv_and_as_json(service: Service, open_page: Open) -> None:
    tag = uuid.uuid4().hex
    ids = [submit(service, "divide", tag, x=1, y=y) for y in (0, 4)]
    for each in ids:
        service.wait_for(each)
    page = open_page(service)
    page.goto(f"/ui/tasks?tag={tag}")
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as csv_file:
        page.get_by_role("link", name="CSV").click()
    rows = list(csv.DictReader(csv_file.value.path().read_text().splitlines()))
    assert [(row["task_id"], row["status"], row["tags"]) for row in rows] == [
        (ids[1], "succeeded", tag),
        (ids[0], "failed", tag),
    ]
    with page.expect_download() as json_file:
        page.get_by_role("link", name="JSON").click()
    assert json.loads(json_file.value.path().read_text())[1]["message"] == rows[1]["message"] != ""
    answer = page.request.get(f"{service.url}/ui/tasks/export?format=xml")
    assert answer.status == 400


def test_no_cell_of_an_exported_file_is_a_formula(service: Service, open_page: Open) -> None:
    tag = uuid.uuid4().hex
    formula, number = (
        submit(service, "fails_with_a_message", tag, text=text) for text in ("-2+3+cmd|' /C x'!A0", "-2.5")
    )
    page = open_page(service)
    listed = page.request.get(f"{service.url}/ui/tasks/export?tag={tag}").text()
    assert {row["task_id"]: row["input"] for row in csv.DictReader(listed.splitlines())} == {
        formula: "'-2+3+cmd|' /C x'!A0",
        number: "-2.5",
    }

    table = "=1+1,-2+3+cmd,plain\n" + "1,1,-2.5\n" * 20
    task_id = service.http.post("/tasks/csv_stats", files={"file": ("a.csv", table, "text/csv")}).json()["task_id"]
    page.goto(f"/ui/tasks/{task_id}")
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    rows = list(csv.DictReader(download.value.path().read_text().splitlines()))
    assert [row["name"] for row in rows] == ["'=1+1", "'-2+3+cmd", "plain"]
    assert rows[2]["min"] == "-2.5"


def test_an_admin_reads_the_exceptions_own_message_in_the_list(service: Service, open_page: Open) -> None:
    task_id = service.submit("fails_with_a_message", text="order 12")
    service.wait_for(task_id)
    page = open_page(service)
    page.goto("/ui/tasks?task=fails_with_a_message")
    expect(page.locator(f"#t-{task_id} .msg")).to_have_text("LookupError: no such order: order 12")


def test_a_view_is_saved_by_its_url(service: Service, open_page: Open) -> None:
    page = open_page(service, width=1440)
    view = f"{service.url}/ui/tasks?status=failed&task=divide"
    page.goto(view)
    page.get_by_role("button", name="Save this view").click()
    expect(page.get_by_role("button", name="Save this view")).to_be_hidden()
    page.goto("/ui/tasks")
    page.get_by_role("link", name="failed, task divide").click()
    expect(page).to_have_url(view)
    assert_accessible(page)
    page.get_by_role("button", name="Remove the view failed, task divide").click()
    expect(page.locator("#views")).to_be_hidden()


def test_filters_are_kept_after_a_retry_a_delete_and_the_back_link(service: Service, open_page: Open) -> None:
    tag = uuid.uuid4().hex
    for _ in range(2):
        service.wait_for(submit(service, "divide", tag, x=1, y=0))
    page = open_page(service)
    view = f"{service.url}/ui/tasks?status=failed&tag={tag}"
    page.goto(view)
    page.locator("#rows a").first.click()
    page.get_by_role("link", name="Tasks", exact=True).last.click()
    expect(page).to_have_url(view)
    page.locator("#rows a").first.click()
    page.get_by_role("button", name="Retry").click()
    retried = page.url
    page.get_by_role("button", name="Retry it").click()
    expect(page).not_to_have_url(retried)  # "Failed" alone is also what the page of the retried task says
    expect(page.locator("#mark")).to_have_text("Failed")
    page.locator("#back").click()
    expect(page).to_have_url(view)
    page.locator("#rows a").first.click()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete it").click()
    expect(page).to_have_url(view)
    page.reload()
    expect(page.locator("#rows tr")).to_have_count(2)


def test_pages_are_linked_by_a_cursor(service: Service, open_page: Open) -> None:
    tag = uuid.uuid4().hex
    task_ids = [submit(service, "divide", tag, x=1, y=2) for _ in range(5)]
    page = open_page(service, script=False)
    page.goto(f"/ui/tasks?tag={tag}&limit=3")
    listed = page.locator("#rows tr").evaluate_all("rows => rows.map((row) => row.id)")
    page.get_by_role("link", name="Older").click()
    listed += page.locator("#rows tr").evaluate_all("rows => rows.map((row) => row.id)")
    assert listed == [f"t-{each}" for each in reversed(task_ids)]
    page.get_by_role("link", name="Newest").click()
    expect(page.locator("#rows tr")).to_have_count(3)


def test_rows_are_selected_with_the_keyboard_and_each_action_counts_its_tasks(
    service: Service, open_page: Open
) -> None:
    tag = uuid.uuid4().hex
    running = submit(service, "reports", tag, seconds=60)
    ended = [submit(service, "divide", tag, x=1, y=y) for y in (1, 0)]
    for each in ended:
        service.wait_for(each)
    page = open_page(service)
    page.goto(f"/ui/tasks?tag={tag}")
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Shift+X")
    bar = page.get_by_role("region", name="Selection")
    expect(bar).to_contain_text("3 selected")
    expect(bar).to_contain_text("1 failed")
    expect(bar.get_by_role("button", name="Retry 2")).to_be_visible()
    bar.get_by_role("button", name="Cancel 1").click()
    expect(page.get_by_role("group", name="Cancel 1 task?")).to_contain_text("2 of the selected are skipped.")
    expect(page.locator(".confirm tr")).to_have_count(1)
    page.get_by_role("button", name="Cancel 1 task", exact=True).click()
    expect(page.locator("#outcome")).to_have_text("1 canceled")
    expect(page.locator(f"#t-{running} .st")).to_have_text("Canceled")
    expect(bar).to_contain_text("2 selected")
    assert_accessible(page)


def test_selected_tasks_are_retried_and_deleted(service: Service, open_page: Open) -> None:
    tag = uuid.uuid4().hex
    task_ids = [submit(service, "divide", tag, x=1, y=2) for _ in range(3)]
    for each in task_ids:
        service.wait_for(each)
    page = open_page(service)
    page.goto(f"/ui/tasks?tag={tag}")
    page.get_by_label("Select the tasks on this page").check()
    expect(page.get_by_text("3 selected")).to_be_visible()
    page.get_by_role("button", name="Retry 3").click()
    page.get_by_role("button", name="Retry one first").click()
    expect(page.locator("#outcome")).to_have_text("1 retried")
    expect(page.get_by_text("2 selected")).to_be_visible()
    page.get_by_role("button", name="Delete 2").click()
    page.keyboard.press("Escape")
    assert [service.status(each)["status"] for each in task_ids] == ["succeeded"] * 3
    page.get_by_role("button", name="Delete 2").click()
    page.get_by_role("button", name="Delete 2 tasks").click()
    expect(page.locator("#rows tr")).to_have_count(1)
    assert sorted(service.http.get(f"/tasks/{each}").status_code for each in task_ids) == [200, 410, 410]


def test_the_columns_are_chosen_per_browser(service: Service, open_page: Open) -> None:
    task_id = service.submit("divide", x=1, y=2)
    page = open_page(service)
    page.goto("/ui/tasks")
    page.get_by_role("button", name="Columns").click()
    page.get_by_label("Run time").uncheck()
    page.get_by_label("Id", exact=True).check()
    page.reload()
    expect(page.locator(f"#t-{task_id} .c-id")).to_have_text(f"\u2026{task_id[-8:]}")
    expect(page.locator(f"#t-{task_id} .c-time")).to_be_hidden()


def test_a_tasks_page_follows_it_from_its_start_to_its_end(service: Service, open_page: Open) -> None:
    task_id = submit(service, "reports", "x", seconds=4)
    page = open_page(service)
    page.goto(f"/ui/tasks/{task_id}")
    expect(page.locator("#mark")).to_have_text("Running")
    expect(page.locator("#mark")).to_have_text("Succeeded")
    expect(page.locator("#fall li")).to_have_count(3)
    expect(page.locator("#fall")).to_contain_text(re.compile(r"[4-9]\.\d"))
    expect(page.locator("#input")).to_contain_text('"seconds": 4')


def test_a_failed_task_shows_its_reason_and_is_retried_from_its_page(service: Service, open_page: Open) -> None:
    task_id = submit(service, "divide", "x", x=1, y=0)
    service.wait_for(task_id)
    page = open_page(service)
    page.goto(f"/ui/tasks/{task_id}")
    expect(page.locator("#reason")).to_contain_text("zero")
    page.get_by_role("button", name="Retry").click()
    page.get_by_role("button", name="Retry it").click()
    expect(page).not_to_have_url(re.compile(task_id))
    expect(page.get_by_role("link", name=task_id[-12:])).to_be_visible()
    assert_accessible(page)


def test_a_task_is_run_again_with_changed_input_and_the_same_files(service: Service, open_page: Open) -> None:
    task_id = service.http.post(
        "/tasks/echo_file", files={"file": ("a.txt", b"content", "text/plain")}, data={"name": "b.txt"}
    ).json()["task_id"]
    service.wait_for(task_id)
    page = open_page(service)
    page.goto(f"/ui/tasks/{task_id}")
    page.get_by_role("link", name="Change input and run").click()
    expect(parameter(page, "name")).to_have_value("b.txt")
    parameter(page, "name").fill("c.txt")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.locator(".outcome .files")).to_contain_text("c.txt")
    page.get_by_role("link", name="Ticket").click()
    expect(page.locator("#about")).to_contain_text(f"\u2026{task_id[-12:]}")
    expect(page.locator("#input")).to_contain_text('"filename": "a.txt"')


def test_large_numbers_of_an_input_keep_all_digits_in_its_form(service: Service, open_page: Open) -> None:
    number = 2**53 + 1  # JavaScript rounds it to an even number
    page = open_page(service)
    for task, task_input in (
        ("one_per_account", {"account_id": number, "seconds": 0.0}),
        ("lists", {"numbers": [1, number], "texts": ["a"]}),
    ):
        earlier = service.submit(task, **task_input)
        service.wait_for(earlier)
        page.goto(f"/ui/tasks/{earlier}/change")
        page.get_by_role("button", name="Run", exact=True).click()
        expect(mark(page)).to_have_text("Done")
        retried = service.status(earlier)["retried_as"]
        assert service.http.get(f"/tasks/{retried}/input").json()["input"] == task_input

    schedule = {"task": "one_per_account", "input": {"account_id": number, "seconds": 0.0}, "every": 86_400}
    assert service.http.put("/schedules/large", json=schedule).status_code == 201
    page.goto("/ui/schedules?edit=large")
    page.get_by_label("Or every").fill("3600")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").filter(has_text="Schedule large saved.")).to_be_visible()
    saved = service.http.get("/schedules/large").json()
    assert (saved["every"], saved["input"]["account_id"]) == (3600, number)
    service.http.delete("/schedules/large")


def test_a_waiting_task_is_copied_with_changed_input_and_the_same_files(service: Service, open_page: Open) -> None:
    task_id = service.http.post(
        "/tasks/echo_file?delay=600", files={"file": ("a.txt", b"content", "text/plain")}, data={"name": "b.txt"}
    ).json()["task_id"]
    page = open_page(service)
    page.goto(f"/ui/tasks/{task_id}")
    page.get_by_role("link", name="Change input and run").click()
    expect(page.get_by_text("which is scheduled and stays as it is")).to_be_visible()
    expect(parameter(page, "name")).to_have_value("b.txt")
    parameter(page, "name").fill("c.txt")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.locator(".outcome .files")).to_contain_text("c.txt")
    page.get_by_role("link", name="Ticket").click()
    expect(page.locator("#about")).not_to_contain_text("Retry of")
    assert service.status(task_id)["status"] == "scheduled"
    service.http.post(f"/tasks/{task_id}/cancel")


def test_attempts_and_the_waits_between_them_are_shown_as_a_waterfall(service: Service, open_page: Open) -> None:
    task_id = submit(service, "flaky", "x", failures=2)
    service.wait_for(task_id)
    page = open_page(service, script=False)
    page.goto(f"/ui/tasks/{task_id}")
    lines = [" ".join(text.split()) for text in page.locator("#fall li").all_inner_texts()]
    names = ["0 ", "Queued", "Attempt 1", "Attempt 2", "Attempt 3"]
    assert [text.startswith(name) for text, name in zip(lines, names, strict=True)] == [True] * len(names), lines
    assert all(re.search(r"\d (ms|s|min)\b", text) for text in lines[1:]), lines
    assert re.search("Failed: OSError: not yet; then waited", lines[2]), lines
    page.get_by_text("Traceback", exact=True).first.click()
    expect(page.get_by_role("region", name="Traceback of Attempt 1")).to_contain_text('raise OSError("not yet")')
    expect(page.locator("#fall .bar .wait")).to_have_count(3)
    expect(page.get_by_text(re.compile("3 attempts, .* in all, .* of it running"))).to_be_visible()


def test_the_run_time_of_a_retried_task_is_that_of_its_last_attempt(service: Service, open_page: Open) -> None:
    tag = uuid.uuid4().hex
    task_id = submit(service, "fails_late", tag, seconds=2)
    service.wait_for(task_id)
    page = open_page(service, script=False)
    page.goto(f"/ui/tasks?tag={tag}")
    expect(page.locator(f"#t-{task_id} .c-time")).to_have_text(re.compile("^[0-9]+ ms$"))


def test_a_delayed_task_shows_its_delay_and_its_queue_wait_separately(service: Service, open_page: Open) -> None:
    task_id = service.http.post("/tasks/divide?delay=3", json={"x": 1, "y": 2}).json()["task_id"]
    page = open_page(service)
    page.goto(f"/ui/tasks/{task_id}")
    expect(page.locator("#about")).to_contain_text("Due")
    expect(page.locator("#mark")).to_have_text("Succeeded")
    expect(page.locator("#fall .st")).to_have_text(["Scheduled", "Queued", "Attempt"])


def test_an_upload_is_shown_in_the_input_without_its_storage_path(service: Service, open_page: Open) -> None:
    task_id = service.http.post("/tasks/echo_file", files={"file": ("a.txt", b"content", "text/plain")}).json()[
        "task_id"
    ]
    service.wait_for(task_id)
    page = open_page(service)
    page.goto(f"/ui/tasks/{task_id}")
    expect(page.locator("#input")).to_contain_text('"bytes": 7')
    expect(page.locator("#input")).not_to_contain_text('"key"')
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.path().read_bytes() == b"content"


def test_a_tabular_result_is_shown_as_a_table_and_as_json(service: Service, open_page: Open) -> None:
    task_id = service.http.post("/tasks/csv_stats", files={"file": ("a.csv", CSV, "text/csv")}).json()["task_id"]
    page, plain = open_page(service), open_page(service, script=False)
    page.goto(f"/ui/tasks/{task_id}")
    expect(page.get_by_role("row", name="visitors integer")).to_be_visible()
    expect(page.get_by_role("img", name="visitors histogram")).to_be_visible()
    page.get_by_text("As JSON").click()
    expect(page.locator("#json pre")).to_contain_text('"column_count": 3')
    assert_accessible(page)
    plain.goto(f"/ui/tasks/{task_id}")
    expect(plain.locator("#json pre")).to_contain_text('"column_count": 3')
    with page.expect_download() as csv_file:
        page.get_by_role("button", name="CSV").click()
    rows = list(csv.DictReader(csv_file.value.path().read_text().splitlines()))
    assert [row["name"] for row in rows] == ["city", "visitors", "area"]
    with page.expect_download() as json_file:
        page.get_by_role("button", name="JSON", exact=True).click()
    assert json.loads(json_file.value.path().read_text())["column_count"] == 3


def test_large_numbers_of_a_result_keep_all_digits(service: Service, open_page: Open) -> None:
    number = 2**53 + 1  # JavaScript rounds it to an even number
    task_id = service.submit("slow_to_validate", x=number)
    service.wait_for(task_id)
    page = open_page(service)
    page.goto(f"/ui/tasks/{task_id}")
    expect(page.locator("#described .value")).to_have_text(f"{number:,}")
    with page.expect_download() as download:
        page.get_by_role("button", name="JSON", exact=True).click()
    assert download.value.path().read_text() == str(number)


def test_times_are_in_the_browsers_time_zone_with_utc_on_hover(service: Service, open_page: Open) -> None:
    task_id = service.submit("divide", x=1, y=2)
    status = service.wait_for(task_id)
    moment = datetime.fromisoformat(status["submitted_at"])
    page = open_page(service, zone="Asia/Kolkata")
    page.goto(f"/ui/tasks/{task_id}")
    time = page.locator("#about time").first
    expect(time).to_contain_text(moment.astimezone(ZoneInfo("Asia/Kolkata")).strftime("%H:%M:%S"))
    expect(time).to_have_attribute("title", moment.strftime("%Y-%m-%d %H:%M:%S UTC"))


def test_a_batch_is_followed_canceled_and_retried_as_a_whole(service: Service, open_page: Open) -> None:
    items = [{"task": "divide", "input": {"x": x, "y": x}, "options": {"delay": 600 * (x > 1)}} for x in range(4)]
    items.append({"task": "divide", "input": {"x": "none"}})
    batch = service.http.post("/batches", json={"items": items}).json()
    tasks = [each["task_id"] for each in batch["items"][:4]]
    for each in tasks[:2]:
        service.wait_for(each)
    page = open_page(service, width=375)
    page.goto(f"/ui/tasks/{tasks[0]}")
    page.get_by_role("link", name=batch["batch_id"][-12:]).click()
    expect(page.get_by_role("heading", name="Batch of 4")).to_be_visible()
    expect(page.locator("#counts")).to_contain_text("2 of 4 ended")
    expect(page.locator("#rows tr")).to_have_count(4)
    expect(page.get_by_role("region", name="Refused items")).to_contain_text("Invalid value for x")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    assert_accessible(page)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.get_by_role("button", name="Cancel 2").click()
    page.get_by_role("button", name="Cancel 2 tasks").click()
    expect(page.locator("#outcome")).to_have_text("2 tasks asked to stop.")
    expect(page.locator("#counts")).to_contain_text("4 of 4 ended")
    expect(page.locator(f"#t-{tasks[3]} .st")).to_have_text("Canceled")
    assert requests == [f"{service.url}/batches/{batch['batch_id']}/cancel"], "changes come over the stream"
    page.get_by_role("button", name="Retry 1 failed").click()
    page.get_by_role("button", name="Retry 1 task").click()
    expect(page.locator("#outcome")).to_have_text("1 retried")
    expect(page.get_by_role("button", name="Retry")).to_have_count(0)
    page.get_by_role("navigation", name="Status").get_by_role("link", name="Failed").click()
    expect(page.locator("#rows tr")).to_have_count(1)
    expect(page.get_by_role("button", name="Retry")).to_have_count(0)


def test_two_owners_do_not_see_each_others_tasks(keyed: tuple[Service, dict[str, str]], open_page: Open) -> None:
    service, keys = keyed
    of_alice = {"Authorization": f"Bearer {keys['alice']}"}
    task_id = service.http.post("/tasks/divide", json={"x": 1, "y": 2}, headers=of_alice).json()["task_id"]
    service.wait_for(task_id)
    alice, bob, root = (open_page(service) for _ in range(3))
    for page, owner in ((alice, "alice"), (bob, "bob"), (root, "root")):
        sign_in(page, keys[owner])
        page.goto("/ui/tasks")
    expect(alice.locator(f"#t-{task_id}")).to_be_visible()
    expect(root.locator(f"#t-{task_id}")).to_contain_text("alice")
    for owner, count in (("bob", 0), ("alice", 1)):
        root.goto(f"/ui/tasks?owner={owner}")
        expect(root.locator("#owner")).to_have_value(owner)
        expect(root.locator(f"#t-{task_id}")).to_have_count(count)
    expect(alice.locator("#owner")).to_have_count(0)
    expect(bob.get_by_text("No matching tasks")).to_be_visible()
    assert bob.request.get(f"{service.url}/ui/tasks/{task_id}").status == 404
    alice.goto("/ui/run/divide")
    parameter(alice, "x").fill("6")
    parameter(alice, "y").fill("2")
    alice.get_by_role("button", name="Run").click()
    expect(alice.locator(".value")).to_have_text("3")
    assert alice.request.get(f"{service.url}/ui/tasks").headers["cache-control"] == "private, no-store"
    alice.get_by_role("button", name="Sign out").click()
    alice.goto("/ui/tasks")
    expect(alice.get_by_role("heading", name="Sign in")).to_be_visible()
    assert_accessible(alice)


@pytest.mark.parametrize("width", [320, *(pytest.param(each, marks=pytest.mark.slow) for each in (768, 1440))])
def test_pages_are_accessible_and_do_not_overflow(service: Service, open_page: Open, width: int) -> None:
    task_id = submit(service, "divide", "x", x=1, y=0)
    image = {"data": base64.b64encode(picture()).decode(), "filename": "cat.png"}
    with_file = submit(service, "thumbnail", "x", image=image, width=64)
    eventually(lambda: service.status(task_id)["done"] and service.status(with_file)["done"])
    for path in ("/ui/tasks", f"/ui/tasks/{task_id}", f"/ui/tasks/{with_file}", "/ui/tasks?tag=nothing"):
        page = open_page(service, width=width, dark=width == 768)
        page.goto(path)
        page.locator("h1").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert_accessible(page)
