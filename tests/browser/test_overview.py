"""The overview and schedules, in a real browser."""

import re
import time
from collections.abc import Callable

import pytest
from harness import Service, eventually
from page_helpers import assert_accessible, parameter, sign_in
from playwright.sync_api import Locator, Page, expect

from server import __version__
from server.store.api_keys import CACHE_SECONDS, Role

Open = Callable[..., Page]


def test_queues_and_workers_are_shown_as_they_are(service: Service, open_page: Open) -> None:
    for y in (1, 0):
        service.wait_for(service.submit("divide", x=1, y=y))
    running = service.submit("reports", seconds=60)
    service.wait_for(running, "running")
    page = open_page(service)
    page.goto("/ui/queues")
    expect(page).to_have_url(f"{service.url}/ui/overview")
    expect(page.locator("#q-default")).to_be_visible()
    expect(page.get_by_role("img", name="Tasks per 5 minutes")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("^Wait, (seconds|minutes)"))).to_be_visible()
    expect(page.locator("#q-default [data-label=Running]")).to_have_text(re.compile(r"^[1-9]\d* of [1-9]"))
    page.get_by_text("Show as a table").first.click()
    expect(page.get_by_role("columnheader", name="Arrived").first).to_be_visible()
    # The running step stands apart: no line dips to it.
    expect(page.locator("#plots table").first.get_by_role("rowheader").last).to_contain_text("so far")
    expect(page.locator("#plots .plot").first.locator(".hit title").last).to_contain_text("so far")
    assert "L100.00 " not in str(page.locator("#plots path.in-line").nth(1).get_attribute("d"))
    expect(page.get_by_role("rowheader", name="divide")).to_be_visible()
    worker = page.locator("#hands")
    expect(worker).to_contain_text("reports of local")
    expect(worker.get_by_role("row", name="celery@")).to_contain_text(f"MB{__version__}")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    service.http.post(f"/tasks/{running}/cancel")
    expect(worker).not_to_contain_text("reports of local", timeout=40_000)
    expect(page.get_by_role("columnheader", name="Arrived").first).to_be_visible()  # open details stay open
    assert requests == [], "changes come over the stream"


def number(row: Locator, label: str) -> int:
    """Return a number of a row, which has separators."""
    return int(row.locator(f"[data-label={label}]").inner_text().replace(",", ""))


@pytest.mark.parametrize("span", ["hour", "day", "week"])
def test_arrivals_waits_and_ends_are_shown_by_type_and_owner(service: Service, open_page: Open, span: str) -> None:
    service.wait_for(service.submit("divide", x=1, y=0))
    page = open_page(service)
    page.goto(f"/ui/overview?range={span}")
    row = page.locator("#types").get_by_role("row", name="divide")
    assert number(row, "Failed") >= 1
    assert number(row, "Arrived") >= 1
    expect(row.locator("[data-label='Wait / p99']")).to_have_text(
        re.compile(r"^[\d.]+ (ms|s|min) / [\d.]+ (ms|s|min)$")
    )
    expect(page.get_by_role("img", name=re.compile("^Wait, .*Median: .*; p99: "))).to_be_visible()
    expect(row.get_by_role("link", name="failed tasks of divide")).to_have_attribute(
        "href", "/ui/tasks?status=failed&task=divide"
    )
    owner = page.locator("#owners").get_by_role("row", name="local")
    assert number(owner, "Ended") >= 1
    everything = page.locator("#stats > div").nth(4).inner_text()
    page.get_by_label("Plots and figures of").select_option("task:flip")
    expect(page).to_have_url(f"{service.url}/ui/overview?range={span}&of=task%3Aflip")
    expect(page.locator("#stats > div").nth(4)).not_to_have_text(everything)
    page.get_by_label("Plots and figures of").select_option("owner:local")
    expect(page.locator("#stats > div").nth(4)).to_contain_text("ended")
    assert_accessible(page)


