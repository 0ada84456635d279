"""OpenTelemetry's spans: a submit (server), an attempt (consumer), a webhook (client). Without `start`, none of them.

Each process creates its own provider at its first span: threads and connections of an exporter do not survive a fork.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

from server.logs import redact
from server.logs.trace import Trace

SpanKindName = Literal["SERVER", "CONSUMER", "CLIENT"]


class _OpenTelemetry:
    """The exporter's name (empty: off), the service's name, and the provider with the id of its process."""

    exporter = ""
    service = ""
    process = 0
    provider: Any = None


class Span:
    """One span; without OpenTelemetry, nothing but the trace that came in. Only an ended one is exported."""

    def __init__(self, trace: Trace, span: Any = None) -> None:
        self.trace = trace
        self._span = span

    def set(self, attributes: Mapping[str, Any]) -> None:
        if self._span is not None:
            self._span.set_attributes(attributes)

    def end(self, error: str = "") -> None:
        """End it: with `error`, as failed."""
        if self._span is None:
            return
        if error:
            from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415

            self._span.set_status(Status(StatusCode.ERROR, redact(error)))
        self._span.end()

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make it the parent of spans that other instrumentation makes in this block."""
        if self._span is None:
            yield
            return
        from opentelemetry.trace import use_span  # noqa: PLC0415

        with use_span(self._span, record_exception=False, set_status_on_exception=False):
            yield


def start(exporter: str, service: str) -> None:
    """Export spans of a service from now on; without an exporter, OpenTelemetry is off."""
    _OpenTelemetry.exporter, _OpenTelemetry.service = exporter, service


def begin(span_kind: SpanKindName, name: str, trace: Trace, attributes: Mapping[str, Any]) -> Span:
    """Begin a span of a trace; without one, it begins a trace of its own."""
    if not _OpenTelemetry.exporter:
        return Span(trace)
    from opentelemetry.context import Context  # noqa: PLC0415
    from opentelemetry.trace import SpanKind, set_span_in_context  # noqa: PLC0415
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

    propagator = TraceContextTextMapPropagator()
    above = propagator.extract(trace.headers, context=Context())
    tracer = _provider().get_tracer("coatcheck")
    span = tracer.start_span(name, context=above, kind=SpanKind[span_kind], attributes=attributes)
    carried: dict[str, str] = {}
    propagator.inject(carried, context=set_span_in_context(span, Context()))
    return Span(Trace(carried.get("traceparent", ""), carried.get("tracestate", "")), span)


def flush() -> None:
    """Send the spans of this process that are not sent yet, before it ends."""
    if _OpenTelemetry.provider is not None and _OpenTelemetry.process == os.getpid():
        _OpenTelemetry.provider.force_flush(3000)


def _provider() -> Any:
    if _OpenTelemetry.process != os.getpid():
        _OpenTelemetry.provider, _OpenTelemetry.process = _new_provider(), os.getpid()
    return _OpenTelemetry.provider


def _new_provider() -> Any:
    from opentelemetry import trace  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter  # noqa: PLC0415

    provider = TracerProvider(resource=Resource.create({"service.name": _OpenTelemetry.service}))
    if _OpenTelemetry.exporter == "console":
        exporter: Any = ConsoleSpanExporter(formatter=lambda span: span.to_json(indent=None) + "\n")
    else:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

        exporter = OTLPSpanExporter()
    provider.add_span_processor(BatchSpanProcessor(exporter))
    if _OpenTelemetry.process == 0:
        trace.set_tracer_provider(provider)  # of spans that a task makes itself
    return provider
