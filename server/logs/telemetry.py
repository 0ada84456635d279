"""The environment variables that switch on OpenTelemetry and Sentry: their own usual ones."""

from importlib.util import find_spec

from pydantic import Field, ValidationInfo, field_validator

from server.settings import TaskSettings

EXPORTERS = ("otlp", "console", "none")  # the exporters of OTEL_TRACES_EXPORTER


class TelemetrySettings(TaskSettings):
    """OpenTelemetry's and Sentry's variables. Their packages read the others, such as OTEL_TRACES_SAMPLER."""

    otel_exporter_otlp_endpoint: str = Field(
        "", description="OpenTelemetry: send spans to this OTLP endpoint (HTTP), such as `http://collector:4318`."
    )
    otel_exporter_otlp_traces_endpoint: str = Field(
        "", description="OpenTelemetry: the whole address for spans, such as `http://collector:4318/v1/traces`."
    )
    otel_traces_exporter: str = Field(
        "", description="OpenTelemetry: `otlp`, `console` or `none`. If empty, `otlp` where an endpoint is set."
    )
    otel_service_name: str = Field("coatcheck", description="OpenTelemetry: the name of this service.")
    otel_sdk_disabled: bool = Field(False, description="OpenTelemetry: `true` switches it off.")
    sentry_dsn: str = Field("", description="Sentry: send unexpected errors to this project.", repr=False)

    @field_validator("otel_traces_exporter")
    @classmethod
    def _is_exporter(cls, value: str) -> str:
        if value and value not in EXPORTERS:
            raise ValueError(f"must be one of {', '.join(EXPORTERS)}")
        return value

    @field_validator(
        "otel_exporter_otlp_endpoint", "otel_exporter_otlp_traces_endpoint", "otel_traces_exporter", "sentry_dsn"
    )
    @classmethod
    def _can_be_sent(cls, value: str, info: ValidationInfo) -> str:
        module, extra = ("sentry_sdk", "sentry") if info.field_name == "sentry_dsn" else ("opentelemetry.sdk", "otel")
        if value not in ("", "none") and not _is_installed(module):
            how = f"pip install 'coatcheck[{extra}]', or add its packages to requirements.txt"
            raise ValueError(f"is set, but {module} is not installed: {how} (docs/operating.md)")
        return value

    @field_validator("sentry_dsn")
    @classmethod
    def _is_a_project(cls, value: str) -> str:
        if value:
            from sentry_sdk.utils import BadDsn, Dsn  # noqa: PLC0415

            try:
                Dsn(value)
            except BadDsn:
                raise ValueError("is not a project's DSN, such as https://key@sentry.example/1") from None
        return value

    @property
    def exporter(self) -> str:
        """Return the exporter of spans, or nothing where OpenTelemetry is off."""
        has_endpoint = self.otel_exporter_otlp_endpoint or self.otel_exporter_otlp_traces_endpoint
        exporter = self.otel_traces_exporter or ("otlp" if has_endpoint else "")
        return "" if self.otel_sdk_disabled or exporter == "none" else exporter


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it
        return False
