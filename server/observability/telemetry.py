"""Who else is told of requests and errors: OpenTelemetry and Sentry, where the settings name them."""

import asyncio
import random
import re
from collections.abc import Callable
from threading import Thread
from typing import Protocol

from contract.exchange import Exchange
from server.settings.settings import Settings

PATIENCE = 2.0  # seconds that the last spans and reports have at the end
TRACEPARENT = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?P<trace>(?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?"
)


class Spans(Protocol):
    """One span for each request."""

    def begin(self, exchange: Exchange, /) -> Callable[[int], None]:
        """Begin a span, and give the request its trace. What comes back ends the span with a status."""

    def close(self) -> None: ...


class Reports(Protocol):
    """What is told of mistakes of ours."""

    def tell(self, error: Exception, exchange: Exchange, /) -> None: ...

    def close(self) -> None: ...


class Telemetry:
    """Gives each request its trace (W3C Trace Context), and tells those that want to know."""

    def __init__(self, spans: Spans | None = None, reports: Reports | None = None) -> None:
        self.spans, self.reports = spans, reports

    def begin(self, exchange: Exchange) -> Callable[[int], None] | None:
        """Begin a request. What comes back, if anything, is to be called at its end, with its status."""
        if self.spans is not None:
            return self.spans.begin(exchange)
        exchange.trace_id = trace_id(exchange) or new_id()
        return None

    def report(self, error: Exception, exchange: Exchange) -> None:
        if self.reports is not None:
            self.reports.tell(error, exchange)

    async def close(self) -> None:
        """Send what is not sent yet, unless it is not taken in time."""
        closing = [Thread(target=each.close, daemon=True) for each in (self.spans, self.reports) if each is not None]
        for thread in closing:
            thread.start()
        for thread in closing:
            await asyncio.to_thread(thread.join, PATIENCE)


def trace_id(exchange: Exchange) -> str | None:
    """The trace that the caller says the request belongs to (W3C Trace Context, 3.2)."""
    given = exchange.headers.get(b"traceparent")
    found = TRACEPARENT.fullmatch(given) if given is not None else None
    return found["trace"].decode() if found else None


def new_id() -> str:
    """An id of its own for a trace or a request: 32 hexadecimal digits. It is no secret."""
    return f"{random.getrandbits(128):032x}"


def telemetry_of(settings: Settings) -> Telemetry:
    """What the settings ask for. The libraries are loaded only then."""
    spans: Spans | None = None
    reports: Reports | None = None
    if settings.otel_exporter_otlp_endpoint is not None:
        from server.observability.tracing import OtlpSpans  # noqa: PLC0415 - most servers do without

        spans = OtlpSpans(settings.otel_exporter_otlp_endpoint, settings.environment)
    if settings.sentry_dsn is not None:
        from server.observability.error_reporting import SentryReports  # noqa: PLC0415 - most servers do without

        reports = SentryReports(settings.sentry_dsn.get_secret_value(), settings.environment)
    return Telemetry(spans, reports)
