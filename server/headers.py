"""The headers that every answer carries."""

from contract.vocabulary import Headers
from generated.operations import VERSION
from server.documentation import CspMode, content_security_policy

SECURITY: Headers = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)


def common(csp_mode: CspMode) -> list[tuple[bytes, bytes]]:
    """The same for every answer, as ASGI wants them. A page that needs another policy sets its own."""
    policy = content_security_policy("problem", csp_mode)
    named = (("API-Version", VERSION), *SECURITY, *((("Content-Security-Policy", policy),) if policy else ()))
    return encoded(named)


def encoded(headers: Headers) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
