"""The table of tasks and a task's own page, in a real browser."""

import re
import uuid
from collections.abc import Callable

import pytest
from harness import Service, eventually
from looking import CSV, assert_accessible, photograph, sign_in
from playwright.sync_api import Dialog, Page, expect

Open = Callable[..., Page]


def submit(service: Service, task: str, tag: str, **parameters: object) -> str:
    answer = service.http.post(f"/tasks/{task}?tag={tag}", json=parameters)
    return str(answer.json()["task_id"])


def test_filters_are_in_the_address_and_narrow_the_table(service: Service, open_page: Open) -> None:
    tag = uuid.uuid4().hex
    good, bad = submit(service, "divide", tag, x=1, y=2), submit(service, "divide", tag, x=1, y=0)
    for each in (good, bad):
        service.wait_for(each)
    page = open_page(service)
    page.goto("/ui/tasks")
    page.get_by_label("Tag").fill(tag)
    page.get_by_label("Status").select_option("failed")
    page.get_by_role("button", name="Show").click()
    expect(page).to_have_url(re.compile(rf"status=failed.*tag={tag}"))
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator(f"#t-{bad}")).to_be_visible()
    page.get_by_label("Id", exact=True).fill(good)
    page.get_by_label("Id", exact=True).press("Enter")
    expect(page).to_have_url(re.compile(f"/ui/tasks/{good}$"))


def test_what_a_form_leaves_empty_is_not_in_the_address_and_times_are_in_utc(service: Service, open_page: Open) -> None:
    made = submit(service, "divide", "x", x=1, y=2)
    moment = service.wait_for(made)["submitted_at"][:16]
    for script in (True, False):
        page = open_page(service, script=script)
        page.goto("/ui/tasks")
        page.get_by_text("Owner and time").click()
        page.get_by_label("Since").fill(moment)
        page.get_by_label("Until").fill("2999-01-01T00:00")
        page.get_by_role("button", name="Show").click()
        until = "2999-01-01T00%3A00Z"
        expect(page).to_have_url(f"{service.url}/ui/tasks?since={moment.replace(':', '%3A')}Z&until={until}")
        expect(page.locator(f"#t-{made}")).to_be_visible()
        expect(page.get_by_label("Since")).to_have_value(moment)
        page.get_by_label("Until").fill(moment)
        page.get_by_role("button", name="Show").click()
        expect(page.locator(f"#t-{made}")).to_have_count(0)


