"""CPU per image: this server's task functions, called as a worker calls them, compared with libvips and Pillow."""

import io
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyvips
from images.pictures import Desk, Sent
from PIL import Image

from benchmarks.speed import proc
from benchmarks.speed.pictures import encoded, jpeg, jpeg_of, png, reference, similarity
from benchmarks.speed.plan import Plan
from benchmarks.speed.progress import say
from benchmarks.speed.ratios import Topic, maximum, minimum, shown
from benchmarks.speed.sides import Ours
from server.tasks.images.tasks import TASKS, image_variants
from server.tasks.images.variants import Variant

#: A camera image with 12 megapixels, and a screenshot with 4.
_LARGE, _SMALL = (4000, 3000), (2304, 1728)


@dataclass(frozen=True)
class Case:
    """One image to make; all three use this server's default `quality`."""

    title: str
    source: bytes
    width: int
    form: str
    goal: float
    quality: int

    def ours(self, form: str) -> bytes:
        """Make it with this server's task."""
        desk = Desk()
        TASKS["thumbnail"](desk, Sent(self.source), width=self.width, height=self.width, format=form)
        return next(iter(desk.files.values()))

    def vips(self, form: str) -> bytes:
        """Make it with libvips, decoded at a reduced size as `vipsthumbnail` does."""
        image = pyvips.Image.thumbnail_buffer(self.source, self.width, height=self.width)
        data: bytes = image.write_to_buffer("." + form, **({} if form == "png" else {"Q": self.quality}))
        return data

    def pillow(self, form: str) -> bytes:
        """Make it with Pillow as in its tutorial."""
        image = Image.open(io.BytesIO(self.source))
        image.thumbnail((self.width, self.width))
        return encoded(image, form, **({} if form == "png" else {"quality": self.quality}))


def _cases() -> list[Case]:
    large, small = jpeg(*_LARGE), png(*_SMALL)
    return [
        Case("12 MP JPEG to 128 (JPEG)", large, 128, "jpeg", 0.9, 82),
        Case("12 MP JPEG to 1024 (JPEG)", large, 1024, "jpeg", 0.9, 82),
        Case("12 MP JPEG to 1024 (WebP)", large, 1024, "webp", 0.9, 80),
        Case("4 MP PNG to 512 (PNG)", small, 512, "png", 1.1, 0),
    ]


def images(plan: Plan) -> list[Topic]:
    """Run all image benchmarks."""
    pyvips.cache_set_max(0)
    cases = _cases()
    topics = [_case(plan, case, f"Images {number + 1}/{len(cases)}") for number, case in enumerate(cases)]
    return [*topics, _variants(plan, cases[0].source), _whole_path(plan)]


def cpu_ms(work: Callable[[], object]) -> float:
    """Milliseconds of CPU time of this process, all threads."""
    began = time.process_time()
    work()
    return (time.process_time() - began) * 1000


_DECODERS = "Pillow's decoder alone", "libvips's decoder alone"


def _decoders(case: Case) -> dict[str, Callable[[], object]]:
    """Decoders of the whole file. JPEGs are decoded at a reduced size, so the comparison is for PNG only."""
    if case.form != "png":
        return {}
    pillow, vips = _DECODERS
    return {
        pillow: lambda: Image.open(io.BytesIO(case.source)).load(),
        vips: lambda: pyvips.Image.new_from_buffer(case.source, "").copy_memory(),
    }


def _reason_of_image(topic: Topic) -> str:
    if _DECODERS[0] not in topic.series:
        return "The rest is decoding by libjpeg, and Pillow's resize filter."
    pillow, vips = (topic.median(name) for name in _DECODERS)
    return (
        f"libvips's decoder alone, which both use, takes {shown(vips)} ms (Pillow's {shown(pillow)}). The rest is the "
        "check of the file, Pillow's resize filter, and the system's zlib, which compresses the result."
    )


def _case(plan: Plan, case: Case, label: str) -> Topic:
    topic = Topic(case.title, "ms of CPU")
    makers = {"this server": case.ours, "libvips": case.vips, "Pillow": case.pillow}
    sizes = {name: len(make(case.form)) for name, make in makers.items()}  # a warm-up: imports, caches
    for number in range(plan.pictures):
        say(label, number + 1, plan.pictures, case.title)
        for name, make in makers.items():
            topic.add(name, cpu_ms(partial(make, case.form)))
        for name, decode in _decoders(case).items():
            topic.add(name, cpu_ms(decode))
    # Compare pixels before the lossy encoder, whose loss depends on its quality setting.
    pixels = {name: Image.open(io.BytesIO(make("png"))) for name, make in makers.items()}
    wanted = reference(case.source, pixels["this server"].size)
    alike = {name: similarity(image, wanted) for name, image in pixels.items() if image.size == wanted.size}
    topic.findings = [
        maximum(case.goal, topic.ratio("this server", "libvips"), "libvips", _reason_of_image(topic)),
        minimum(0.98, alike["this server"], "(similarity to a full decode and Lanczos)", unit="SSIM"),
    ]
    each = ", ".join(f"{name} {sizes[name]:,} bytes, SSIM {alike.get(name, 0):.3f}" for name in sizes)
    topic.notes = [f"{each}. Quality {case.quality} each." if case.quality else f"{each}."]
    return topic


