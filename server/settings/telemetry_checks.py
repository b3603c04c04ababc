"""What is wrong with the settings that name a collector of OpenTelemetry, or Sentry."""

from collections.abc import Iterator
from importlib.util import find_spec
from urllib.parse import urlsplit

from server.complaints import Finding
from server.settings.settings import Settings

INSTALL = "is not installed: `pip install --require-hashes -r requirements-telemetry.txt`"


def check_telemetry(settings: Settings) -> Iterator[Finding]:
    if settings.otel_exporter_otlp_endpoint is not None:
        name = "OTEL_EXPORTER_OTLP_ENDPOINT"
        if not is_url(settings.otel_exporter_otlp_endpoint):
            yield Finding("wrong", name, "is no URL of a collector: write http://127.0.0.1:4318")
        if not is_installed("opentelemetry.exporter.otlp.proto.http"):
            yield Finding("wrong", name, f"is set, but opentelemetry-exporter-otlp-proto-http {INSTALL}")
    if settings.sentry_dsn is not None:
        if not is_url(settings.sentry_dsn.get_secret_value(), dsn=True):
            yield Finding("wrong", "SENTRY_DSN", "is no DSN: write https://KEY@HOST/PROJECT, as Sentry shows it")
        if not is_installed("sentry_sdk"):
            yield Finding("wrong", "SENTRY_DSN", f"is set, but sentry-sdk {INSTALL}")


def is_url(text: str, *, dsn: bool = False) -> bool:
    try:
        url = urlsplit(text)
        fit = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        return False
    return fit and (not dsn or bool(url.username and url.path.rpartition("/")[2].isdecimal()))


def is_installed(module: str) -> bool:
    """Whether a module is there, which is not loaded for that."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
