"""The docs in a browser: search, samples that run as they are copied, and each task type tried with one's session."""

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import Service
from page_helpers import assert_accessible, mark, picture, sign_in
from playwright.sync_api import Locator, Page, expect

Open = Callable[..., Page]


@pytest.mark.slow
def test_the_docs_are_searched(service: Service, open_page: Open) -> None:
    page = open_page(service)
    page.goto("/docs")
    expect(page.locator("#thumbnail")).to_be_visible()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.get_by_role("searchbox").fill("webhook secret")
    expect(page.locator("#thumbnail")).to_be_hidden()
    expect(page.locator("details.entry:visible").first).to_contain_text("/webhook-secret")
    page.get_by_role("searchbox").fill("no such thing")
    expect(page.get_by_text("No matching entries.")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#thumbnail")).to_be_visible()


@pytest.mark.slow
def test_a_task_type_is_tried_with_the_current_session(keyed: tuple[Service, dict[str, str]], open_page: Open) -> None:
    service, keys = keyed
    page = open_page(service)
    sign_in(page, keys["alice"])
    page.goto("/docs#divide")
    box = page.locator("#divide")
    box.locator("[name=x]").fill("12345678")
    box.locator("[name=y]").fill("1")
    box.get_by_role("button", name="Send").click()
    expect(mark(page)).to_have_text("Done")
    expect(box.locator(".outcome")).to_contain_text("12,345,678")


@pytest.mark.parametrize("language", ["curl", "Python", "JavaScript"])
def test_a_copied_sample_runs_unchanged(
    keyed: tuple[Service, dict[str, str]], open_page: Open, tmp_path: Path, language: str
) -> None:
    service, keys = keyed
    (tmp_path / "cat.jpg").write_bytes(picture(80, 50))
    page = open_page(service)
    sign_in(page, keys["alice"])
    page.goto("/ui/run/thumbnail")
    page.locator("form[data-task-type] [name=width]").fill("33")
    sample = page.locator(".code-side [data-samples]")
    sample.get_by_role("radio", name=language).check()
    answer = _run(language, sample.locator("pre"), tmp_path, keys["alice"])
    assert "queued" in answer or "running" in answer or "succeeded" in answer, answer
    newest = service.http.get("/tasks?owner=alice&limit=1").json()["tasks"][0]
    assert newest["task"] == "thumbnail"
    assert service.http.get(f"/tasks/{newest['task_id']}/input").json()["input"]["width"] == 33


def test_a_route_is_called_as_in_its_sample(keyed: tuple[Service, dict[str, str]], open_page: Open) -> None:
    service, keys = keyed
    page = open_page(service)
    page.goto("/docs#list_tasks")
    entry = page.locator("#list_tasks")
    for language in ("curl", "Python", "JavaScript"):
        entry.get_by_role("radio", name=language).check()
        assert '"tasks"' in _run(language, entry.locator("[data-samples] pre"), Path.cwd(), keys["alice"])


@pytest.mark.slow
def test_a_get_route_is_tried_with_the_current_session(keyed: tuple[Service, dict[str, str]], open_page: Open) -> None:
    service, keys = keyed
    headers = {"Authorization": f"Bearer {keys['alice']}"}
    task_id = service.http.post("/tasks/divide", json={"x": 1, "y": 2}, headers=headers).json()["task_id"]
    page = open_page(service, refused=True)
    sign_in(page, keys["alice"])
    page.goto("/docs#get_status")
    entry = page.locator("#get_status")
    path, answer = entry.get_by_role("textbox", name="Path"), entry.get_by_role("region", name="Answer")
    expect(path).to_have_value("/tasks/<task_id>")
    entry.get_by_role("button", name="Send").click()
    assert path.evaluate("each => each.validationMessage") == "Replace what stands in <angle brackets>."
    path.fill(f"/tasks/{task_id}")
    entry.get_by_role("button", name="Send").click()
    expect(answer).to_contain_text(f'"task_id": "{task_id}"')
    assert_accessible(page)
    path.fill(f"/tasks/{uuid.uuid4()}")
    entry.get_by_role("button", name="Send").click()
    expect(answer).to_contain_text("404")
    expect(answer).to_contain_text("/problems/unknown-task")
    expect(page.locator("#stream_events [data-try], #cancel_task [data-try]")).to_have_count(0)


def _run(language: str, sample: Locator, folder: Path, key: str) -> str:
    text = sample.inner_text()
    assert key not in text
    commands = {
        "curl": ["bash", "-c", text],
        "Python": [sys.executable, "-c", text],
        "JavaScript": ["node", "--input-type=module", "-e", text],
    }
    if shutil.which(commands[language][0]) is None:
        pytest.skip(f"no {commands[language][0]}")
    environment = {"PATH": os.environ["PATH"], "COATCHECK_KEY": key}
    return subprocess.check_output(commands[language], cwd=folder, env=environment, text=True, timeout=60)
