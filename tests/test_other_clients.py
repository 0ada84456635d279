"""Existing clients for long-running operations, unchanged: the pollers of azure-core and @azure/core-lro.

Source: azure-core's `azure/core/polling/base_polling.py` (1.41.0). It reads `Operation-Location`, `Location`,
`Retry-After` and `status`, whose final values are `succeeded`, `failed` and `canceled`.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.core import PipelineClient
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.policies import RequestIdPolicy
from azure.core.polling import LROPoller
from azure.core.polling.base_polling import LocationPolling, LROBasePolling
from azure.core.rest import HttpRequest
from harness import ROOT, Service

#: Seconds that the poller waits without `Retry-After`; long enough for a test to notice.
FAR_TOO_LONG = 600


@pytest.fixture
def client(service: Service) -> Iterator[PipelineClient[Any, Any]]:
    """Create a client as azure-core's generator does."""
    with PipelineClient(base_url=service.url, policies=[RequestIdPolicy()]) as pipeline_client:
        yield pipeline_client


def begin(client: PipelineClient[Any, Any], task: str, query: str = "", **body: Any) -> Any:
    """Submit a task; return the first answer in the poller's form."""
    request = HttpRequest("POST", client.format_url(f"/tasks/{task}{query}"), json=body)
    return client.send_request(request, _return_pipeline_response=True)  # type: ignore[call-arg]


def poller(client: PipelineClient[Any, Any], first: Any, **options: Any) -> LROPoller[Any]:
    """Create a poller that returns the body of the last answer."""
    method = LROBasePolling(FAR_TOO_LONG, **options)
    return LROPoller(client, first, lambda answer: answer.http_response.json(), method)


def id_of(first: Any) -> str:
    return str(first.http_response.json()["task_id"])


def test_azures_poller_follows_a_task_to_its_result(client: PipelineClient[Any, Any]) -> None:
    first = begin(client, "long_running_task", seconds=1.5, steps=3)

    polled = poller(client, first)

    assert polled.result(60) == {
        "task_id": id_of(first),
        "status": "succeeded",
        "result": {"slept_seconds": 1.5, "steps": 3},
    }
    assert (polled.done(), polled.status()) == (True, "succeeded")


def test_azures_poller_raises_the_error_of_a_failed_task(client: PipelineClient[Any, Any]) -> None:
    polled = poller(client, begin(client, "divide", x=1, y=0))

    with pytest.raises(HttpResponseError) as raised:
        polled.result(60)

    assert polled.status() == "failed"
    assert raised.value.response is not None
    assert raised.value.response.json()["error"]["type"] == "/problems/division-by-zero"


def test_azures_poller_sees_a_cancel(client: PipelineClient[Any, Any], service: Service) -> None:
    first = begin(client, "reports", seconds=30)
    polled = poller(client, first)
    service.wait_for(id_of(first), "running")

    service.http.post(f"/tasks/{id_of(first)}/cancel")

    with pytest.raises(HttpResponseError, match="canceled"):
        polled.result(60)
    assert polled.status() == "canceled"


def test_azures_poller_accepts_an_end_in_the_first_response(client: PipelineClient[Any, Any]) -> None:
    first = begin(client, "divide", "?wait=20", x=1, y=2)
    assert first.http_response.status_code == 200

    assert poller(client, first).result(60)["result"] == 0.5


def test_azures_poller_works_with_location_alone(client: PipelineClient[Any, Any]) -> None:
    good = poller(client, begin(client, "divide", x=1, y=2), lro_algorithms=[LocationPolling()])
    assert good.result(60)["result"] == 0.5

    bad = poller(client, begin(client, "divide", x=1, y=0), lro_algorithms=[LocationPolling()])
    with pytest.raises(HttpResponseError) as raised:
        bad.result(60)
    assert raised.value.status_code == 409


def test_azures_poller_continues_in_another_process(client: PipelineClient[Any, Any]) -> None:
    token = poller(client, begin(client, "divide", x=1, y=2)).continuation_token()

    method: Any = LROBasePolling(FAR_TOO_LONG)
    again: LROPoller[Any] = LROPoller.from_continuation_token(
        method, token, client=client, deserialization_callback=lambda answer: answer.http_response.json()
    )

    assert again.result(60)["result"] == 0.5


#: As @azure/core-lro 3.3.1 documents it: it follows `Operation-Location`, and reads the result at `Location`.
JAVASCRIPT_POLLER = """
import { createHttpPoller } from "@azure/core-lro";

const [url, body] = process.argv.slice(2);

async function send(url, options = {}) {
  const answer = await fetch(url, options);
  const body = await answer.json();
  const request = { method: options.method ?? "GET", url };
  const headers = Object.fromEntries(answer.headers);
  return { flatResponse: body, rawResponse: { statusCode: answer.status, headers, body, request } };
}

const poller = createHttpPoller({
  sendInitialRequest: () => send(url, { method: "POST", headers: { "Content-Type": "application/json" }, body }),
  sendPollRequest: (path) => send(path),
}, { resourceLocationConfig: "location" });
try {
  console.log(JSON.stringify((await poller.pollUntilDone()).result));
} catch (error) {
  console.log(poller.operationState.status, error.message);
}
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is needed; CI has it")
def test_azures_poller_for_javascript_follows_tasks_to_their_ends(service: Service, tmp_path: Path) -> None:
    shutil.copy(ROOT / "tests" / "typescript" / "package.json", tmp_path)
    install = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"]
    subprocess.run(install, cwd=tmp_path, capture_output=True, check=True)
    (tmp_path / "poll.mjs").write_text(JAVASCRIPT_POLLER)

    def poll(task: str, **parameters: float) -> str:
        command = ["node", "poll.mjs", f"{service.url}/tasks/{task}", json.dumps(parameters)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    assert json.loads(poll("long_running_task", seconds=1.5, steps=3)) == {"slept_seconds": 1.5, "steps": 3}
    assert poll("divide", x=1, y=0).startswith("failed")
