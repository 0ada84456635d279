"""README and docs are correct: every code block runs as a reader would run it, and every link has a target."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from documents import PAGES, RUNNABLE, blocks, outside_blocks, run_as_promised, section, shell
from harness import ROOT, Service, eventually, free_port
from PIL import Image
from reaper import popen

README = "README.md"

#: The sections whose blocks are run, here, in test_docs_polling.py, in test_submit_from_python.py,
#: and in test_extension.py.
RUN = [
    (README, "The first minute"),
    (README, "A tour"),
    (README, "Your own task"),
    (README, "The contract in a page"),
    ("docs/http.md", "Submit"),
    ("docs/http.md", "Retries"),
    ("docs/http.md", "Lists and bulk calls"),
    ("docs/http.md", "Batches"),
    ("docs/polling.md", "Polling"),
    ("docs/polling.md", "Long polling"),
    ("docs/polling.md", "Many tasks in one request"),
    ("docs/polling.md", "Output"),
    ("docs/polling.md", "Events"),
    ("docs/polling.md", "Webhooks"),
    ("docs/schedules.md", "Schedules"),
    ("docs/tasks.md", "Writing tasks"),
    ("docs/images.md", "Image tasks"),
    ("docs/tables.md", "Tables"),
    ("docs/chains.md", "Chains"),
    ("docs/celery.md", "Existing Celery tasks"),
    ("docs/embedding.md", "A Flask extension"),
    ("docs/embedding.md", "Submit from Python"),
    ("docs/operating.md", "Keys"),
]

#: Sections in which each `curl` line ends with a comment that lists parts of its response.
PROMISED = [
    ("docs/http.md", "Submit"),
    ("docs/http.md", "Retries"),
    ("docs/http.md", "Lists and bulk calls"),
    ("docs/http.md", "Batches"),
    ("docs/images.md", "Image tasks"),
    ("docs/tables.md", "Tables"),
    ("docs/chains.md", "Chains"),
]

pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="the documented commands use curl")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A reader's folder with a picture and the README."""
    shades = Image.linear_gradient("L").resize((600, 400))
    Image.merge("RGB", (shades, shades.transpose(Image.Transpose.ROTATE_180), shades)).save(tmp_path / "cat.jpg")
    shutil.copy(ROOT / README, tmp_path)
    return tmp_path


@pytest.mark.parametrize("language", RUNNABLE)
def test_every_block_is_in_a_section_that_is_run(language: str) -> None:
    run = [block for page, title in RUN for block in blocks(page, title, language)]
    written = [
        block for page in PAGES for block in re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)
    ]

    assert written
    assert [block for block in written if block not in run] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", outside_blocks(page.read_text())):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path) if path else page
        assert linked.exists(), f"{page.name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", outside_blocks(linked.read_text()), re.MULTILINE)
            anchors = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert anchor in anchors, f"{page.name}: {target}"


def test_the_readme_is_short() -> None:
    assert len((ROOT / README).read_text().splitlines()) <= 250


def test_the_tour_in_the_readme_works(service: Service, folder: Path) -> None:
    long, failing, pipeline = blocks(README, "A tour")

    running, ended, result = shell(long, folder, service.port)[-3:]
    assert '"status":"running"' in running
    assert '"percent":100' in ended
    assert '"result":{"slept_seconds":2.0,"steps":8}' in result

    assert '"type":"/problems/division-by-zero"' in shell(failing, folder, service.port)[-1]

    picture: Any = httpx.Response(200, text=shell(pipeline, folder, service.port)[-1]).json()["result"]
    assert (picture["name"], picture["width"], picture["height"]) == ("image.webp", 200, 300)


def test_the_three_documented_forms_of_a_body_work(service: Service, folder: Path) -> None:
    (block,) = blocks(README, "The contract in a page")

    lines = shell(block, folder, service.port)

    assert len(lines) == 3
    sums = set()
    for answer in lines:
        result = service.result(httpx.Response(202, text=answer).json()["task_id"])
        assert result["width"] == 64
        sums.add(result["sha256"])
    assert len(sums) == 1


@pytest.mark.parametrize(("page", "title"), PROMISED, ids=[title for _, title in PROMISED])
def test_each_answer_is_as_documented(service: Service, folder: Path, page: str, title: str) -> None:
    for block in blocks(page, title):
        run_as_promised(block, folder, service.port)


def test_the_documented_requests_of_one_line_work(service: Service, folder: Path) -> None:
    lines = re.findall(r"`(curl [^`]+)`", section(README, "In one line each"))
    task = service.http.post("/tasks/divide?webhook=https://receiver.invalid/", json={"x": 1, "y": 8}).json()
    batch = service.http.post("/batches", json={"items": [{"task": "divide", "input": {"x": 1, "y": 8}}]}).json()
    service.result(task["task_id"])
    variables = f"ID={task['task_id']} BATCH={batch['batch_id']}\n"
    try:
        printed = shell(variables + "\n".join(lines), folder, service.port)
    finally:
        service.http.delete("/queues/default/pause")
        service.http.delete(f"/tasks/{task['task_id']}")

    parts = ["task_id", "queues", "task_id", "tasks", "counts", "paused_at", "matching", "succeeded", "items", "url"]
    assert len(printed) == len(lines) == len(parts)
    for line, answer, part in zip(lines, printed, parts, strict=True):
        assert f'"{part}"' in answer and not answer.startswith('{"type":"/problems/'), (line, answer)