@pytest.mark.slow
def test_a_queue_is_cleared_by_typing_its_name(fresh: Service, open_page: Open) -> None:
    fresh.redis.client.config_set("maxmemory", "500mb")
    fresh.redis.client.config_set("maxmemory-policy", "allkeys-lru")
    fresh.start_web()
    task_ids = [fresh.submit("divide", x=1, y=2) for _ in range(4)]
    page = open_page(fresh)
    page.goto("/ui/overview")
    expect(page.get_by_text("4 tasks wait until one is started.")).to_be_visible()
    expect(page.locator(".notice").filter(has_text="Reported by doctor.")).to_contain_text("allkeys-lru")
    expect(page.locator("#q-default")).to_contain_text("No worker")
    page.get_by_role("button", name="Clear 4…").click()
    expect(page.locator(".confirm tr")).to_have_count(3)
    page.get_by_role("button", name="Cancel 4 tasks").click()
    expect(page.get_by_label("Type default to confirm")).to_be_focused()
    assert_accessible(page)
    page.get_by_label("Type default to confirm").fill("default")
    page.get_by_role("button", name="Cancel 4 tasks").click()
    expect(page.locator("#outcome")).to_have_text("4 canceled")
    assert {fresh.status(each)["status"] for each in task_ids} == {"canceled"}
    expect(page.locator("#q-default")).to_contain_text("Empty")


@pytest.mark.slow
def test_a_queue_is_paused_and_resumed(fresh: Service, open_page: Open) -> None:
    fresh.start_web()
    task_id = fresh.submit("divide", x=1, y=2)
    page = open_page(fresh)
    page.goto("/ui/overview")
    page.get_by_role("button", name="Pause default").click()
    row = page.locator("#q-default")
    expect(row).to_contain_text("Paused by local, ")
    expect(row).to_contain_text("When resumed")
    assert fresh.http.get("/queues/default").json()["paused"]
    assert_accessible(page)
    page.goto(f"/ui/tasks/{task_id}")
    expect(page.get_by_text("default, place 1, paused")).to_be_visible()
    page.goto("/ui/overview")
    page.get_by_role("button", name="Resume default").click()
    expect(row).not_to_contain_text("Paused")
    assert not fresh.http.get("/queues/default").json()["paused"]


@pytest.mark.slow
def test_a_worker_is_stopped_gracefully(fresh: Service, open_page: Open) -> None:
    fresh.start_web()
    worker = fresh.start_worker()
    running = fresh.submit("reports", seconds=3)
    fresh.wait_for(running, "running")
    page = open_page(fresh)
    page.goto("/ui/overview")
    page.get_by_role("button", name="Drain and stop").click()
    expect(page.locator(".confirm")).to_contain_text("ends the tasks that it runs")
    page.locator(".confirm .last").click()
    expect(page.locator("#outcome")).to_contain_text("is asked to stop")
    assert worker.wait() == 0
    assert fresh.status(running)["status"] in ("succeeded", "queued"), "it has ended, or was given back"
    expect(page.get_by_text("No worker is running.")).to_be_visible()
    assert fresh.http.post("/workers/celery@nowhere/stop").status_code == 404


def test_a_schedule_is_created_run_paused_and_deleted(service: Service, open_page: Open) -> None:
    page = open_page(service)
    page.goto("/ui/schedules")
    page.get_by_label("Name").fill("nightly")
    page.get_by_label("Task type").select_option("divide")
    page.get_by_role("group", name="Input").get_by_label("x").fill("1")
    page.get_by_role("group", name="Input").get_by_label("y").fill("2")
    page.get_by_label("Cron line").fill("30 6 * * MON-FRI")
    expect(page.locator("#schedule-times")).to_contain_text("Monday to Friday at 06:30, UTC. Next: ")
    page.get_by_role("button", name="Create schedule").click()
    row = page.get_by_role("row", name="nightly")
    expect(row).to_contain_text("Monday to Friday at 06:30")
    page.get_by_role("button", name="Run nightly now").click()
    expect(row.locator(".five a")).to_have_count(1)
    page.get_by_role("button", name="Pause nightly").click()
    expect(row).to_contain_text("Paused")
    assert service.http.get("/schedules/nightly").json()["enabled"] is False
    page.get_by_role("button", name="Resume nightly").click()
    expect(page.get_by_role("button", name="Pause nightly")).to_be_focused()
    assert_accessible(page)
    page.get_by_role("link", name="Edit nightly").click()
    expect(page.get_by_label("Cron line")).to_have_value("30 6 * * MON-FRI")
    expect(page.get_by_role("group", name="Input").get_by_label("y")).to_have_value("2")
    page.get_by_label("Cron line").fill("0 7 * * *")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#outcome")).to_have_text("Schedule nightly saved.")
    assert service.http.get("/schedules/nightly").json()["cron"] == "0 7 * * *"
    page.get_by_role("button", name="Delete nightly").click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Delete nightly")).to_be_focused()
    page.get_by_role("button", name="Delete nightly").click()
    page.get_by_role("group", name="Delete schedule nightly?").get_by_role("button", name="Delete nightly").click()
    expect(page.get_by_text("No schedules")).to_be_visible()


