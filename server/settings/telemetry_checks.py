"""What is wrong with the settings that name a collector of OpenTelemetry, or Sentry."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from server.complaints import Finding
from server.settings.settings import Settings


def check_telemetry(settings: Settings) -> Iterator[Finding]:
    collector, dsn = settings.otel_exporter_otlp_endpoint, settings.sentry_dsn
    if collector is not None and not is_url(collector):
        yield Finding("wrong", "OTEL_EXPORTER_OTLP_ENDPOINT", "is no URL of a collector: write http://127.0.0.1:4318")
    if dsn is not None and not is_url(dsn.get_secret_value(), dsn=True):
        yield Finding("wrong", "SENTRY_DSN", "is no DSN: write https://KEY@HOST/PROJECT, as Sentry shows it")


def is_url(text: str, *, dsn: bool = False) -> bool:
    try:
        url = urlsplit(text)
        fit = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        return False
    return fit and (not dsn or bool(url.username and url.path.rpartition("/")[2].isdecimal()))
