"""Takes the pictures of README and docs from a running demo: `python -m examples.demo.pictures http://127.0.0.1:8000`.

Each page in both modes, and a short film of a photo that is dropped and made smaller. Needs Debian's Chromium and the
development requirements.
"""

import io
import shutil
import sys
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

_FOLDER = Path(__file__).parents[1] / "screenshots"
_PHOTO = Path(__file__).with_name("espresso.jpg")
_WIDTH, _HEIGHT = 1280, 800

_DROP = """([name, text]) => {
    const bytes = Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], name, { type: "image/jpeg" }));
    for (const kind of ["dragover", "drop"]) {
        document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
    }
}"""


def main(url: str) -> None:
    """Take all pictures."""
    _FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for mode in ("light", "dark"):
            page = _open(chromium, url, mode)
            for name, show in _SHOWN.items():
                show(page)
                page.wait_for_timeout(700)
                _save(page, f"{name}-{mode}.png")
        _film(_open(chromium, url, "light"))


def _open(chromium: Browser, url: str, mode: str) -> Page:
    context = chromium.new_context(
        base_url=url,
        viewport={"width": _WIDTH, "height": _HEIGHT},
        color_scheme="dark" if mode == "dark" else "light",
        reduced_motion="reduce",
        timezone_id="Europe/Berlin",
        locale="en-GB",
    )
    return context.new_page()


def _save(page: Page, name: str) -> None:
    """Save a picture with few colors, as these pages have."""
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    image.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(_FOLDER / name, optimize=True)


def _drop(page: Page) -> None:
    page.goto("/")
    page.evaluate(_DROP, ["espresso-cup.jpg", b64encode(_PHOTO.read_bytes()).decode()])
    page.wait_for_timeout(300)


def _result(page: Page) -> None:
    _drop(page)
    page.get_by_role("button", name="Square").click()
    page.locator(".pct").wait_for()


def _task(page: Page) -> None:
    page.goto("/ui/tasks?status=failed&task=charge_invoice&tag=black-friday")
    page.locator("#rows a").first.click()
    page.locator("#fall").wait_for()


def _tasks(page: Page) -> None:
    page.goto("/ui/tasks")
    page.locator("#rows tr").first.wait_for()


def _to(path: str) -> Callable[[Page], None]:
    def show(page: Page) -> None:
        page.goto(path)
        page.locator("h1").wait_for()

    return show


_SHOWN: dict[str, Callable[[Page], None]] = {
    "home": _to("/"),
    "result": _result,
    "tasks": _tasks,
    "task": _task,
    "failures": _to("/ui/failures"),
    "overview": _to("/ui/overview"),
    "schedules": _to("/ui/schedules"),
}


def _film(page: Page) -> None:
    """Film a photo that is dropped, made smaller, and compared. Return the frames with their milliseconds."""
    frames: list[tuple[Image.Image, int]] = []

    def capture(milliseconds: int) -> None:
        image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        frames.append((image.resize((_WIDTH * 5 // 8, _HEIGHT * 5 // 8), Image.Resampling.LANCZOS), milliseconds))

    page.goto("/")
    page.wait_for_timeout(500)
    capture(1200)
    page.evaluate("document.getElementById('drop').classList.add('over')")
    capture(500)
    _drop(page)
    capture(1200)
    page.get_by_role("button", name="Square").click()
    page.locator("article.ticket").wait_for()
    capture(400)
    page.locator(".compare").wait_for()
    page.wait_for_timeout(300)
    capture(1200)
    for cut in (*range(50, 80, 5), *range(80, 20, -5), *range(20, 51, 5)):
        page.locator(".compare input").fill(str(cut))
        capture(90)
    capture(1500)
    first, *others = (image for image, _ in frames)
    durations = [milliseconds for _, milliseconds in frames]
    first.save(
        _FOLDER / "drop.webp", save_all=True, append_images=others, duration=durations, loop=0, quality=72, method=6
    )


if __name__ == "__main__":
    main(sys.argv[1])
