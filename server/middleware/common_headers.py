"""The headers that every answer carries."""

from contract.exchange import Exchange, field
from contract.types import Headers
from generated.operations import VERSION
from server.middleware.content_security_policy import CspMode, content_security_policy
from server.middleware.cors import Cors
from server.protocol.security_headers import SECURITY

OVER_TLS: Headers = (("Cross-Origin-Opener-Policy", "same-origin"),)  # elsewhere browsers ignore it, and complain
TLS_ONLY: Headers = (("Strict-Transport-Security", "max-age=63072000; includeSubDomains"),)


class Common:
    """What every answer carries. `hsts`: browsers are told over TLS to come by TLS only (RFC 6797)."""

    def __init__(self, csp_mode: CspMode, cors: Cors, *, hsts: bool) -> None:
        self.cors = cors
        policy = content_security_policy("problem", csp_mode)
        named = (("API-Version", VERSION), *SECURITY, *((("Content-Security-Policy", policy),) if policy else ()))
        self.plain = encode_headers(named)
        self.over_tls = encode_headers((*named, *OVER_TLS, *(TLS_ONLY if hsts else ())))

    def of(self, exchange: Exchange) -> list[tuple[bytes, bytes]]:
        """The headers for an answer, as ASGI wants them. A page that needs another policy sets its own."""
        return [
            *(self.over_tls if exchange.scheme == "https" else self.plain),
            (b"x-request-id", exchange.request_id.encode()),
            *self.cors.headers(exchange.headers.get(b"origin", b"")),
        ]


def encode_headers(headers: Headers) -> list[tuple[bytes, bytes]]:
    return [(field(name), value.encode("latin-1")) for name, value in headers]
