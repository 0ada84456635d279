"""The home page in a real browser: drop a file, watch its task, download the result."""

import io
import json
import re
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from harness import Service
from page_helpers import CSV, assert_accessible, drop, mark, parameter, paste, picture
from PIL import Image
from pillow_heif import register_heif_opener
from playwright.sync_api import Page, Request, expect


def choose(page: Page, *names: str, field: str = "image") -> None:
    """Choose pictures in a task's form."""
    files = [{"name": name, "mimeType": "image/png", "buffer": picture()} for name in names]
    page.locator(f"input[name={field}]").set_input_files(files)  # type: ignore[arg-type]


def run(page: Page) -> None:
    page.locator("form[data-task-type] button.primary").click()


def test_a_dropped_picture_is_shrunk_by_one_click_and_compared(
    service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(service)
    page.goto("/")
    drop(page, "cat.png", "image/png", picture())
    expect(page.get_by_role("heading", name="cat.png")).to_be_focused()
    page.get_by_role("button", name="Square").click()
    expect(mark(page)).to_have_text("Done")
    expect(page.locator("article.ticket")).to_be_focused()
    expect(page.locator(".pct")).to_have_text(re.compile("% smaller|% larger"))
    expect(page.locator(".saved .from")).to_contain_text("640 \u00d7 400 \u2192 400 \u00d7 400 px, PNG")
    slider = page.get_by_role("slider", name="Before and after")
    slider.focus()
    page.keyboard.press("ArrowRight")
    cut = page.locator(".compare").evaluate("each => each.style.getPropertyValue('--cut')")
    assert cut == "51%"
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    with Image.open(download.value.path()) as image:
        assert image.size == (400, 400)
    assert_accessible(page)


def test_a_dropped_picture_is_passed_to_the_form_of_a_task_type(
    service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(service)
    page.goto("/")
    drop(page, "cat.png", "image/png", picture())
    page.get_by_role("button", name="thumbnail", exact=True).click()
    expect(page.locator("#work pre.command")).to_contain_text("-F image=@cat.png")
    parameter(page, "width").fill("200")
    expect(page.locator("#work pre.command")).to_contain_text("-F width=200")
    page.get_by_role("radio", name="Python").check()
    expect(page.locator("#work pre.command")).to_contain_text('data={"width": "200"}')
    page.get_by_role("radio", name="JavaScript").check()
    expect(page.locator("#work pre.command")).to_contain_text('form.append("width", "200")')
    run(page)
    expect(mark(page)).to_have_text("Done")
    expect(page.locator(".saved .from")).to_contain_text("200 \u00d7")


def test_a_pasted_picture_gets_the_presets(service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(service)
    page.goto("/")
    paste(page, "image.png", "image/png", picture())
    expect(page.get_by_role("heading", name="image.png")).to_be_focused()
    page.get_by_role("button", name="Smaller").click()
    expect(mark(page)).to_have_text("Done")


def test_a_picture_pasted_or_dropped_on_a_form_becomes_its_file(
    service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(service)
    page.goto("/ui/run/flip")
    paste(page, "first.png", "image/png", picture())
    expect(page.locator("pre.command")).to_contain_text("image=@first.png")
    drop(page, "second.png", "image/png", picture())
    expect(page.locator("pre.command")).to_contain_text("image=@second.png")


def test_a_photo_is_taken_and_its_heic_is_shrunk(service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(service)
    page.goto("/")
    camera = page.locator("#camera")
    assert camera.get_attribute("capture") == "environment"
    file = io.BytesIO()
    register_heif_opener()
    Image.open(io.BytesIO(picture())).save(file, "HEIF")
    camera.set_input_files({"name": "IMG_0001.HEIC", "mimeType": "image/heic", "buffer": file.getvalue()})
    page.get_by_role("button", name="Square").click()
    expect(mark(page)).to_have_text("Done")
    expect(page.locator(".outcome img").last).to_be_visible()


def test_each_of_several_files_becomes_a_task(service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(service)
    page.goto("/ui/run/thumbnail")
    choose(page, "one.png", "two.png", "three.png")
    expect(page.get_by_text("One task per file.")).to_be_visible()
    page.get_by_role("button", name="Remove two.png").click()
    run(page)
    expect(mark(page)).to_have_text("Done")
    others = page.get_by_role("list", name="Other files").get_by_role("listitem")
    expect(others).to_have_count(1)
    expect(others).to_contain_text(re.compile("three.png .* kB \u2192 .* kB"))
    expect(others.get_by_role("link", name="Download thumbnail.png")).to_be_visible()
    page.get_by_role("link", name="All 2 in the list of tasks").click()
    expect(page.locator("#rows tr")).to_have_count(2)


def test_a_required_choice_is_sent_with_its_default(service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(service)
    page.goto("/ui/run/returns")
    page.get_by_role("radio", name="Python").check()  # the script has made the sample
    expect(page.locator(".code-side pre").first).to_contain_text('"form": "fits"')
    run(page)
    expect(mark(page)).to_have_text("Done")


def test_a_dropped_table_is_described_with_histograms(service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(service)
    page.goto("/")
    drop(page, "towns.csv", "text/csv", CSV.encode())
    page.get_by_role("button", name="csv_stats").click()
    run(page)
    expect(mark(page)).to_have_text("Done")
    expect(page.get_by_role("row", name="visitors integer")).to_be_visible()
    expect(page.locator("svg.histogram")).to_have_count(2)
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV", exact=True).click()
    assert download.value.path().read_text().splitlines()[2].startswith("visitors,")
    assert_accessible(page)


def test_numbers_of_a_result_are_shown_in_full(service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(service)
    page.goto("/ui/run/divide")
    parameter(page, "x").fill("12345678")
    parameter(page, "y").fill("1")
    run(page)
    expect(page.locator(".value")).to_have_text("12,345,678")


def test_a_pipelines_steps_are_fields_and_write_its_json(service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(service)
    page.goto("/ui/run/image_pipeline")
    page.get_by_label("Another step").select_option("thumbnail")
    for _ in range(page.get_by_role("button", name="Remove").count()):
        page.get_by_role("button", name="Remove").first.click()
    page.get_by_role("button", name="Add", exact=True).click()
    page.locator(".steps-editor").get_by_label("width").fill("90")
    page.get_by_label("Another step").select_option("blur")
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_role("button", name="Move up blur").click()
    written = json.loads(page.locator("textarea[name=operations]").input_value())
    assert [step["op"] for step in written] == ["blur", "thumbnail"]
    assert written[1]["width"] == 90
    choose(page, "a.png")
    run(page)
    expect(mark(page)).to_have_text("Done")
    expect(page.locator(".saved .from")).to_contain_text("90 \u00d7")
    assert_accessible(page)


def test_a_map_of_objects_has_fields_and_editable_json(service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(service)
    page.goto("/ui/run/image_variants")
    entries = page.locator(".steps-editor li")
    expect(entries.get_by_label("name")).to_have_value("name")
    entries.get_by_label("name").fill("small")
    entries.get_by_label("width").fill("60")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(entries.last.get_by_label("name")).to_be_focused()
    page.keyboard.type("large")
    entries.last.get_by_label("width").fill("90")
    page.get_by_text("As JSON").click()
    area = page.locator("textarea[name=variants]")
    assert json.loads(area.input_value()) == {"small": {"width": 60}, "large": {"width": 90}}
    area.fill('{"small": {"width": 61}, "large": {"width": 91}}')
    area.blur()
    expect(entries.first.get_by_label("width")).to_have_value("61")
    choose(page, "a.png")
    run(page)
    expect(page.locator("figcaption")).to_contain_text(["61 \u00d7", "91 \u00d7"])
    assert_accessible(page)


def test_a_long_text_may_have_several_lines(service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(service)
    page.goto("/ui/run/send_email")
    parameter(page, "text").fill("Dear\nAda")
    expect(page.locator("pre.command")).to_contain_text("text=Dear\nAda")


def test_an_error_in_a_step_is_shown_at_its_field(service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(service, refused=True)
    page.goto("/ui/run/image_pipeline")
    choose(page, "a.png")
    page.locator(".steps-list li").get_by_role("button", name="Remove").click()
    run(page)
    expect(mark(page)).to_have_text("Not submitted")
    expect(page.locator(".outcome .notice")).to_contain_text("The input does not fit the schema")
    expect(page.locator("textarea[name=operations] + .wrong")).to_be_visible()


def test_a_submitted_task_links_to_its_page(service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(service)
    page.goto("/ui/run/divide")
    parameter(page, "x").fill("1")
    run(page)
    page.get_by_role("link", name="Ticket").click()
    expect(page).to_have_url(re.compile("/ui/tasks/[0-9a-f-]{36}$"))
    expect(page.get_by_role("heading", name="Attempts")).to_be_visible()


def test_progress_is_shown_live_and_cancel_stops_the_task(service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(service)
    page.goto("/ui/run/reports")
    parameter(page, "seconds").fill("60")
    run(page)
    expect(mark(page)).to_have_text("Running")
    expect(page.locator(".outcome .meter.job")).to_have_attribute("aria-label", re.compile("percent done"))
    expect(page.locator(".outcome .body > p")).to_contain_text("%")
    page.get_by_role("button", name="Cancel").click()
    expect(mark(page)).to_have_text("Canceled")


def test_an_error_of_several_parameters_together_is_shown_once(
    service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(service, refused=True)
    page.goto("/ui/run/watermark")
    choose(page, "a.png")
    run(page)
    expect(mark(page)).to_have_text("Not submitted")
    expect(page.locator(".outcome .notice p")).to_have_count(2)


def test_a_task_is_run_and_its_page_opened_using_only_the_keyboard(
    service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(service)
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("divide")
    page.keyboard.press("Tab")
    expect(page.locator(".groups").get_by_role("link", name="divide")).to_be_focused()
    page.keyboard.press("Enter")
    parameter(page, "y").focus()
    page.keyboard.type("8")
    page.keyboard.press("Control+Enter")
    expect(mark(page)).to_have_text("Done")
    page.get_by_role("link", name="Ticket").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Attempts")).to_be_visible()


def test_single_keys_can_be_switched_off(service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(service)
    page.goto("/ui/tasks")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    page.get_by_label("Switch single keys off").check()
    page.keyboard.press("Escape")
    page.locator("h1").click()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).not_to_be_focused()


def test_a_failed_task_explains_what_to_do(service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(service)
    page.goto("/ui/run/divide")
    parameter(page, "x").fill("1")
    parameter(page, "y").fill("0")
    run(page)
    expect(mark(page)).to_have_text("Failed")
    expect(page.get_by_role("link", name="What this means")).to_be_visible()


def test_favorites_are_kept_in_the_browser(service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(service)
    page.goto("/ui/run/divide")
    page.get_by_role("button", name="Add to favorites").click()
    page.goto("/")
    page.locator("#favorites").get_by_role("link", name="divide").click()
    expect(page.get_by_role("button", name="Favorite")).to_have_attribute("aria-pressed", "true")


def test_the_theme_is_kept_in_the_browser(service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(service, width=1440)
    page.goto("/")
    before = page.evaluate("getComputedStyle(document.body).color")
    page.get_by_role("radio", name="Dark").check()
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).color") != before
    assert_accessible(page)


@pytest.mark.parametrize(
    "path", ["/", "/ui/run/thumbnail", "/ui/run/csv_stats", pytest.param("/docs", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("width", [320, pytest.param(768, marks=pytest.mark.slow), 1440])
def test_pages_are_accessible_and_do_not_overflow(
    service: Service, open_page: Callable[..., Page], path: str, width: int
) -> None:
    page = open_page(service, width=width, dark=width == 768)
    page.goto(path)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert_accessible(page)


@pytest.mark.parametrize(
    "path",
    ["/", "/ui/run/thumbnail", "/ui/sign-in", "/ui/tasks", "/ui/overview", "/ui/schedules", "/ui/run/no-such-kind"],
)
def test_pages_load_nothing_from_other_hosts_and_nothing_inline(service: Service, path: str) -> None:
    answer = service.http.get(path)
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
    assert "unsafe" not in policy
    inline = r"<script(?! (type=\"module\" )?src=\"/)|<style| style=| on[a-z]+=\"|https?://(?!127|\u2026)"
    assert not re.search(inline, answer.text)


def test_without_javascript_a_run_ends_on_its_tasks_page(service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(service, script=False)
    page.goto("/")
    page.locator(".groups").get_by_role("link", name="divide").click()
    parameter(page, "x").fill("1")
    page.get_by_role("button", name="Run").click()
    expect(page).to_have_url(re.compile("/ui/tasks/[0-9a-f-]{36}$"))
    expect(page.get_by_role("heading", name="divide")).to_be_visible()
    page.goto("/docs")
    box = page.locator("#divide")
    box.locator("summary").first.click()
    parameter(box, "x").fill("1")
    box.get_by_role("button", name="Send").click()
    expect(page).to_have_url(re.compile("/ui/tasks/[0-9a-f-]{36}$"))


def test_without_javascript_an_input_error_is_explained_on_the_form(
    service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(service, script=False, refused=True)
    page.goto("/ui/run/csv_stats")
    file = {"name": "a.csv", "mimeType": "text/csv", "buffer": CSV.encode()}
    page.locator("input[name=file]").set_input_files(file)  # type: ignore[arg-type]
    parameter(page, "types").fill("[1]")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("alert")).to_contain_text("The input does not fit the schema")
    expect(parameter(page, "types")).to_have_value("[1]")  # what was typed is not lost


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/ui/run/image_pipeline",
        "/ui/tasks",
        "/ui/failures",
        "/ui/overview",
        "/ui/schedules",
        "/ui/keys",
        "/ui/audit",
        "/docs",
    ],
)
def test_no_page_loads_more_than_80_kilobytes(service: Service, open_page: Callable[..., Page], path: str) -> None:
    page = open_page(service)
    sizes: dict[str, int] = {}

    def weigh(request: Request) -> None:
        request_sizes = request.sizes()
        sizes[urlsplit(request.url).path] = request_sizes["responseHeadersSize"] + request_sizes["responseBodySize"]

    page.on("requestfinished", weigh)
    page.goto(path)
    page.wait_for_timeout(1000)
    assert sum(sizes.values()) < 80_000, sizes
