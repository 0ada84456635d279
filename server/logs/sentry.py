"""Sentry: unexpected errors of web and worker, without inputs, headers, and the secrets of the task that failed."""

from typing import Any

from server import logs


def start(dsn: str, *, worker: bool) -> None:
    """Send errors to a project. The variables SENTRY_ENVIRONMENT and SENTRY_RELEASE count as usual."""
    import sentry_sdk  # noqa: PLC0415

    sentry_sdk.init(
        dsn=dsn,
        auto_enabling_integrations=False,
        integrations=[_integration(worker)],
        before_send=_clean,
        include_local_variables=False,  # they have inputs
        max_request_body_size="never",
        send_default_pii=False,
    )


def _integration(worker: bool) -> Any:
    if worker:
        from sentry_sdk.integrations.celery import CeleryIntegration  # noqa: PLC0415

        return CeleryIntegration(propagate_traces=False)
    from sentry_sdk.integrations.flask import FlaskIntegration  # noqa: PLC0415

    return FlaskIntegration()


def _clean(event: Any, hint: Any) -> Any:
    """Remove fields that may contain a client's data, and tag the event with the ids that its log line has."""
    request = event.get("request", {})
    for name in ("query_string", "data", "cookies", "env"):
        request.pop(name, None)
    job = event.get("extra", {}).get("celery-job", {})
    for name in ("args", "kwargs"):
        job.pop(name, None)
    fields = getattr(hint.get("log_record"), "fields", {})
    ids = {**logs.task_ids(), **{name: fields[name] for name in ("task_id", "request_id") if fields.get(name)}}
    event["tags"] = {**event.get("tags", {}), **{name: value for name, value in ids.items() if value}}
    return _redacted(event)


def _redacted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _redacted(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(each) for each in value]
    return logs.redact(value) if isinstance(value, str) else value