def _variants(plan: Plan, source: bytes) -> Topic:
    topic = Topic("Four sizes of a 12 MP JPEG", "ms of CPU")
    widths = (150, 300, 768, 1024)
    variants = {f"w{width}": Variant(width=width, height=width) for width in widths}

    def thumbnail(width: int) -> None:
        TASKS["thumbnail"](Desk(), Sent(source), width=width, height=width)

    def separately() -> None:
        for width in widths:
            thumbnail(width)

    for number in range(plan.pictures):
        say(topic.title, number + 1, plan.pictures)
        topic.add("image_variants", cpu_ms(lambda: image_variants(Desk(), Sent(source), variants)))
        topic.add("four thumbnails", cpu_ms(separately))
        topic.add("the largest alone", cpu_ms(lambda: thumbnail(max(widths))))
    largest = shown(topic.median("the largest alone"))
    reason = f"The largest alone takes {largest} ms. Only the decoding for the three smaller ones can be saved."
    topic.findings = [
        maximum(0.5, topic.ratio("image_variants", "four thumbnails"), "four separate thumbnails", reason)
    ]
    topic.notes = [f"{', '.join(map(str, widths))} px, the sizes that WordPress makes of an upload."]
    return topic


def _whole_path(plan: Plan) -> Topic:
    """CPU of all processes for an upload and its task, without the CPU of the task's function."""
    topic = Topic("Whole path of a 2 MB image, beyond its pixels", "ms of CPU, all processes")
    source = jpeg_of(2_000_000)
    form = {"files": {"image": ("a.jpg", source, "image/jpeg")}}
    with ExitStack() as stack:
        redis, folder = (stack.enter_context(Ours(MAX_BLOB_BYTES=str(2**34))) for _ in range(2))
        folder.env["BLOB_URL"] = f"file://{folder.folder}/blobs"
        for side in (redis, folder):
            side.start_web()
            side.launch_worker()
            _path(side, 5, "thumbnail", **form)
        for number in range(plan.rounds):
            say(topic.title, number + 1, plan.rounds)
            pixels = _pixels(source, plan.uploads)
            cpu = _path(redis, plan.uploads, "thumbnail", **form)
            cpu["worker"] -= pixels
            topic.add("the task's function", pixels)
            topic.add("beyond", sum(cpu.values()))
            for name, value in cpu.items():
                topic.add(f"of that, {name}", value)
            folders = _path(folder, plan.uploads, "thumbnail", **form)
            topic.add("beyond, files in a folder", sum(folders.values()) - pixels)
            nothing = _path(redis, 5 * plan.uploads, "divide", json={"x": 355, "y": 113})
            topic.add("an empty task", sum(nothing.values()))
    topic.findings = [
        maximum(9, topic.median("beyond"), "with files in Redis", _reason_of_path(topic), "ms"),
        maximum(5, topic.median("beyond, files in a folder"), "with files in a folder", _reason_of_path(topic), "ms"),
    ]
    topic.notes = [f"A JPEG of {len(source):,} bytes to 128 px, as a form, files in Redis, `?wait=`."]
    return topic


def _pixels(source: bytes, count: int) -> float:
    thumbnail = Case("", source, 128, "jpeg", 0, 82)
    thumbnail.ours("jpeg")
    return statistics.median(cpu_ms(partial(thumbnail.ours, "jpeg")) for _ in range(count))


def _path(side: Ours, count: int, task: str, **body: Any) -> dict[str, float]:
    """Milliseconds of CPU per task, from submit to end, by process."""
    before = _cpu(side)
    for _ in range(count):
        answer = side.http.post(f"/tasks/{task}?wait=20", **body)
        if not answer.json()["done"]:
            raise RuntimeError(answer.text)
    return {name: (seconds - before[name]) / count * 1000 for name, seconds in _cpu(side).items()}


def _cpu(side: Ours) -> dict[str, float]:
    worker = proc.cpu_of_group(side.workers[-1].pid)
    return {"web processes": side.web_cpu(), "Redis": side.redis_cpu(), "worker": worker}


def _reason_of_path(topic: Topic) -> str:
    empty, folder = (shown(topic.median(name)) for name in ("an empty task", "beyond, files in a folder"))
    return (
        f"An empty task takes {empty} ms from submit to end. The rest: 2 MB are received, hashed (about 1 ms), sent to "
        "Redis, written to its append-only file, written again when that file is rewritten (a quarter of Redis's "
        "share), and fetched by the worker. Half of the web processes' share is Python: two passes through Flask, and "
        "the loop. "
        f"With files in a folder it is {folder} ms: no bytes of the file pass through Redis, but a file and its two "
        "directories are made and synced."
    )
