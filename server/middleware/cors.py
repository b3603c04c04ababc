"""Which pages of other origins may read our answers (the CORS protocol of the Fetch standard)."""

from collections.abc import Collection

from contract.exchange import Exchange
from contract.response_encoding import Answer
from contract.types import Headers

METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
HEADERS = (
    "Accept, Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, X-Request-ID, "
    "baggage, sentry-trace, traceparent, tracestate"
)
EXPOSED = (
    "Accept, Accept-Encoding, Accept-Patch, API-Version, ETag, Idempotency-Replayed, Link, Location, RateLimit, "
    "RateLimit-Policy, Retry-After, WWW-Authenticate, X-Request-ID"
)


class Cors:
    """Tells browsers what pages of these origins may read: every answer, with the reader's credentials.

    Their requests may carry our headers, and `more`.
    """

    def __init__(self, origins: Collection[str], more: Collection[str] = ()) -> None:
        self.leave: Headers = (
            ("Access-Control-Allow-Methods", METHODS),
            ("Access-Control-Allow-Headers", ", ".join((HEADERS, *sorted(more)))),
            ("Access-Control-Max-Age", "7200"),  # the longest that Chromium keeps
            ("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers"),
        )
        vary = [(b"vary", b"Origin")] if origins else []
        self.others = vary
        self.allowed = {
            origin.encode("latin-1"): [
                (b"access-control-allow-origin", origin.encode("latin-1")),
                (b"access-control-allow-credentials", b"true"),
                (b"access-control-expose-headers", EXPOSED.encode()),
                *vary,
            ]
            for origin in origins
        }

    def headers(self, origin: bytes) -> list[tuple[bytes, bytes]]:
        """What every answer says, to a page of an origin of ours and to all others."""
        return self.allowed.get(origin, self.others)

    def preflight(self, exchange: Exchange) -> Answer | None:
        """The answer to a browser that asks whether it may send a request; None when that is not what it asks."""
        if exchange.method != "OPTIONS" or b"access-control-request-method" not in exchange.headers:
            return None
        origin = exchange.headers.get(b"origin")
        if origin is None:
            return None
        return Answer(204, self.leave if origin in self.allowed else (), b"")
