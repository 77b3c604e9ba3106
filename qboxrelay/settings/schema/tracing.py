"""`[tracing]`: each mail's way as spans of OpenTelemetry."""

from qboxrelay.settings.typed import Field
from qboxrelay.settings.types import Section


class TracingSettings(Section):
    """Spans of OpenTelemetry, in the trace that a mail's own `traceparent` field names. Needs the extra: pip install 'qboxrelay[otel]'."""

    endpoint: str = Field(default="", examples=["http://127.0.0.1:4318/v1/traces"])
    """Where an OTLP/HTTP collector takes traces; empty: nothing is traced, at no cost. Headers that it asks for, such as a token, come from the
    variable OTEL_EXPORTER_OTLP_HEADERS."""
    sample_ratio: float = Field(default=1.0, ge=0, le=1)
    """The share of mails that are traced, of those that name no trace of their own: such a trace says itself whether it is sampled."""
