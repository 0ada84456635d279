"""The home page in a real browser: drop a file, watch its task, take the result."""

import json
import re
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from harness import Service
from looking import CSV, assert_accessible, drop, photograph, picture
from PIL import Image
from playwright.sync_api import Page, Request, expect


def test_a_picture_that_is_dropped_becomes_a_thumbnail_to_download(
    service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(service)
    page.goto("/")
    drop(page, "cat.png", "image/png", picture())
    expect(page.get_by_role("heading", name="cat.png")).to_be_focused()
    page.get_by_role("button", name="thumbnail", exact=True).click()
    expect(page.locator("#work pre.command")).to_contain_text("-F image=@cat.png")
    page.get_by_label("width").fill("200")
    expect(page.locator("#work pre.command")).to_contain_text("-F width=200")
    page.get_by_role("button", name="Run").click()
    expect(page.locator(".state")).to_have_text("Done")
    expect(page.locator("figure")).to_have_count(2)
    expect(page.locator("figcaption").first).to_contain_text("640 \u00d7 400")
    expect(page.locator("figcaption").last).to_contain_text("200 \u00d7")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    with Image.open(download.value.path()) as image:
        assert image.width == 200
    assert_accessible(page)


def test_a_table_that_is_dropped_is_described_with_histograms(service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(service)
    page.goto("/")
    drop(page, "towns.csv", "text/csv", CSV.encode())
    page.get_by_role("button", name="csv_stats").click()
    page.get_by_role("button", name="Run").click()
    expect(page.locator(".state")).to_have_text("Done")
    expect(page.get_by_role("row", name="visitors integer")).to_be_visible()
    expect(page.locator("svg.histogram")).to_have_count(2)
    assert_accessible(page)


def test_a_pipelines_steps_are_fields_and_write_its_json(service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(service)
    page.goto("/ui/run/image_pipeline")
    page.get_by_label("Another step").select_option("thumbnail")
    for _ in range(page.get_by_role("button", name="Remove").count()):
        page.get_by_role("button", name="Remove").first.click()
    page.get_by_role("button", name="Add").click()
    page.locator(".steps-editor").get_by_label("width").fill("90")
    page.get_by_label("Another step").select_option("blur")
    page.get_by_role("button", name="Add").click()
    page.get_by_role("button", name="Move up blur").click()
    written = json.loads(page.locator("textarea[name=operations]").input_value())
    assert [step["op"] for step in written] == ["blur", "thumbnail"]
    assert written[1]["width"] == 90
    page.locator("input[name=image]").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": picture()})
    page.get_by_role("button", name="Run").click()
    expect(page.locator(".state")).to_have_text("Done")
    expect(page.locator("figcaption").last).to_contain_text("90 \u00d7")
    assert_accessible(page)


def test_a_map_of_objects_is_fields_too_and_its_json_may_be_written_by_hand(
    service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(service)
    page.goto("/ui/run/image_variants")
    entries = page.locator(".steps-editor li")
    expect(entries.get_by_label("name")).to_have_value("name")
    entries.get_by_label("name").fill("small")
    entries.get_by_label("width").fill("60")
    page.get_by_role("button", name="Add").click()
    expect(entries.last.get_by_label("name")).to_be_focused()
    page.keyboard.type("large")
    entries.last.get_by_label("width").fill("90")
    page.get_by_text("As JSON").click()
    area = page.locator("textarea[name=variants]")
    assert json.loads(area.input_value()) == {"small": {"width": 60}, "large": {"width": 90}}
    area.fill('{"small": {"width": 61}, "large": {"width": 91}}')
    area.blur()
    expect(entries.first.get_by_label("width")).to_have_value("61")
    page.locator("input[name=image]").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": picture()})
    page.get_by_role("button", name="Run").click()
    expect(page.locator("figcaption")).to_contain_text(["Before", "61 \u00d7", "91 \u00d7"])
    assert_accessible(page)


def test_a_long_text_may_have_several_lines(service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(service)
    page.goto("/ui/run/send_email")
    page.get_by_label("text", exact=True).fill("Dear\nAda")
    expect(page.locator("pre.command")).to_contain_text("text=Dear\nAda")


def test_what_is_wrong_with_a_step_is_said_at_the_fields_and_shown(
    service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(service, refused=True)
    page.goto("/ui/run/image_pipeline")
    page.locator("input[name=image]").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": picture()})
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("button", name="Run").click()
    expect(page.locator(".state")).to_have_text("The input does not fit the schema")
    expect(page.locator("textarea[name=operations] + .wrong")).to_be_visible()


def test_a_ticket_leads_to_its_tasks_own_page(service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(service)
    page.goto("/ui/run/divide")
    page.get_by_label("x").fill("1")
    page.get_by_role("button", name="Run").click()
    page.locator(".more").get_by_role("link").click()
    expect(page).to_have_url(re.compile("/ui/tasks/[0-9a-f-]{36}$"))
    expect(page.get_by_role("heading", name="Timeline")).to_be_visible()


def test_progress_is_shown_as_it_comes_and_a_cancel_stops_the_task(
    service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(service)
    page.goto("/ui/run/reports")
    page.get_by_label("seconds").fill("60")
    page.get_by_role("button", name="Run").click()
    expect(page.locator(".state")).to_have_text("Running")
    expect(page.get_by_role("progressbar")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".state")).to_have_text("Canceled")


def test_what_parameters_lack_together_is_said_once(service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(service, refused=True)
    page.goto("/ui/run/watermark")
    page.locator("input[name=image]").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": picture()})
    page.get_by_role("button", name="Run").click()
    expect(page.locator(".state")).to_have_text("The input does not fit the schema")
    expect(page.get_by_text("There is nothing to put on the image")).to_have_count(1)


def test_a_task_is_run_and_its_page_opened_with_the_keyboard_alone(
    service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(service)
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="To the content")).to_be_focused()
    page.keyboard.press("Enter")
    card = page.get_by_role("link", name="divide", exact=True)
    for _ in range(60):
        if card.evaluate("each => each === document.activeElement"):
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_label("y").wait_for()
    page.get_by_label("y").focus()
    page.keyboard.type("8")
    page.keyboard.press("Enter")
    expect(page.locator(".state")).to_have_text("Done")
    page.locator(".more a").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Timeline")).to_be_visible()


def test_an_error_says_in_words_what_to_do(service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(service)
    page.goto("/ui/run/divide")
    page.get_by_label("x").fill("1")
    page.get_by_label("y").fill("0")
    page.get_by_role("button", name="Run").click()
    expect(page.locator(".state")).to_contain_text("The task failed")
    expect(page.get_by_role("link", name="What this means")).to_be_visible()


@pytest.mark.parametrize("path", ["/", "/ui/run/thumbnail", "/ui/run/csv_stats", "/docs"])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_nothing_and_nothing_runs_over_the_edge(
    service: Service, open_page: Callable[..., Page], path: str, width: int
) -> None:
    for dark in (False, True):
        page = open_page(service, width=width, dark=dark)
        page.goto(path)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert_accessible(page)


@pytest.mark.parametrize(
    "path",
    ["/", "/ui/run/thumbnail", "/ui/sign-in", "/ui/tasks", "/ui/queues", "/ui/schedules", "/ui/run/no-such-kind"],
)
def test_every_page_loads_nothing_from_elsewhere_and_nothing_inline(service: Service, path: str) -> None:
    answer = service.http.get(path)
    policy = answer.headers["Content-Security-Policy"]
    assert re.match(r"default-src 'none'; script-src 'self'; style-src ('sha256-[\w+/=]+' ?)+; ", policy)
    assert "unsafe" not in policy
    assert not re.search(r"<script(?! type=\"module\" src=\"/)| style=| on[a-z]+=\"|https?://(?!127)", answer.text)


def test_without_javascript_the_cards_lead_to_forms(service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(service, script=False)
    page.goto("/")
    page.get_by_role("link", name="divide", exact=True).click()
    page.get_by_label("x").fill("1")
    expect(page.get_by_role("button", name="Run")).to_be_visible()


def test_the_home_page_is_under_60_kilobytes_in_all(service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(service)
    sizes: dict[str, int] = {}

    def weigh(request: Request) -> None:
        found = request.sizes()
        sizes[urlsplit(request.url).path] = found["responseHeadersSize"] + found["responseBodySize"]

    page.on("requestfinished", weigh)
    page.goto("/")
    page.wait_for_load_state("networkidle")
    assert sum(sizes.values()) < 60_000, sizes
    # What the first paint needs is the page alone, and fits into what a server sends before it hears back.
    assert sizes["/"] < 14_000


def test_the_home_page_is_painted_from_its_first_answer_alone(service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(service)
    page.route("**/static/**", lambda route: None)  # nothing else ever comes
    page.goto("/", wait_until="commit")
    painted = page.evaluate(
        "() => new Promise((resolve) => new PerformanceObserver((list) => resolve(list.getEntries()[0].name))"
        ".observe({ type: 'paint', buffered: true }))"
    )
    assert painted == "first-paint"
    assert page.locator("h1").evaluate("each => getComputedStyle(each).fontWeight") == "650"
    page.unroute_all(behavior="ignoreErrors")


def test_the_pages_are_photographed(service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(service, width=1200)
    page.goto("/")
    photograph(page, "home")
    drop(page, "landscape.png", "image/png", picture())
    page.get_by_role("button", name="crop", exact=True).click()
    page.get_by_role("button", name="Run").click()
    expect(page.locator("figure")).to_have_count(2)
    photograph(page.locator(".ticket"), "result")