def test_the_documented_schedule_works(service: Service, folder: Path) -> None:
    (block,) = blocks("docs/schedules.md", "Schedules")

    put, run, shown = shell(block, folder, service.port)[:3]

    assert '"next":["' in put
    assert '"task":"divide"' in run
    assert '"runs":[{' in shown
    assert service.http.get("/schedules/morning").status_code == 404


@pytest.mark.slow
def test_the_documented_tasks_of_your_own_work(tmp_path: Path, folder: Path) -> None:
    (shout,) = blocks(README, "Your own task", "python")
    word_count, primes, remind, test = blocks("docs/tasks.md", "Writing tasks", "python")
    (command,) = blocks(README, "Your own task")
    (folder / "mytasks.py").write_text(shout)
    (folder / "moretasks.py").write_text(word_count + primes + remind)
    assert len(shout.strip().splitlines()) <= 12, "ten lines, and two empty ones"
    with Service(tmp_path, TASK_MODULES="mytasks,moretasks") as service:
        service.env["PYTHONPATH"] = f"{ROOT}:{folder}"
        service.start()

        (answer,) = shell(command, folder, service.port)

        result = service.result(httpx.Response(202, text=answer).json()["task_id"])
        assert service.http.get(result["href"]).text == (ROOT / README).read_text().upper() * 2
        assert service.http.get("/catalog/shout").json()["summary"] == "Convert a text to upper case."

        counted = service.http.post(
            "/tasks/word_count?wait=20", content=b"a b a", headers={"Content-Type": "text/plain"}
        )
        assert counted.json()["result"] == {"a": 2, "b": 1}

        (read,) = blocks("docs/polling.md", "Output", "python")
        names: dict[str, Any] = {"httpx": httpx, "task_id": service.submit("primes", below=20)}
        exec(read.replace("http://localhost:8000", service.url), names)
        assert names["found"] == [2, 3, 5, 7, 11, 13, 17, 19]

        assert service.result(service.submit("remind", addresses=[], text="Soon.")) == 0

    (folder / "test_mine.py").write_text(test)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"]
    env = {name: value for name, value in service.env.items() if name != "REDIS_URL" and not name.startswith("PYTEST_")}
    env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    subprocess.run(command, cwd=folder, env=env, capture_output=True, timeout=60, check=True)


def test_an_existing_celery_task_is_exposed_by_one_line(service: Service) -> None:
    (code,) = blocks("docs/celery.md", "Existing Celery tasks", "python")
    show = "from server.sdk.registry import definition\nprint(sorted(definition('add').input_schema['properties']))"
    env = service.env | {"PYTHONPATH": f"{ROOT}:{ROOT / 'examples'}"}

    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{show}"], env=env, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.stdout == "['x', 'y']\n", done.stderr


def test_the_documented_key_commands_work(fresh: Service) -> None:
    (block,) = blocks("docs/operating.md", "Keys")
    lines = [shlex.split(line, comments=True) for line in block.splitlines()]

    key, listed, secret = [
        subprocess.run(line, env=fresh.env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
        for line in lines
    ]

    assert listed.split()[1:4] == [f"{key.strip()[:10]}…", "alice", "submit"]
    assert secret.startswith("whsec_")


def test_every_promise_names_tests_that_exist() -> None:
    rows = [line for line in section("docs/promises.md", "Promises").splitlines() if line.startswith("| ")][1:]

    assert len(rows) >= 10
    for row in rows:
        names = re.findall(r"`(test_\w+)`", row)
        assert names, row
        assert [name for name in names if not (ROOT / "tests" / "faults" / f"{name}.py").is_file()] == []


def test_the_architecture_names_files_that_exist_and_at_most_three_for_a_change() -> None:
    changes = [line for line in section("ARCHITECTURE.md", "Where a change belongs").splitlines() if line[:3] == "| a"]

    assert len(changes) >= 5
    for line in [*changes, *section("ARCHITECTURE.md", "Layers").splitlines()]:
        for path in re.findall(r"`(server/[\w/.]+)`", line):
            assert (ROOT / path).exists(), path
    for line in changes:
        assert len(re.findall(r"`[\w/.]+(?:\.py|/)`|\]\(", line)) <= 3, line


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    """The files of a clone, without generated files."""
    copy = tmp_path / "coatcheck"
    left_out = shutil.ignore_patterns(".git", ".venv", "var", "__pycache__", ".*_cache", ".env")
    shutil.copytree(ROOT, copy, ignore=left_out)
    yield copy


@pytest.mark.slow
def test_the_quick_start_works_from_a_fresh_clone(clone: Path, folder: Path) -> None:
    start, submit, follow = blocks(README, "The first minute")
    port = free_port()
    names = ("PATH", "HOME", "LANG", "PIP_INDEX_URL", "PIP_CONFIG_FILE", "PYTHON")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    with (folder / "run.log").open("w") as log:
        run = popen(
            ["bash", "-euc", start],
            cwd=clone,
            env=kept | {"PORT": str(port)},
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
    try:
        output = folder / "run.log"
        eventually(
            lambda: "Coatcheck is ready at" in output.read_text() or run.poll() is not None, seconds=300, every=0.2
        )
        assert run.poll() is None, output.read_text()

        (answer,) = shell(submit, folder, port)
        task_id = httpx.Response(202, text=answer).json()["task_id"]
        status = f"http://127.0.0.1:{port}/tasks/{task_id}"
        eventually(lambda: httpx.get(status).json()["done"])
        shell(follow, folder, port, TASK_ID=task_id)

        with Image.open(folder / "thumb") as thumb:
            assert thumb.size == (128, 85)
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGTERM)
        run.wait(60)
    assert run.returncode in (0, 2, -signal.SIGTERM), output.read_text()