def test_what_is_given_twice_in_an_address_stays_so(service: Service) -> None:
    answer = service.http.get("/ui/tasks?tag=a&tag=b&status=", follow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/ui/tasks?tag=a&tag=b")


def test_a_filter_that_cannot_be_read_is_refused_in_words(service: Service, open_page: Open) -> None:
    page = open_page(service, script=False)
    answer = page.request.get(f"{service.url}/ui/tasks?since=yesterday")
    assert (answer.status, "Invalid value for since." in answer.text()) == (422, True)


def test_all_that_match_a_filter_are_canceled_and_retried_page_or_no_page(service: Service, open_page: Open) -> None:
    tag, spared = uuid.uuid4().hex, submit(service, "reports", "spared", seconds=60)
    item = {"task": "divide", "input": {"x": 1, "y": 2}, "options": {"tag": [tag], "delay": 600}}
    service.http.post("/batches", json={"items": [item] * 7})
    page = open_page(service)
    page.goto("/ui/tasks")
    expect(page.get_by_text("All that match")).to_have_count(0)
    page.goto(f"/ui/tasks?tag={tag}&limit=3")
    asked: list[str] = []

    def agree(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.accept()

    page.once("dialog", lambda dialog: dialog.dismiss())
    page.get_by_role("button", name="Cancel all that match").click()
    expect(page.locator("#said")).to_be_empty()
    page.on("dialog", agree)
    page.get_by_role("button", name="Cancel all that match").click()
    expect(page.locator("#said")).to_have_text("7 canceled")
    assert asked == [f"Cancel every task that matches: tag {tag}?"]
    expect(page.locator(".status.canceled")).to_have_count(3)
    page.get_by_role("button", name="Retry all that match").click()
    expect(page.locator("#said")).to_have_text("7 retried")
    found = service.http.get(f"/tasks?tag={tag}").json()["tasks"]
    assert len(found) == 14
    assert not service.status(spared)["done"]
    service.http.post(f"/tasks/{spared}/cancel")
    assert_accessible(page)


def test_pages_lead_on_by_a_cursor(service: Service, open_page: Open) -> None:
    tag = uuid.uuid4().hex
    made = [submit(service, "divide", tag, x=1, y=2) for _ in range(5)]
    page = open_page(service, script=False)
    page.goto(f"/ui/tasks?tag={tag}&limit=3")
    seen = page.locator("tbody tr").evaluate_all("rows => rows.map((row) => row.id)")
    page.get_by_role("link", name="Older").click()
    seen += page.locator("tbody tr").evaluate_all("rows => rows.map((row) => row.id)")
    assert seen == [f"t-{each}" for each in reversed(made)]
    page.get_by_role("link", name="Newest").click()
    expect(page.locator("tbody tr")).to_have_count(3)


def test_the_table_follows_what_happens_and_keeps_what_is_selected(service: Service, open_page: Open) -> None:
    tag = uuid.uuid4().hex
    first = submit(service, "reports", tag, seconds=60)
    page = open_page(service)
    page.goto(f"/ui/tasks?tag={tag}")
    page.locator(f"#t-{first} input").check()
    second = submit(service, "divide", tag, x=1, y=2)
    expect(page.locator(f"#t-{second} .status")).to_have_text("succeeded")
    expect(page.locator(f"#t-{first} input")).to_be_checked()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(f"#t-{first} .status")).to_have_text("canceled")
    expect(page.locator("#said")).to_have_text("1 canceled")


def test_selected_tasks_are_retried_and_deleted(service: Service, open_page: Open) -> None:
    tag = uuid.uuid4().hex
    made = [submit(service, "divide", tag, x=1, y=2) for _ in range(3)]
    for each in made:
        service.wait_for(each)
    page = open_page(service)
    page.goto(f"/ui/tasks?tag={tag}")
    page.get_by_label("Select all").check()
    expect(page.get_by_text("3 selected")).to_be_visible()
    page.get_by_role("button", name="Retry").click()
    expect(page.locator("tbody tr")).to_have_count(6)
    for each in made:
        page.locator(f"#t-{each} input").check()
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.get_by_role("button", name="Delete").click()
    assert [service.status(each)["status"] for each in made] == ["succeeded"] * 3
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").click()
    expect(page.locator("tbody tr")).to_have_count(3)
    assert {service.http.get(f"/tasks/{each}").status_code for each in made} == {410}


def test_a_tasks_page_follows_it_from_its_start_to_its_end(service: Service, open_page: Open) -> None:
    made = submit(service, "reports", "x", seconds=2)
    page = open_page(service)
    page.goto(f"/ui/tasks/{made}")
    expect(page.locator("#state .status")).to_have_text("running")
    expect(page.locator("#state .status")).to_have_text("succeeded")
    expect(page.locator("#steps li")).to_have_count(4)
    expect(page.locator("#steps")).to_contain_text("2.")
    expect(page.locator("pre").first).to_contain_text('"seconds": 2')


def test_a_failed_task_says_why_and_is_retried_from_its_page(service: Service, open_page: Open) -> None:
    made = submit(service, "divide", "x", x=1, y=0)
    service.wait_for(made)
    page = open_page(service)
    page.goto(f"/ui/tasks/{made}")
    expect(page.locator(".notice")).to_contain_text("zero")
    page.get_by_role("button", name="Retry").click()
    expect(page).not_to_have_url(re.compile(made))
    expect(page.get_by_role("link", name=made[-12:])).to_be_visible()
    assert_accessible(page)


def test_runs_that_were_tried_again_stand_in_the_timeline(service: Service, open_page: Open) -> None:
    made = submit(service, "flaky", "x", failures=2)
    service.wait_for(made)
    page = open_page(service, script=False)
    page.goto(f"/ui/tasks/{made}")
    steps = [" ".join(text.split()) for text in page.locator("#steps li").all_inner_texts()]
    names = ["Accepted", "Queued", "Run 1", "Waited", "Run 2", "Waited", "Run 3", "Succeeded"]
    assert [text.startswith(name) for text, name in zip(steps, names, strict=True)] == [True] * len(names), steps
    assert all(re.search(r"\d (ms|s|min)\b", text) for text in steps[1:]), steps
    assert "failed, and was to be tried again: OSError" in steps[2]
    assert "in all" in steps[-1]


def test_a_task_that_was_not_due_shows_that_wait_beside_the_one_in_the_queue(service: Service, open_page: Open) -> None:
    made = service.http.post("/tasks/divide?delay=1", json={"x": 1, "y": 2}).json()["task_id"]
    page = open_page(service)
    page.goto(f"/ui/tasks/{made}")
    expect(page.locator("#steps")).to_contain_text("Due")
    expect(page.locator("#state .status")).to_have_text("succeeded")
    names = page.locator("#steps b").all_inner_texts()
    assert names == ["Accepted", "Scheduled", "Queued", "Run", "Succeeded"]


def test_an_upload_stands_in_the_input_without_where_it_lies(service: Service, open_page: Open) -> None:
    made = service.http.post("/tasks/echo_file", files={"file": ("a.txt", b"content", "text/plain")}).json()["task_id"]
    service.wait_for(made)
    page = open_page(service)
    page.goto(f"/ui/tasks/{made}")
    expect(page.locator("pre").first).to_contain_text('"bytes": 7')
    expect(page.locator("pre").first).not_to_contain_text('"key"')
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.path().read_bytes() == b"content"


def test_a_result_that_is_a_table_is_one_on_its_tasks_page_beside_its_json(service: Service, open_page: Open) -> None:
    made = service.http.post("/tasks/csv_stats", files={"file": ("a.csv", CSV, "text/csv")}).json()["task_id"]
    page, plain = open_page(service), open_page(service, script=False)
    page.goto(f"/ui/tasks/{made}")
    expect(page.get_by_role("row", name="visitors integer")).to_be_visible()
    expect(page.get_by_role("img", name="visitors histogram")).to_be_visible()
    expect(page.get_by_label("Result", exact=True)).to_contain_text('"column_count": 3')
    assert_accessible(page)
    plain.goto(f"/ui/tasks/{made}")
    expect(plain.get_by_label("Result", exact=True)).to_contain_text('"column_count": 3')


def test_two_owners_do_not_see_each_others_tasks(keyed: tuple[Service, dict[str, str]], open_page: Open) -> None:
    service, keys = keyed
    of_alice = {"Authorization": f"Bearer {keys['alice']}"}
    made = service.http.post("/tasks/divide", json={"x": 1, "y": 2}, headers=of_alice).json()["task_id"]
    service.wait_for(made)
    alice, bob, root = (open_page(service) for _ in range(3))
    for page, owner in ((alice, "alice"), (bob, "bob"), (root, "root")):
        sign_in(page, keys[owner])
        page.goto("/ui/tasks")
    expect(alice.locator(f"#t-{made}")).to_be_visible()
    expect(root.locator(f"#t-{made}")).to_contain_text("alice")
    for owner, count in (("bob", 0), ("alice", 1)):
        root.goto(f"/ui/tasks?owner={owner}")
        expect(root.get_by_label("Owner")).to_have_value(owner)
        expect(root.locator(f"#t-{made}")).to_have_count(count)
    expect(alice.get_by_label("Owner")).to_have_count(0)
    expect(bob.get_by_text("No task fits.")).to_be_visible()
    assert bob.request.get(f"{service.url}/ui/tasks/{made}").status == 404
    alice.goto("/ui/run/divide")
    alice.get_by_label("x").fill("6")
    alice.get_by_label("y").fill("2")
    alice.get_by_role("button", name="Run").click()
    expect(alice.locator(".value")).to_have_text("3")
    assert alice.request.get(f"{service.url}/ui/tasks").headers["cache-control"] == "private, no-store"
    alice.get_by_role("button", name="Sign out").click()
    alice.goto("/ui/tasks")
    expect(alice.get_by_role("heading", name="Sign in")).to_be_visible()
    assert_accessible(alice)


@pytest.mark.parametrize("width", [360, 800, 1280])
def test_axe_finds_nothing_and_nothing_runs_over_the_edge(service: Service, open_page: Open, width: int) -> None:
    made = submit(service, "divide", "x", x=1, y=0)
    eventually(lambda: service.status(made)["done"])
    for path in ("/ui/tasks", f"/ui/tasks/{made}", "/ui/tasks?tag=nothing"):
        page = open_page(service, width=width, dark=width == 800)
        page.goto(path)
        page.locator("h1").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert_accessible(page)


def test_the_pages_are_photographed(service: Service, open_page: Open) -> None:
    submit(service, "reports", "nightly", seconds=20)
    page = open_page(service, width=1200)
    page.goto("/ui/tasks")
    photograph(page, "tasks")
    made = submit(service, "flaky", "nightly", failures=2)
    service.wait_for(made)
    page.goto(f"/ui/tasks/{made}")
    photograph(page, "task")
