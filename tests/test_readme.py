"""The README does what it says: each block of it is run as a reader would."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness import ROOT, Service, eventually, free_port
from PIL import Image

README = (ROOT / "README.md").read_text()

#: The sections whose commands are run below.
RUN = (
    "The first minute",
    "A tour",
    "The contract in a page",
    "Your own task",
    "Image tasks",
    "Tables, mail and feeds",
    "Schedules",
    "Polling, waiting, listening, being called",
)

pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="the README's commands are curl's")


def section(title: str) -> str:
    """What stands below a heading."""
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def blocks(title: str, language: str = "sh") -> list[str]:
    """The blocks of a section."""
    return re.findall(rf"```{language}\n(.*?)```", section(title), re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a reader is: with a picture, and with the README."""
    shades = Image.linear_gradient("L").resize((600, 400))
    Image.merge("RGB", (shades, shades.transpose(Image.Transpose.ROTATE_180), shades)).save(tmp_path / "cat.jpg")
    shutil.copy(ROOT / "README.md", tmp_path)
    return tmp_path


def shell(block: str, folder: Path, port: int, **variables: str) -> list[str]:
    """Run a block; what it prints, by line."""
    text = block.replace("localhost:8000", f"localhost:{port}")
    for name, value in variables.items():
        text = re.sub(rf"^{name}=…$", f"{name}={value}", text, flags=re.MULTILINE)
    assert "…" not in re.sub(r"#.*", "", text)
    text = text.replace("\\\n", " ")
    text = re.sub(r"^(curl -s .*?)( +#.*)?$", r"\1; echo", text, flags=re.MULTILINE)  # an answer ends no line
    done = subprocess.run(["bash", "-euc", text], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if line]


def test_every_curl_of_the_readme_is_in_a_section_that_is_run() -> None:
    run = "".join("".join(blocks(title)) for title in RUN)

    assert [block for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) if block not in run] == []


def test_the_tour(service: Service, folder: Path) -> None:
    long, failing, pipeline = blocks("A tour")

    running, ended, result = shell(long, folder, service.port)[-3:]
    assert '"status":"running"' in running
    assert '"percent":100' in ended
    assert '"result":{"slept_seconds":2.0,"steps":8}' in result

    assert '"type":"/problems/division-by-zero"' in shell(failing, folder, service.port)[-1]

    made: Any = httpx.Response(200, text=shell(pipeline, folder, service.port)[-1]).json()["result"]
    assert (made["name"], made["width"], made["height"]) == ("image.webp", 200, 300)


def test_the_three_kinds_of_body(service: Service, folder: Path) -> None:
    (block,) = blocks("The contract in a page")

    answers = shell(block, folder, service.port)

    assert len(answers) == 3
    sums = set()
    for answer in answers:
        made = service.result(httpx.Response(202, text=answer).json()["task_id"])
        assert made["width"] == 64
        sums.add(made["sha256"])
    assert len(sums) == 1


def test_each_image_task_gives_what_stands_beside_it(service: Service, folder: Path) -> None:
    (block,) = blocks("Image tasks")

    answers = shell(block, folder, service.port)

    promised = re.findall(r"# (.*)$", block, re.MULTILINE)
    assert len(answers) == len(promised) == 10
    for answer, promise in zip(answers, promised, strict=True):
        assert [part for part in promise.split(",") if part not in answer] == [], answer


def test_a_table(service: Service, folder: Path) -> None:
    (block,) = blocks("Tables, mail and feeds")

    (answer,) = shell(block, folder, service.port)

    assert '"rows":2' in answer
    assert '"report":{"name":"report.html"' in answer


def test_a_schedule(service: Service, folder: Path) -> None:
    (block,) = blocks("Schedules")

    put, run, shown = shell(block, folder, service.port)[:3]

    assert '"next":["' in put
    assert '"task":"divide"' in run
    assert '"runs":[{' in shown
    assert service.http.get("/schedules/morning").status_code == 404


def test_a_task_of_ones_own(tmp_path: Path, folder: Path) -> None:
    (code,) = blocks("Your own task", "python")
    (command,) = blocks("Your own task")
    (folder / "mytasks.py").write_text(code)
    assert len(code.strip().splitlines()) <= 12, "ten lines, and two empty ones"
    with Service(tmp_path, TASK_MODULES="mytasks") as made:
        made.env["PYTHONPATH"] = f"{ROOT}:{folder}"
        made.start()

        (answer,) = shell(command, folder, made.port)

        found = made.result(httpx.Response(202, text=answer).json()["task_id"])
        loud = made.http.get(found["href"]).text
        assert loud == README.upper() * 2
        assert "Make a text loud." in made.http.get("/catalog/shout").text


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    """The tree as it is cloned, without what was built in it; what was started there is stopped."""
    copy = tmp_path / "coatcheck"
    left_out = shutil.ignore_patterns(".git", ".venv", "var", "__pycache__", ".*_cache", ".env")
    shutil.copytree(ROOT, copy, ignore=left_out)
    yield copy


@pytest.mark.slow
def test_the_first_minute_from_a_clone_with_nothing_installed(clone: Path, folder: Path) -> None:
    start, submit, follow = blocks("The first minute")
    port = free_port()
    kept = {
        name: os.environ[name]
        for name in ("PATH", "HOME", "LANG", "PIP_INDEX_URL", "PIP_CONFIG_FILE")
        if name in os.environ
    }
    with (folder / "run.log").open("w") as log:
        run = subprocess.Popen(
            ["bash", "-euc", start],
            cwd=clone,
            env=kept | {"PORT": str(port)},
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        said = folder / "run.log"
        eventually(
            lambda: "Coatcheck is ready at" in said.read_text() or run.poll() is not None, seconds=300, every=0.2
        )
        assert run.poll() is None, said.read_text()

        (answer,) = shell(submit, folder, port)
        task_id = httpx.Response(202, text=answer).json()["task_id"]
        status = f"http://127.0.0.1:{port}/tasks/{task_id}"
        eventually(lambda: httpx.get(status).json()["done"], seconds=30)
        shell(follow, folder, port, TASK_ID=task_id)

        with Image.open(folder / "thumb") as thumb:
            assert thumb.size == (128, 85)
    finally:
        os.killpg(run.pid, signal.SIGTERM)
        run.wait(60)
    assert run.returncode in (0, 2, -signal.SIGTERM), said.read_text()
