"""OpenTelemetry and Sentry, switched on by their usual variables, with receivers that read the real protocols."""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from harness import ROOT, Service, eventually
from http_servers import Exchange, serve
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from test_webhooks import Receiver

ID, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACED = {"traceparent": f"00-{ID}-{CALLER}-01"}


class TelemetryReceiver:
    """An OTLP endpoint over HTTP, and a Sentry project: they keep what arrives."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, Span]] = []
        self.items: list[dict[str, Any]] = []

    def answer(self, exchange: Exchange) -> None:
        body = exchange.body
        if exchange.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if exchange.path == "/v1/traces":
            self._keep_spans(body)
        elif exchange.path == "/api/7/envelope/":
            for line in body.split(b"\n"):
                if (line.startswith(b"{") and b'"exception"' in line) or b'"logentry"' in line:
                    self.items.append(json.loads(line))
        exchange.reply(200)

    def _keep_spans(self, body: bytes) -> None:
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = {each.key: each.value.string_value for each in of_resource.resource.attributes}["service.name"]
            self.spans += [(service, span) for scope in of_resource.scope_spans for span in scope.spans]

    def named(self, name: str, trace_id: str = ID) -> list[Span]:
        """Return the spans of a trace with this name."""
        return [span for _, span in list(self.spans) if span.name == name and span.trace_id.hex() == trace_id]


@pytest.fixture(scope="module")
def exporting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, TelemetryReceiver]]:
    telemetry = TelemetryReceiver()
    with ExitStack() as stack:
        url = stack.enter_context(serve(telemetry.answer))
        settings = {
            "TASK_MODULES": "telemetry_tasks,sample_tasks",
            "ALLOW_PRIVATE_ADDRESSES": "true",
            "OTEL_EXPORTER_OTLP_ENDPOINT": url,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "SENTRY_DSN": url.replace("://", "://public-key@") + "/7",
            "SENTRY_ENVIRONMENT": "of the tests",
        }
        service = stack.enter_context(Service(tmp_path_factory.mktemp("telemetry"), **settings))
        yield service.start(), telemetry


def attributes(span: Span) -> dict[str, Any]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


@pytest.mark.parametrize("query", ["", "?tag=by-flask"], ids=["in the loop", "by Flask"])
def test_submit_run_and_webhook_are_spans_of_the_caller_s_trace(
    exporting: tuple[Service, TelemetryReceiver], query: str
) -> None:
    service, telemetry = exporting
    telemetry.spans.clear()
    with Receiver().listening() as receiver:
        answer = service.http.post(f"/tasks/divide{query}", json={"x": 1, "y": 2}, headers=TRACED)
        task_id = answer.json()["task_id"]
        service.result(task_id)
        hooked = service.http.post(
            "/tasks/divide", params={"webhook": receiver.url}, json={"x": 1, "y": 2}, headers=TRACED
        )
        receiver.wait()
    submits = eventually(lambda: f if len(f := telemetry.named("POST /tasks/<name>")) > 1 else [])
    runs = eventually(lambda: f if len(f := telemetry.named("process divide")) > 1 else [])
    (call,) = eventually(lambda: telemetry.named("POST webhook"))

    (submit,) = [each for each in submits if attributes(each)["coatcheck.task.id"] == task_id]
    (run,) = [each for each in runs if attributes(each)["coatcheck.task.id"] == task_id]
    (other,) = [each for each in submits if attributes(each)["coatcheck.task.id"] == hooked.json()["task_id"]]
    assert (submit.kind, run.kind, call.kind) == (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CONSUMER, Span.SPAN_KIND_CLIENT)
    assert submit.parent_span_id.hex() == CALLER
    assert run.parent_span_id == submit.span_id
    assert call.parent_span_id == other.span_id
    assert attributes(submit)["http.response.status_code"] == 202
    assert submit.start_time_unix_nano <= run.start_time_unix_nano <= run.end_time_unix_nano
    sent = receiver.got[0][0]["traceparent"]
    assert sent == f"00-{ID}-{call.span_id.hex()}-01"
    assert {service_name for service_name, _ in telemetry.spans} == {"coatcheck"}


def test_a_task_s_own_span_is_a_child_of_its_run_and_a_task_without_a_trace_gets_one(
    exporting: tuple[Service, TelemetryReceiver],
) -> None:
    service, telemetry = exporting
    traceparent = service.result(service.submit("makes_a_span"))
    _, trace_id, span_id, _ = traceparent.split("-")

    (inside,) = eventually(lambda: telemetry.named("inside", trace_id))
    (run,) = eventually(lambda: telemetry.named("process makes_a_span", trace_id))
    assert inside.parent_span_id == run.span_id == bytes.fromhex(span_id)
    assert service.web
    assert any(trace_id in line and "path=/tasks/makes_a_span" in line for line in service.web.output().splitlines())
    assert any(trace_id in line and "task.succeeded" in line for line in service.workers[0].output().splitlines())


def test_a_failed_run_is_a_failed_span_without_the_secret(exporting: tuple[Service, TelemetryReceiver]) -> None:
    service, telemetry = exporting
    answer = service.http.post("/tasks/breaks", json={"password": "swordfish"}, headers=TRACED)
    service.wait_for(answer.json()["task_id"])

    (run,) = eventually(lambda: telemetry.named("process breaks"))
    assert run.status.code == run.status.STATUS_CODE_ERROR
    assert "swordfish" not in str(run)


def test_sentry_gets_unexpected_errors_of_a_worker_without_the_secret(
    exporting: tuple[Service, TelemetryReceiver],
) -> None:
    service, telemetry = exporting
    telemetry.items.clear()
    expected = service.submit("breaks", password="swordfish", expected=True)
    task_id = service.submit("breaks", password="swordfish")
    for each in (expected, task_id):
        service.wait_for(each)

    eventually(lambda: [each for each in telemetry.items if each.get("tags", {}).get("task_id") == task_id])
    text = json.dumps(telemetry.items)
    assert "swordfish" not in text
    assert expected not in text
    (event,) = [each for each in telemetry.items if each["tags"]["task_id"] == task_id]
    assert event["environment"] == "of the tests"
    assert event["tags"]["request_id"]
    assert "RuntimeError" in text


def test_sentry_gets_errors_of_a_web_process_without_the_request(exporting: tuple[Service, TelemetryReceiver]) -> None:
    service, telemetry = exporting
    telemetry.items.clear()
    for query in ("", "?tag=by-flask"):
        answer = service.http.post(f"/tasks/breaks_its_check{query}", json={"password": "swordfish"})
        assert answer.status_code == 500
    events = eventually(lambda: [each for each in telemetry.items if "the check itself is broken" in json.dumps(each)])
    assert "swordfish" not in json.dumps(telemetry.items)
    assert "by-flask" not in json.dumps(events)
    assert events[0]["tags"]["request_id"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variable", "value", "module", "extra"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1", "opentelemetry.sdk", "otel"),
        ("OTEL_TRACES_EXPORTER", "console", "opentelemetry.sdk", "otel"),
        ("SENTRY_DSN", "http://key@127.0.0.1:1/7", "sentry_sdk", "sentry"),
    ],
)
def test_a_variable_without_its_package_stops_the_start(
    fresh: Service, tmp_path: Path, variable: str, value: str, module: str, extra: str
) -> None:
    hidden = "import importlib.util as util\nfind = util.find_spec\n"
    hidden += f"util.find_spec = lambda name, *more: None if name == {module!r} else find(name, *more)\n"
    for entry in ("application", "celery"):
        done = subprocess.run(
            [sys.executable, "-c", f"{hidden}from server.cli.entry import {entry}"],
            env={**fresh.env, variable: value},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 3, done.stderr
        assert f"{variable}: is set, but {module} is not installed: pip install 'coatcheck[{extra}]'" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("switch", [{}, {"OTEL_TRACES_EXPORTER": "none"}, {"OTEL_SDK_DISABLED": "true"}])
def test_without_a_variable_nothing_is_imported(fresh: Service, switch: dict[str, str]) -> None:
    env = {**fresh.env, **switch, **({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"} if switch else {})}
    code = "import sys\nfrom server.cli.entry import application, celery\nfrom server.logs import spans\n"
    code += "from server.logs.trace import NO_TRACE\nspans.begin('SERVER', 'x', NO_TRACE, {}).end()\n"
    # redis imports other parts of OpenTelemetry, where it is installed
    names = ("opentelemetry.sdk.trace", "sentry_sdk")
    code += f"print([name for name in sys.modules if name in {names}])"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]", done.stderr


def test_the_console_exporter_writes_to_standard_output(fresh: Service) -> None:
    fresh.env |= {"OTEL_TRACES_EXPORTER": "console", "OTEL_SERVICE_NAME": "named", "OTEL_BSP_SCHEDULE_DELAY": "100"}
    fresh.start_web()
    task_id = fresh.submit("divide", x=1, y=2)

    assert fresh.web
    web = fresh.web
    (line,) = eventually(lambda: [line for line in web.output().splitlines() if '"kind": "SpanKind.SERVER"' in line])
    assert json.loads(line)["attributes"]["coatcheck.task.id"] == task_id
    assert json.loads(line)["resource"]["attributes"]["service.name"] == "named"
