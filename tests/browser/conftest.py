"""A real browser (Debian's Chromium) for the pages: skipped at home where there is none, an error in CI."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
from harness import Service
from playwright.sync_api import Browser, Page, expect, sync_playwright

from server.store.api_keys import Role

#: Long: live pages poll every few seconds, and a busy machine is slow.
expect.set_options(timeout=20_000)


def _chromium() -> str:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None and os.environ.get("CI"):
        pytest.fail("no Chromium: apt-get install chromium")
    if path is None:
        pytest.skip("no Chromium (apt-get install chromium)")
    return path


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests, each with contexts of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=_chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Makes pages that fail the test at its end for a message in the console or a request to another host.

    `refused` says that requests are to fail: what the browser itself then says in the console is none of ours.
    """
    wrong: list[str] = []
    contexts = []

    def make(
        service: Service,
        *,
        script: bool = True,
        width: int = 1280,
        dark: bool = False,
        refused: bool = False,
        zone: str = "UTC",
    ) -> Page:
        context = browser.new_context(
            base_url=service.url,
            java_script_enabled=script,
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            timezone_id=zone,
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        expected = re.compile("Failed to load resource|net::ERR_" if refused else "(?!)")

        def hear(text: str) -> None:
            if not expected.search(text):
                wrong.append(f"console: {text}")

        page.on("console", lambda message: hear(message.text))
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        host = urlsplit(service.url).netloc

        def check(address: str) -> None:
            parts = urlsplit(address)
            if parts.scheme not in ("blob", "data") and parts.netloc != host:
                wrong.append(f"request: {address}")

        page.on("request", lambda request: check(request.url))
        return page

    yield make
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture(scope="session")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, dict[str, str]]]:
    """A server with keys of two owners and an admin."""
    with Service(tmp_path_factory.mktemp("keyed"), TASK_MODULES="sample_tasks,client_tasks") as service:
        keys = service.store.api_keys
        roles = {"alice": Role.SUBMIT, "bob": Role.SUBMIT, "root": Role.ADMIN}
        secrets = {owner: keys.create(owner, role) for owner, role in roles.items()}
        service.http.headers["Authorization"] = f"Bearer {secrets['root']}"
        yield service.start(), secrets