def test_the_form_of_a_schedule_follows_the_schema_of_its_task(service: Service, open_page: Open) -> None:
    page = open_page(service, refused=True)
    page.goto("/ui/schedules")
    page.get_by_label("Name").fill("typed-hourly")
    page.get_by_label("Or every").fill("3600")
    page.get_by_label("Task type").select_option("typed")
    fields = page.get_by_role("group", name="Input")
    expect(fields).to_contain_text("Return the parameters that were sent.")
    fields.get_by_label("text").fill("true")
    fields.get_by_label("number").fill("7")
    fields.get_by_label("flag").check()
    fields.get_by_role("button", name="Add").click()
    fields.get_by_label("name").fill("a")
    fields.get_by_label("price").fill("0")
    page.get_by_role("button", name="Create schedule").click()
    expect(page.locator("#outcome")).to_contain_text("The input does not fit the schema.")
    expect(fields.get_by_label("items")).to_be_focused()
    expect(fields.locator(".wrong")).to_have_text("Input should be greater than 0")
    fields.get_by_label("price").fill("2")
    page.get_by_role("button", name="Create schedule").click()
    expect(page.locator("#outcome")).to_have_text("Schedule typed-hourly created.")
    expect(page.get_by_role("row", name="typed-hourly")).to_contain_text("Every hour")
    schedule = service.http.get("/schedules/typed-hourly").json()
    assert schedule["input"] == {"text": "true", "number": 7, "flag": True, "items": [{"name": "a", "price": 2}]}
    assert_accessible(page)
    service.http.delete("/schedules/typed-hourly")


def test_a_schedule_of_an_image_task_has_its_url_and_steps(service: Service, open_page: Open) -> None:
    page = open_page(service)
    page.goto("/ui/schedules?task=image_pipeline")
    page.get_by_label("Name").fill("banner")
    page.get_by_label("Cron line").fill("0 6 * * *")
    page.get_by_label("Time zone").fill("Europe/Berlin")
    parameter(page, "image").fill("https://example.org/a.png")
    page.locator(".steps-list").get_by_label("width").fill("90")
    page.get_by_role("button", name="Create schedule").click()
    expect(page.get_by_role("row", name="banner")).to_contain_text("Every day at 06:00, Europe/Berlin")
    schedule = service.http.get("/schedules/banner").json()
    assert schedule["input"]["image"] == {"url": "https://example.org/a.png"}
    assert schedule["input"]["operations"] == [{"op": "thumbnail", "width": 90}]
    service.http.delete("/schedules/banner")


@pytest.fixture(scope="module")
def refused_receiver(service: Service) -> None:
    """A webhook whose receiver cannot be reached, so that the page has its table with a long reason."""
    webhook = "https://a-receiver-with-a-rather-long-name.hooks.internal.example.invalid/end"
    assert service.http.post("/tasks/divide", params={"webhook": webhook}, json={"x": 1, "y": 2}).status_code == 202
    eventually(lambda: service.http.get("/webhook-receivers").json()["receivers"])


@pytest.mark.slow
@pytest.mark.usefixtures("refused_receiver")
@pytest.mark.parametrize("width", [320, 768, 1440])
@pytest.mark.parametrize("path", ["/ui/overview", "/ui/schedules", "/ui/keys", "/ui/audit"])
def test_pages_are_accessible_and_do_not_overflow(service: Service, open_page: Open, path: str, width: int) -> None:
    page = open_page(service, width=width, dark=width == 768)
    page.goto(path)
    page.locator("h1").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert_accessible(page)


