"""Queues and workers, and schedules, in a real browser."""

import re
from collections.abc import Callable

import pytest
from harness import Service
from looking import assert_accessible, photograph, sign_in
from playwright.sync_api import Page, expect

Open = Callable[..., Page]


def test_queues_and_workers_are_shown_as_they_are(service: Service, open_page: Open) -> None:
    for y in (1, 0):
        service.wait_for(service.submit("divide", x=1, y=y))
    held = service.submit("reports", seconds=60)
    service.wait_for(held, "running")
    page = open_page(service)
    page.goto("/ui/queues")
    expect(page.get_by_role("heading", name="default")).to_be_visible()
    expect(page.get_by_role("img", name="Last hour").first).to_be_visible()
    expect(page.get_by_role("row", name="divide")).to_be_visible()
    expect(page.locator("#hands")).to_contain_text("reports of local")
    photograph(page, "queues")
    service.http.post(f"/tasks/{held}/cancel")
    expect(page.locator("#hands")).not_to_contain_text("reports of local")


def test_a_schedule_is_made_run_paused_and_deleted(service: Service, open_page: Open) -> None:
    page = open_page(service)
    page.goto("/ui/schedules")
    page.get_by_label("Name").fill("nightly")
    page.get_by_label("Task", exact=True).select_option("divide")
    page.get_by_role("group", name="Input").get_by_label("x").fill("1")
    page.get_by_role("group", name="Input").get_by_label("y").fill("2")
    page.get_by_label("Or a cron line").fill("30 6 * * MON-FRI")
    page.get_by_role("button", name="Make").click()
    expect(page.get_by_role("heading", name="nightly")).to_be_visible()
    page.get_by_role("button", name="Run nightly now").click()
    expect(page.locator(".schedule dd a")).to_have_count(1)
    page.get_by_role("button", name="Pause nightly").click()
    expect(page.get_by_text("paused", exact=True)).to_be_visible()
    assert service.http.get("/schedules/nightly").json()["enabled"] is False
    page.get_by_role("button", name="Resume nightly").click()
    expect(page.get_by_role("button", name="Pause nightly")).to_be_focused()
    photograph(page, "schedules")
    assert_accessible(page)
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete nightly").click()
    expect(page.get_by_text("There is none yet.")).to_be_visible()


def test_the_form_of_a_schedule_follows_the_schema_of_its_task(service: Service, open_page: Open) -> None:
    page = open_page(service, refused=True)
    page.goto("/ui/schedules")
    page.get_by_label("Name").fill("typed-hourly")
    page.get_by_label("Every so many seconds").fill("3600")
    page.get_by_label("Task", exact=True).select_option("typed")
    given = page.get_by_role("group", name="Input")
    expect(given).to_contain_text("Give back what came in.")
    given.get_by_label("text").fill("true")
    given.get_by_label("number").fill("7")
    given.get_by_label("flag").select_option("true")
    given.get_by_role("button", name="Add").click()
    given.get_by_label("name").fill("a")
    given.get_by_label("price").fill("0")
    page.get_by_role("button", name="Make").click()
    expect(page.locator("#said")).to_contain_text("The input does not fit the schema.")
    expect(given.get_by_label("items")).to_be_focused()
    expect(given.locator(".wrong")).to_have_text("Input should be greater than 0")
    given.get_by_label("price").fill("2")
    page.get_by_role("button", name="Make").click()
    expect(page.locator("#said")).to_have_text("typed-hourly is made.")
    expect(page.get_by_text("typed every 1 h")).to_be_visible()
    made = service.http.get("/schedules/typed-hourly").json()
    assert made["input"] == {"text": "true", "number": 7, "flag": True, "items": [{"name": "a", "price": 2}]}
    assert_accessible(page)
    service.http.delete("/schedules/typed-hourly")


def test_a_schedule_of_a_picture_takes_its_address_and_its_steps(service: Service, open_page: Open) -> None:
    page = open_page(service)
    page.goto("/ui/schedules?task=image_pipeline")
    page.get_by_label("Name").fill("banner")
    page.get_by_label("Or a cron line").fill("0 6 * * *")
    page.get_by_label("In the zone").fill("Europe/Berlin")
    page.get_by_label("image", exact=False).first.fill("https://example.org/a.png")
    page.get_by_label("width").fill("90")
    page.get_by_role("button", name="Make").click()
    expect(page.get_by_role("heading", name="banner")).to_be_visible()
    made = service.http.get("/schedules/banner").json()
    assert made["input"]["image"] == {"url": "https://example.org/a.png"}
    assert made["input"]["operations"] == [{"op": "thumbnail", "width": 90, "height": 128}]
    expect(page.locator(".schedule time")).to_have_text([re.compile(r" 06:00$")] * 5)
    service.http.delete("/schedules/banner")


@pytest.mark.parametrize("width", [360, 800, 1280])
@pytest.mark.parametrize("path", ["/ui/queues", "/ui/schedules"])
def test_axe_finds_nothing_and_nothing_runs_over_the_edge(
    service: Service, open_page: Open, path: str, width: int
) -> None:
    page = open_page(service, width=width, dark=width == 800)
    page.goto(path)
    page.locator("h1").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert_accessible(page)


def test_who_is_no_admin_is_neither_shown_them_nor_led_to_them(
    keyed: tuple[Service, dict[str, str]], open_page: Open
) -> None:
    service, keys = keyed
    page = open_page(service)
    sign_in(page, keys["alice"])
    expect(page.get_by_role("link", name="Queues")).to_have_count(0)
    for path in ("/ui/queues", "/ui/schedules"):
        assert page.request.get(service.url + path).status == 403
    root = open_page(service)
    sign_in(root, keys["root"])
    root.get_by_role("link", name="Queues").click()
    expect(root.get_by_role("heading", name="Queues and workers")).to_be_visible()
