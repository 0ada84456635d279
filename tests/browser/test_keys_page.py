"""Keys: an admin makes one, which is shown once, and revokes one."""

from collections.abc import Callable

import pytest
from harness import Service
from looking import assert_accessible, sign_in
from playwright.sync_api import Page, expect

Open = Callable[..., Page]


def test_an_admin_makes_a_key_that_is_shown_once_and_revokes_it(
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
    page.get_by_role("button", name="Create key").click()
    made = page.get_by_label("The new key").input_value()
    assert service.http.get("/tasks", headers={"Authorization": f"Bearer {made}"}).status_code == 200
    row = page.locator("#list tr", has_text="Returns portal")
    expect(row).to_contain_text("Read only")
    assert_accessible(page)
    row.get_by_role("button", name="Revoke Returns portal").click()
    page.get_by_role("button", name="Revoke it").click()
    expect(page.locator("#said")).to_have_text("Key Returns portal revoked.")
    expect(row).to_have_count(0)


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
