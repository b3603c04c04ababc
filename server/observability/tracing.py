"""A span for each request, for an OpenTelemetry collector. Loaded where OTEL_EXPORTER_OTLP_ENDPOINT is set."""

from collections.abc import Callable

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode, format_trace_id
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from contract.exchange import Exchange
from generated.operations import VERSION

CONTINUED = ("traceparent", "tracestate")
MISTAKE = 500


class OtlpSpans:
    """Sends spans over OTLP/HTTP from a thread of its own. A trace that the caller began is continued.

    A span has the name of the operation, and neither the path nor the query, which name people and things.
    """

    def __init__(self, endpoint: str, environment: str) -> None:
        named = {"service.name": "docket", "service.version": VERSION, "deployment.environment.name": environment}
        resource = Resource.create().merge(Resource(named)).merge(OTELResourceDetector().detect())
        exporter = OTLPSpanExporter(endpoint.rstrip("/") + "/v1/traces")
        self.provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self.provider.add_span_processor(BatchSpanProcessor(exporter))
        self.tracer = self.provider.get_tracer("docket", VERSION)
        self.propagator = TraceContextTextMapPropagator()

    def begin(self, exchange: Exchange) -> Callable[[int], None]:
        told = {name: value for name in CONTINUED if (value := exchange.header(name)) is not None}
        span = self.tracer.start_span(exchange.method, self.propagator.extract(told), SpanKind.SERVER)
        exchange.trace_id = format_trace_id(span.get_span_context().trace_id)

        def end(status: int) -> None:
            if exchange.operation is not None:
                span.update_name(exchange.operation.id)
                span.set_attribute("http.route", exchange.operation.path)
            span.set_attribute("http.request.method", exchange.method)
            span.set_attribute("http.response.status_code", status)
            span.set_attribute("docket.request_id", exchange.request_id)
            if status >= MISTAKE:
                span.set_status(StatusCode.ERROR)
            span.end()

        return end

    def close(self) -> None:
        self.provider.shutdown()
