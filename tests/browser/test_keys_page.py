"""Keys: an admin creates one, which is shown once, and revokes one."""

from collections.abc import Callable

import pytest
from harness import Service
from page_helpers import assert_accessible, sign_in
from playwright.sync_api import Page, expect

from server.store.api_keys import Role

Open = Callable[..., Page]


def test_an_admin_creates_a_key_that_is_shown_once_and_revokes_it(
    keyed: tuple[Service, dict[str, str]], open_page: Open
) -> None:
    service, keys = keyed
    page = open_page(service, refused=True)  # the browser reports the 422
    sign_in(page, keys["root"])
    page.goto("/ui/keys")
    page.get_by_label("Note").fill("Returns portal")
    page.get_by_label("Owner").fill("ship ping")
    page.get_by_role("button", name="Create key").click()
    expect(page.get_by_label("Owner")).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Owner").fill("shipping")
    page.get_by_label("Role").select_option("read")
    page.get_by_label("Requests per minute").fill("1200")
    page.get_by_role("button", name="Create key").click()
    key = page.get_by_label("The new key").input_value()
    assert service.http.get("/tasks", headers={"Authorization": f"Bearer {key}"}).status_code == 200
    row = page.locator("#list tr", has_text="Returns portal")
    expect(row).to_contain_text("Read only")
    expect(row).to_contain_text("1,200 a minute")
    answer = service.http.get("/tasks", headers={"Authorization": f"Bearer {key}"})
    assert answer.headers["RateLimit-Policy"].endswith("q=1200;w=60")
    assert_accessible(page)
    row.get_by_role("button", name="Revoke Returns portal").click()
    page.get_by_role("button", name="Revoke it").click()
    expect(page.locator("#outcome")).to_have_text("Key Returns portal revoked.")
    expect(row).to_have_count(0)


@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 768, 1440])
def test_the_page_with_keys_fits_and_is_accessible(
    keyed: tuple[Service, dict[str, str]], open_page: Open, width: int
) -> None:
    service, keys = keyed
    page = open_page(service, dark=width == 768)
    sign_in(page, keys["root"])
    page.set_viewport_size({"width": width, "height": 900})
    page.goto("/ui/keys")
    expect(page.get_by_role("button", name="Create key")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert_accessible(page)


@pytest.mark.slow
def test_the_newest_keys_are_listed_and_the_others_are_found_by_search(fresh: Service, open_page: Open) -> None:
    keys = fresh.store.api_keys
    root = keys.create("root", Role.ADMIN)
    for number in range(205):
        keys.create(f"owner-{number:03}", Role.SUBMIT, note=f"client {number:03}")
    fresh.start_web()
    page = open_page(fresh)
    sign_in(page, root)
    page.goto("/ui/keys")
    expect(page.locator("#list tbody tr")).to_have_count(200)
    expect(page.locator("#sum")).to_contain_text("206 keys, 206 owners")
    expect(page.get_by_text("The newest 200 of 206 keys.")).to_be_visible()
    assert_accessible(page)
    page.keyboard.press("/")
    page.keyboard.type("CLIENT 003")
    page.keyboard.press("Enter")
    expect(page.locator("#list tbody tr")).to_have_count(1)
    expect(page.locator("#list")).to_contain_text("owner-003")
    page.get_by_role("button", name="Revoke client 003").click()
    page.get_by_role("button", name="Revoke it").click()
    expect(page.get_by_text("No matching keys.")).to_be_visible()
