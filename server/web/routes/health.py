"""Health checks and Prometheus metrics."""

from collections.abc import Iterator
from typing import Literal

from flask import Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from pydantic import Field

from server.sdk.registry import catalog, queue_names
from server.store.connection import UNREACHABLE, outage_reason
from server.store.connection.checks import Severity
from server.store.record import Status
from server.web.current import store
from server.web.errors import Problem
from server.web.middleware import require_figures
from server.web.openapi.answers import json_of
from server.web.openapi.route import Access, Answer, Api
from server.web.responses import LIVE, Live, json_answer
from server.web.routes.operate.queues import FINDINGS
from server.web.schemas import WireObject

route = Api("health", __name__)


class Ready(WireObject):
    """The answer of a server that accepts and runs tasks."""

    status: Literal["ready"]
    workers: int = Field(ge=1)
    warnings: list[str]


@route.get(
    "/health/live",
    "get_live",
    "server",
    "Whether the process is up",
    (Answer(200, "It is.", json_of(Live)),),
    Access.ANYONE,
)
def live() -> Response:
    """Answer that the process is up."""
    return json_answer(LIVE)


@route.get(
    "/health/ready",
    "get_ready",
    "server",
    "Whether tasks are accepted and run",
    (Answer(200, "It would.", json_of(Ready)),),
    Access.ANYONE,
    "503 gives the reason: Redis is unreachable, full, or set up so that it loses tasks; or no worker is running. "
    "`warnings` are sentences about what ought to be changed.",
    problems=("unavailable",),
)
def ready() -> Response:
    """Check that tasks are accepted and that a worker is running."""
    try:
        findings, workers = store().checks.findings(), store().leases.workers()
        unattended = store().queues.unattended(workers)
    except UNREACHABLE as error:
        raise Problem("unavailable", outage_reason(error)) from None
    warnings = [finding.text for finding in findings if finding.severity is Severity.WARNING]
    reasons = [finding.text for finding in findings if finding.severity is not Severity.WARNING]
    warnings += [f"Queue {name} has {count} waiting tasks and no worker." for name, count in unattended.items()]
    if not workers:
        reasons.append("No worker is running.")
    if reasons:
        raise Problem("unavailable", " ".join(reasons), headers={"Retry-After": "5"}, warnings=warnings)
    return json_answer(Ready(status="ready", workers=len(workers), warnings=warnings))


@route.get(
    "/metrics",
    "get_metrics",
    "server",
    "Metrics for Prometheus",
    (Answer(200, "In Prometheus' text format 0.0.4.", {"text/plain": {"type": "string"}}),),
    Access.FIGURES,
)
def metrics() -> Response:
    """Prometheus text. All figures come from Redis, so they are the same in each web process and survive restarts."""
    require_figures()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector())
    return Response(generate_latest(registry), mimetype="text/plain", content_type="text/plain; version=0.0.4")


class _Collector(Collector):
    """Reads the figures for each scrape."""

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics of the server."""
        statistics = store().counters.statistics()
        yield from _per_kind(statistics)
        yield _findings(statistics)
        yield _maintenance(statistics)
        yield from _now()


def _per_kind(statistics: dict[str, int]) -> Iterator[Metric]:
    submitted = CounterMetricFamily("coatcheck_tasks_submitted", "Tasks accepted.", labels=["task"])
    ended = CounterMetricFamily("coatcheck_tasks_ended", "Tasks that have ended.", labels=["task", "status"])
    seconds = CounterMetricFamily(
        "coatcheck_task_run_seconds", "Duration of the last attempts of ended tasks.", labels=["task"]
    )
    for kind in catalog():
        submitted.add_metric([kind.name], statistics.get(f"{kind.name}:submitted", 0))
        seconds.add_metric([kind.name], statistics.get(f"{kind.name}:ms", 0) / 1000)
        for status in (status for status in Status if status.done):
            ended.add_metric([kind.name, status], statistics.get(f"{kind.name}:{status}", 0))
    yield from (submitted, ended, seconds)


def _findings(statistics: dict[str, int]) -> Metric:
    found = CounterMetricFamily("coatcheck_recoveries", "Automatic recoveries.", labels=["finding"])
    for finding in FINDINGS:
        found.add_metric([finding], statistics.get(f"recovery:{finding}", 0))
    return found


def _maintenance(statistics: dict[str, int]) -> Metric:
    done = CounterMetricFamily("coatcheck_maintenance", "What each service of the workers did.", labels=["service"])
    for name, number in sorted(statistics.items()):
        if name.startswith("maintenance:"):
            done.add_metric([name.removeprefix("maintenance:")], number)
    return done


def _now() -> Iterator[Metric]:
    waiting = GaugeMetricFamily("coatcheck_queue_waiting", "Tasks waiting for a worker.", labels=["queue"])
    latency = GaugeMetricFamily(
        "coatcheck_queue_latency_seconds", "Waiting time of the oldest task that could run.", labels=["queue"]
    )
    for queue, count in store().queues.waiting(sorted(queue_names())).items():
        waiting.add_metric([queue], count)
        latency.add_metric([queue], store().counters.latency(queue))
    yield from (waiting, latency)
    yield GaugeMetricFamily("coatcheck_tasks_running", "Tasks running on workers.", value=store().counters.running())
    yield GaugeMetricFamily("coatcheck_workers", "Workers that are up.", value=len(store().leases.workers()))
