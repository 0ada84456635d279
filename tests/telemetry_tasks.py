"""Tasks for OpenTelemetry and Sentry: one makes a span of its own, one fails unexpectedly, one breaks its check."""

from typing import Any

from pydantic import SecretStr

from server.sdk.context import Context
from server.sdk.errors import TaskError
from server.sdk.registry import task


@task()
def makes_a_span(ctx: Context) -> str:
    """Make a span with OpenTelemetry's own interface, and return the trace that this one has."""
    from opentelemetry import trace

    with trace.get_tracer("of the task").start_as_current_span("inside"):
        return ctx.traceparent


@task()
def breaks(password: SecretStr, expected: bool = False) -> None:
    """Fail with the secret in the message."""
    text = f"cannot log in with {password.get_secret_value()}"
    raise TaskError("bad-login", text) if expected else RuntimeError(text)


def never_works(**parameters: Any) -> None:
    """Fail in the web process, for a reason that is not the client's."""
    raise KeyError("the check itself is broken")


@task(check=never_works)
def breaks_its_check(password: SecretStr) -> None:
    """Never reach a worker."""