def test_the_page_reports_omitted_owners(service: Service, open_page: Open) -> None:
    keys = service.store.keys
    hour = service.store.clock.now_ms() // 3_600_000
    service.redis.client.hset(keys.flow(hour), mapping={f"0:o:owner-{number}:arrived": 1 for number in range(40)})
    page = open_page(service)
    page.goto("/ui/overview?range=day")
    expect(page.locator("#owners tbody tr")).to_have_count(12)
    expect(page.locator("#owners .hint")).to_have_text(re.compile(r"^The first 12 of 4\d owners\.$"))


def test_an_owner_sees_its_own_schedules_and_no_overview(
    keyed: tuple[Service, dict[str, str]], open_page: Open
) -> None:
    service, keys = keyed
    for owner in ("alice", "bob"):
        of_owner = {"Authorization": f"Bearer {keys[owner]}"}
        schedule = {"task": "divide", "input": {"x": 1, "y": 2}, "cron": "0 6 * * *"}
        assert service.http.put(f"/schedules/of-{owner}", json=schedule, headers=of_owner).status_code == 201
    page = open_page(service)
    sign_in(page, keys["alice"])
    expect(page.get_by_role("link", name="Overview")).to_have_count(0)
    assert page.request.get(f"{service.url}/ui/overview").status == 403
    page.get_by_role("link", name="Schedules").click()
    expect(page.get_by_role("row", name="of-alice")).to_be_visible()
    expect(page.get_by_role("row", name="of-bob")).to_have_count(0)
    root = open_page(service)
    sign_in(root, keys["root"])
    root.get_by_role("link", name="Overview").click()
    expect(root.get_by_role("heading", name="Overview")).to_be_visible()
    root.goto("/ui/schedules")
    expect(root.get_by_role("row", name="of-bob")).to_contain_text("bob")


def test_a_read_only_key_sees_schedules_without_buttons(keyed: tuple[Service, dict[str, str]], open_page: Open) -> None:
    service, _ = keyed
    page, key = open_page(service), service.store.api_keys.create("bob", Role.READ)
    time.sleep(CACHE_SECONDS)
    sign_in(page, key)
    page.goto("/ui/schedules")
    expect(page.get_by_role("heading", name="Schedules")).to_be_visible()
    expect(page.locator("main").get_by_role("button")).to_have_count(0)
    assert_accessible(page)


@pytest.mark.slow
def test_failures_are_grouped_and_exactly_one_group_is_retried(fresh: Service, open_page: Open) -> None:
    fresh.start()
    task_ids = [fresh.submit("fails_with_a_message", text=f"order {n}") for n in range(3)]
    for each in task_ids:
        fresh.wait_for(each)
    page = open_page(fresh)
    page.goto("/ui/failures?range=hour")
    group = page.get_by_role("article", name="LookupError")
    expect(group).to_contain_text("fails_with_a_message")
    expect(group.get_by_role("img", name="3 failures")).to_be_visible()
    page.get_by_role("searchbox").fill("lookuperror")
    expect(page.get_by_role("article")).to_have_count(1)
    assert_accessible(page)
    fresh.wait_for(fresh.submit("fails_with_a_message", text="order 3"))
    expect(group.get_by_role("img", name="4 failures")).to_be_visible()  # it appears without a reload
    group.get_by_role("link", name="fails_with_a_message", exact=True).click()
    expect(page.locator("#rows tr")).to_have_count(4)
    page.go_back()
    other = fresh.submit("divide", x=1, y=0)
    fresh.wait_for(other)
    group.get_by_role("button", name="Retry 4").click()
    expect(page.locator(".confirm tr")).to_have_count(3)
    expect(page.locator(".confirm")).to_contain_text("Retry 4 tasks that failed with LookupError")
    page.get_by_role("button", name="Retry one first").click()
    expect(page.locator("#outcome")).to_have_text("1 retried")
    tasks = fresh.http.get("/tasks?task=fails_with_a_message&limit=20").json()["tasks"]
    assert len([each for each in tasks if "retry_of" in each]) == 1
    fresh.wait_for(tasks[0]["task_id"])
    expect(group.get_by_role("img", name="5 failures")).to_be_visible()
    expect(group).to_contain_text("1 retried already")
    group.get_by_role("button", name="Retry 4").click()
    expect(page.locator(".confirm")).to_contain_text("1 of the 5 was retried already and is skipped. The rest become")
    page.get_by_role("button", name="Retry 4 tasks").click()
    expect(page.locator("#outcome")).to_have_text("4 retried")
    tasks = fresh.http.get("/tasks?limit=20").json()["tasks"]
    retried = [each["retry_of"] for each in tasks if "retry_of" in each]
    assert set(task_ids) <= set(retried)
    assert other not in retried


