"""Prometheus metrics. `docs/metrics.md` lists them, and a test compares."""

from collections.abc import Iterable, Iterator, Mapping

from flask import Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from server.sdk.registry import catalog, queue_names
from server.store import Store
from server.store.blobs.redis_blobs import RedisBlobs
from server.store.record import Status
from server.store.stats import Histogram, reads
from server.store.webhooks import OUTCOMES
from server.web.current import store
from server.web.openapi.route import Access, Api, ResponseSpec
from server.web.routes.operate.queues import RECOVERIES

route = Api("metrics", "server")


@route.get(
    "/metrics",
    ResponseSpec(200, "In Prometheus' text format 0.0.4.", {"type": "string"}, media_type="text/plain"),
    access=Access.METRICS,
)
def get_metrics() -> Response:
    """Metrics for Prometheus.

    All figures come from Redis, so they are the same in each web process and survive restarts.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_StoreCollector(store()))
    return Response(generate_latest(registry), mimetype="text/plain", content_type="text/plain; version=0.0.4")


class _StoreCollector(Collector):
    """Reads the metrics for each scrape."""

    def __init__(self, of: Store) -> None:
        self._store = of

    def collect(self) -> Iterator[Metric]:
        counters = self._store.counters
        statistics = counters.statistics()
        yield from _tasks(statistics)
        yield from _times(self._store.counters.histograms())
        yield from _queues(self._store)
        yield _requests(counters.read(counters.keys.http_requests))
        yield from _webhooks(self._store, statistics)
        yield from _sizes(self._store)
        yield _counted("coatcheck_recoveries", "Automatic recoveries.", "finding", RECOVERIES, "recovery", statistics)
        yield from _maintenance(counters.read(counters.keys.maintenance))


def _tasks(statistics: Mapping[str, int]) -> Iterator[Metric]:
    submitted = CounterMetricFamily("coatcheck_tasks_submitted", "Tasks accepted.", labels=["task"])
    ended = CounterMetricFamily("coatcheck_tasks_ended", "Tasks that have ended.", labels=["task", "status"])
    for each in catalog():
        submitted.add_metric([each.name], statistics.get(f"{each.name}:submitted", 0))
        for status in (status for status in Status if status.done):
            ended.add_metric([each.name, status], statistics.get(f"{each.name}:{status}", 0))
    yield from (submitted, ended)


def _times(histograms: Mapping[tuple[str, str], Histogram]) -> Iterator[Metric]:
    for measure, text in (
        ("wait", "Time from when an attempt was queued until it started."),
        ("run", "Duration of the last attempts of ended tasks."),
    ):
        family = HistogramMetricFamily(f"coatcheck_task_{measure}_seconds", text, labels=["task"])
        for each in catalog():
            histogram = histograms.get((measure, each.name), Histogram())
            family.add_metric([each.name], histogram.buckets(), histogram.total_ms / 1000)
        yield family


def _queues(of: Store) -> Iterator[Metric]:
    waiting = GaugeMetricFamily("coatcheck_queue_waiting", "Tasks waiting for a worker.", labels=["queue"])
    latency = GaugeMetricFamily(
        "coatcheck_queue_latency_seconds", "Waiting time of the oldest task that could run.", labels=["queue"]
    )
    serving = GaugeMetricFamily("coatcheck_queue_workers", "Workers that read the queue.", labels=["queue"])
    registered, workers, pauses = queue_names(), of.leases.workers(), of.pauses.all()
    for queue, count in of.queues.waiting(sorted(registered | set(of.queues.names()))).items():
        if count or queue in registered:
            waiting.add_metric([queue], count)
            latency.add_metric([queue], 0.0 if ("queue", queue) in pauses else of.counters.latency(queue))
            serving.add_metric([queue], sum(reads(card, queue) for card in workers))
    yield from (waiting, latency, serving)
    yield GaugeMetricFamily("coatcheck_tasks_running", "Tasks running on workers.", value=of.counters.running())
    yield GaugeMetricFamily("coatcheck_workers", "Workers that are up.", value=len(workers))


def _requests(counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily("coatcheck_http_requests", "Answered requests.", labels=["method", "route", "status"])
    for name, number in sorted(counts.items()):
        endpoint, _, status = name.rpartition(":")
        method, _, path = endpoint.partition(" ")
        family.add_metric([method, path, f"{status}xx"], number)
    return family


def _webhooks(of: Store, statistics: Mapping[str, int]) -> Iterator[Metric]:
    pending, due = of.webhooks.pending_count(), of.webhooks.due()
    yield GaugeMetricFamily("coatcheck_webhooks_pending", "Webhooks that are not delivered yet.", value=pending)
    yield GaugeMetricFamily("coatcheck_webhooks_due", "Webhooks to be sent now.", value=due)
    text = "Calls of receivers; a failed one is retried or given up."
    yield _counted("coatcheck_webhook_attempts", text, "outcome", OUTCOMES, "webhook", statistics)


def _sizes(of: Store) -> Iterator[Metric]:
    text = "Bytes of inputs, uploads and outputs, as the owners' quotas count them."
    yield GaugeMetricFamily("coatcheck_stored_bytes", text, value=of.counters.stored_bytes())
    if isinstance(of.blobs, RedisBlobs):
        yield GaugeMetricFamily("coatcheck_blob_bytes", "Bytes of files in Redis.", value=of.blobs.bytes_held())
        limit = of.settings.max_blob_bytes
        yield GaugeMetricFamily("coatcheck_blob_limit_bytes", "MAX_BLOB_BYTES; 0 without a limit.", value=limit or 0)
    used = of.counters.redis_usage()
    for name, text, value in (
        ("memory_bytes", "Memory that Redis uses.", used.memory_bytes),
        ("memory_limit_bytes", "Its `maxmemory`; 0 without a limit.", used.memory_limit),
        ("connections", "Connections to Redis, of all its clients.", used.connections),
        ("connections_limit", "Its `maxclients`; 0 if it does not tell.", used.connections_limit),
    ):
        yield GaugeMetricFamily(f"coatcheck_redis_{name}", text, value=value)


#: Counters of a maintenance service: the end of their names, their text, and their fields and units in Redis.
_SERVICE_COUNTERS = (
    ("runs", "Rounds of the service.", "runs", 1),
    ("items", "Tasks, files or webhooks that it handled.", "items", 1),
    ("failures", "Rounds that ended with an error.", "failures", 1),
    ("seconds", "Duration of its rounds.", "us", 1_000_000),
)


def _maintenance(counts: Mapping[str, int]) -> Iterator[Metric]:
    services = sorted({name.partition(":")[0] for name in counts})
    for end, text, field, unit in _SERVICE_COUNTERS:
        counter = CounterMetricFamily(f"coatcheck_maintenance_{end}", text, labels=["service"])
        for service in services:
            counter.add_metric([service], counts.get(f"{service}:{field}", 0) / unit)
        yield counter
    last = GaugeMetricFamily(
        "coatcheck_maintenance_last_run_timestamp_seconds", "Its last round, on any worker.", labels=["service"]
    )
    for service in services:
        last.add_metric([service], counts.get(f"{service}:last_ms", 0) / 1000)
    yield last


def _counted(
    metric: str, text: str, label: str, values: Iterable[str], prefix: str, statistics: Mapping[str, int]
) -> Metric:
    family = CounterMetricFamily(metric, text, labels=[label])
    for value in values:
        family.add_metric([value], statistics.get(f"{prefix}:{value}", 0))
    return family
