"""Steps that the tests of pages take in a browser, and the files that they upload."""

import base64
import io

from axe_playwright_python.sync_playwright import Axe
from PIL import Image, ImageDraw
from playwright.sync_api import Locator, Page, expect

CSV = "city,visitors,area\n" + "".join(f"Town {n},{n * n % 97},{n / 7:.3f}\n" for n in range(1, 200))


def picture(width: int = 640, height: int = 400) -> bytes:
    """A PNG."""
    image = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    draw = ImageDraw.Draw(image)
    draw.ellipse((width // 4, height // 5, width // 2, height // 2), fill="#8a2b5e")
    draw.polygon([(0, height), (width // 2, height // 2), (width, height)], fill="#3d5a4c")
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def drop(page: Page, name: str, media_type: str, content: bytes) -> None:
    """Drop a file onto the page, as a mouse does it."""
    script = """([name, type, text]) => {
        const bytes = Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
        const data = new DataTransfer();
        data.items.add(new File([bytes], name, { type }));
        for (const kind of ["dragover", "drop"]) {
            document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
        }
    }"""
    page.evaluate(script, [name, media_type, base64.b64encode(content).decode()])


def paste(page: Page, name: str, media_type: str, content: bytes) -> None:
    """Paste a file, as from a clipboard with a picture in it."""
    script = """([name, type, text]) => {
        const bytes = Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
        const data = new DataTransfer();
        data.items.add(new File([bytes], name, { type }));
        const options = { clipboardData: data, bubbles: true, cancelable: true };
        document.body.dispatchEvent(new ClipboardEvent("paste", options));
    }"""
    page.evaluate(script, [name, media_type, base64.b64encode(content).decode()])


def mark(page: Page) -> Locator:
    """The displayed status of the first task that a form started."""
    return page.locator(".outcome .ticket .st.big")


def parameter(page: Page | Locator, name: str) -> Locator:
    """A field of a task's form."""
    return page.locator(f"form[data-task-type] [name='{name}'], #schedule-input [name='{name}']")


def assert_accessible(page: Page) -> None:
    """Check that axe finds nothing in light and in dark mode."""
    is_dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    for dark, axe in ((not is_dark, Axe()), (is_dark, Axe("0"))):  # the second one finds its script in the page
        page.emulate_media(color_scheme="dark" if dark else "light", reduced_motion="reduce")
        report = axe.run(page)
        assert report.violations_count == 0, f"dark: {dark}\n{report.generate_report()}"


def sign_in(page: Page, key: str) -> None:
    """Sign in with the key, by the form."""
    page.goto("/ui/sign-in")
    give_key(page, key)
    page.get_by_role("button", name="Sign out").wait_for()


def give_key(page: Page, key: str) -> None:
    """Fill the field that has the focus; Chromium complains in the console when a test is faster than the focus."""
    field = page.get_by_label("API key")
    expect(field).to_be_focused()
    field.fill(key)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
