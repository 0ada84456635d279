"""The pages below a prefix: the requests of their scripts are below it, too."""

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from harness import Service
from page_helpers import drop, mark, parameter, picture
from playwright.sync_api import Page, expect
from test_home import run


@pytest.mark.slow
def test_pages_below_a_prefix_request_nothing_outside_it(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    with Service(tmp_path, TASK_MODULES="sample_tasks") as service:
        service.env["PUBLIC_URL"] = f"{service.url}/jobs"
        service.start()
        page = open_page(service)
        paths: list[str] = []
        page.on("request", lambda request: request.url.startswith("http") and paths.append(urlsplit(request.url).path))

        page.goto("/jobs/")
        drop(page, "cat.png", "image/png", picture())
        page.get_by_role("button", name="Square").click()
        expect(mark(page)).to_have_text("Done")
        with page.expect_download():
            page.get_by_role("link", name="Download").click()
        page.goto("/jobs/ui/run/divide")
        parameter(page, "x").fill("1")
        parameter(page, "y").fill("0")
        run(page)
        expect(mark(page)).to_have_text("Failed")
        page.get_by_role("link", name="What this means").click()
        expect(page).to_have_url(re.compile("/jobs/problems/division-by-zero$"))
        for path in ("docs", "ui/overview", "ui/schedules", "ui/failures", "ui/keys"):
            page.goto(f"/jobs/{path}")
        page.keyboard.press("g")
        page.keyboard.press("t")
        expect(page).to_have_url(re.compile("/jobs/ui/tasks$"))
        page.locator("#rows a").first.click()
        page.get_by_role("button", name="Retry").first.click()
        page.wait_for_timeout(500)

        assert len(paths) > 50
        assert [path for path in paths if not path.startswith("/jobs/")] == []
