"""The files of platforms and containers run the Procfile's commands, with settings that exist."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness import PROCFILE, ROOT, Process, Service, eventually, free_port

from server.settings import Settings

WEB, WORKER = (shlex.split(PROCFILE[name]) for name in ("web", "worker"))

#: A value that a platform generates.
GENERATED = "x" * 20  # the shortest that is accepted


def read(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text())  # JSON is YAML


def heroku() -> dict[str, str]:
    return {name: each.get("value", GENERATED) for name, each in read("app.json")["env"].items()}


def render() -> dict[str, str]:
    file = read("render.yaml")
    variables = [each for part in (*file["services"], *file["envVarGroups"]) for each in part.get("envVars", ())]
    return {each["key"]: "redis://r" if "fromService" in each else GENERATED for each in variables if "key" in each}


def compose() -> dict[str, str]:
    environment = read("compose.yaml")["x-server"]["environment"]
    return {name: re.sub(r"\$\{.*\}", GENERATED, value) for name, value in environment.items()}


@pytest.mark.parametrize("platform", [heroku, render, compose])
def test_a_platform_sets_existing_settings_and_generates_the_first_key(platform: Any) -> None:
    settings = {name.lower(): value for name, value in platform().items()}

    assert set(settings) <= set(Settings.model_fields)
    assert {"admin_key", "secret_key"} <= set(settings)
    Settings(**{"redis_url": "redis://r", **settings})


def test_the_processes_are_those_of_the_procfile() -> None:
    services = {each["type"]: each for each in read("render.yaml")["services"]}
    containers = read("compose.yaml")["services"]
    last = (ROOT / "Dockerfile").read_text().strip().splitlines()[-1]

    assert json.loads(last.removeprefix("CMD ")) == WEB
    assert shlex.split(services["web"]["startCommand"]) == WEB
    assert shlex.split(services["worker"]["startCommand"]) == shlex.split(containers["worker"]["command"]) == WORKER
    assert set(read("app.json")["formation"]) == set(PROCFILE) == {"web", "worker"} <= set(containers)


def test_the_image_has_the_python_of_the_other_platforms_and_is_not_root() -> None:
    text = (ROOT / "Dockerfile").read_text()
    version = (ROOT / ".python-version").read_text().strip()

    assert set(re.findall(r"^FROM python:(\S+)-slim", text, re.M)) == {version}
    assert re.findall(r"^USER (.*)$", text, re.M) == ["coatcheck"]
    copied = {name for line in re.findall(r"^COPY (?!--)(.*) \S+$", text, re.M) for name in line.split()}
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == kept
    assert all((ROOT / name).exists() for name in copied)


def test_the_files_of_the_image_suffice_and_its_health_check_works(service: Service, tmp_path: Path) -> None:
    text = (ROOT / "Dockerfile").read_text()
    copied = {name for line in re.findall(r"^COPY (?!--)(.*) \S+$", text, re.M) for name in line.split()}
    for name in copied:
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, tmp_path / name)
    match = re.search(r'CMD (\["python".*\])', text)
    assert match
    check = [sys.executable, *json.loads(match[1])[1:]]
    env = service.env | {"PYTHONPATH": "", "TASK_MODULES": "", "PORT": str(free_port())}

    def is_up() -> bool:
        return subprocess.run(check, env=env, capture_output=True, check=False).returncode == 0

    assert not is_up()
    process = Process(WEB, tmp_path / "web.log", env, cwd=tmp_path)
    try:
        eventually(is_up, every=0.5)
    finally:
        process.kill()


def test_the_page_of_platforms_has_the_procfiles_commands_and_existing_settings() -> None:
    page = (ROOT / "docs" / "platforms.md").read_text()
    commands = re.findall(r"celery --quiet -A wsgi worker[^\"\n]*", page)
    set_by_platforms = {"PORT"} | {name.upper() for name in Settings.model_fields}

    assert {tuple(shlex.split(command)) for command in commands} == {tuple(WORKER)}
    assert set(re.findall(r"\b([A-Z]+(?:_[A-Z]+)+)=", page)) <= set_by_platforms