def test_tasks_waiting_for_a_retry_are_canceled_by_their_failure_group(service: Service, open_page: Open) -> None:
    task_ids = [service.submit("waits_for_a_partner", partner="acme") for _ in range(2)]
    for each in task_ids:
        service.wait_for(each, "retrying")
    page = open_page(service)
    page.goto("/ui/failures?range=hour")
    group = page.get_by_role("article").filter(has_text="waits_for_a_partner")
    expect(group).to_contain_text("2 will be tried again")
    group.get_by_role("button", name="Cancel 2").click()
    page.locator(".confirm .last").click()
    expect(page.locator("#outcome")).to_have_text("2 canceled")
    assert {service.status(each)["status"] for each in task_ids} == {"canceled"}


@pytest.mark.slow
@pytest.mark.parametrize(("width", "dark"), [(375, False), (768, True), (1440, False)])
def test_a_failed_task_opens_with_exception_message_and_traceback(
    service: Service, open_page: Open, width: int, dark: bool
) -> None:
    task_id = service.submit("fails_with_a_message", text="order 7")
    service.wait_for(task_id)
    page = open_page(service, width=width, dark=dark)
    page.goto(f"/ui/tasks/{task_id}")
    expect(page.locator("#reason-h")).to_have_text("LookupError")
    expect(page.locator("#reason .lead")).to_have_text("no such order: order 7")
    expect(page.locator(".trace .ours")).to_have_count(1)
    expect(page.locator(".trace .ours")).to_contain_text("in fails_with_a_message")
    for path in (f"/ui/tasks/{task_id}", "/ui/failures"):
        page.goto(path)
        page.locator("h1").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert_accessible(page)


@pytest.mark.slow
def test_many_schedules_are_listed_on_several_pages(fresh: Service, open_page: Open) -> None:
    fresh.start_web()
    body = {"task": "divide", "input": {"x": 1, "y": 2}, "every": 3600, "enabled": False}
    for number in range(103):
        assert fresh.http.put(f"/schedules/s{number:03}", json=body).status_code == 201
    page = open_page(fresh)
    page.goto("/ui/schedules")
    expect(page.locator("#list tbody tr")).to_have_count(100)
    page.get_by_role("link", name="Next").click()
    expect(page.locator("#list tbody tr")).to_have_count(3)
    page.get_by_role("button", name="Resume s102").click()
    expect(page.locator("#outcome")).to_have_text("Schedule s102 resumed.")
    expect(page.locator("#s-s102")).to_contain_text("in ")
    expect(page.locator("#list tbody tr")).to_have_count(3)
    expect(page.get_by_role("link", name="First")).to_have_attribute("href", "/ui/schedules")
    page.get_by_role("link", name="Edit s101").click()
    expect(page.get_by_role("heading", name="Edit s101")).to_be_visible()


@pytest.mark.usefixtures("refused_receiver")
def test_the_page_reports_when_it_omits_undelivered_webhooks(service: Service, open_page: Open) -> None:
    later = {f"0-{number}": 2e12 for number in range(600)}
    service.redis.client.zadd(service.keys.webhooks, later)
    page = open_page(service)
    page.goto("/ui/overview")
    note = page.locator("#hooks .section-head p")
    expect(note).to_have_text(re.compile(r"Of 60\d, the 500 that are due first$"))
    service.redis.client.zrem(service.keys.webhooks, *later)
    page.reload()
    expect(note).to_have_text("By receiver; each is tried for up to a day")
