"""Clients that public generators create from the document can submit, poll and read a result."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from harness import ROOT, Service

PYTHON_CLIENT = """
import io, sys, time
from client import Client
from client.api.tasks import submit_divide, submit_thumbnail
from client.api.tickets import get_result, get_status
from client.models import DivideInput, SubmitThumbnailFilesBody
from client.types import File

api = Client(base_url=sys.argv[1])


def end_of(ticket):
    while not (found := get_status.sync(ticket.task_id, client=api)).done:
        time.sleep(0.05)
    return found


ticket = submit_divide.sync(client=api, body=DivideInput(x=7, y=2))
assert end_of(ticket).status.value == "succeeded"
print(get_result.sync(ticket.task_id, client=api).result)

image = File(payload=io.BytesIO(open(sys.argv[2], "rb").read()), file_name="cat.png", mime_type="image/png")
ticket = submit_thumbnail.sync(client=api, body=SubmitThumbnailFilesBody(image=image, width=8))
assert end_of(ticket).status.value == "succeeded"
print(get_result.sync(ticket.task_id, client=api).result.name)
"""

TYPESCRIPT_CLIENT = """
import { readFileSync } from "node:fs";
import createClient from "openapi-fetch";
import type { paths } from "./api";

const api = createClient<paths>({ baseUrl: process.argv[2] });

async function resultOf(task_id: string) {
  for (;;) {
    const { data } = await api.GET("/tasks/{task_id}", { params: { path: { task_id } } });
    if (data?.done) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const { data } = await api.GET("/tasks/{task_id}/result", { params: { path: { task_id } } });
  return JSON.stringify((data as { result: unknown }).result);
}

async function main() {
  const json = await api.POST("/tasks/divide", { body: { x: 7, y: 2 } });
  console.log(await resultOf(json.data!.task_id));
  const form = new FormData();
  form.set("image", new Blob([readFileSync(process.argv[3])], { type: "image/png" }), "cat.png");
  form.set("width", "8");
  const bodySerializer = (body: unknown) => body as FormData;
  const file = await api.POST("/tasks/thumbnail", { body: form as never, bodySerializer });
  console.log(await resultOf(file.data!.task_id));
}

main();
"""


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    from PIL import Image

    Image.new("RGB", (16, 16), "red").save(tmp_path / "cat.png")
    return tmp_path / "cat.png"


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_a_python_client_submits_json_and_a_form_and_reads_the_results(
    service: Service, tmp_path: Path, picture: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"post_hooks": []}))
    generator = str(Path(sys.executable).with_name("openapi-python-client"))
    address = f"{service.url}/openapi.json"
    run(
        tmp_path,
        generator,
        "generate",
        "--url",
        address,
        "--meta",
        "none",
        "--output-path",
        "client",
        "--config",
        "config.json",
    )
    (tmp_path / "use.py").write_text(PYTHON_CLIENT)

    printed = run(tmp_path, sys.executable, "use.py", service.url, str(picture)).splitlines()

    assert printed[0] == "3.5"
    assert printed[1].startswith("thumbnail.")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is needed; CI has it")
def test_a_typescript_client_submits_json_and_a_form_and_reads_the_results(
    service: Service, tmp_path: Path, picture: Path
) -> None:
    shutil.copy(ROOT / "tests" / "typescript" / "package.json", tmp_path)
    run(tmp_path, "npm", "install", "--no-audit", "--no-fund", "--no-package-lock")
    run(tmp_path, "npx", "openapi-typescript", f"{service.url}/openapi.json", "-o", "api.ts")
    (tmp_path / "use.ts").write_text(TYPESCRIPT_CLIENT)
    run(
        tmp_path,
        "npx",
        "tsc",
        "--strict",
        "--target",
        "es2022",
        "--module",
        "nodenext",
        "--skipLibCheck",
        "use.ts",
        "api.ts",
    )

    printed = run(tmp_path, "node", "use.js", service.url, str(picture)).splitlines()

    assert json.loads(printed[0]) == 3.5
    assert json.loads(printed[1])["width"] == 8
