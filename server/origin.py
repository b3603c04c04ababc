"""Where a request that bears a cookie comes from: a page of ours, or somebody else's (RFC 6454; Fetch Metadata)."""

from collections.abc import Collection
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from contract.exchange import Exchange


def is_ours(exchange: Exchange, origins: Collection[str]) -> bool:
    """Whether the page is one of this server's or of `origins`. Browsers always say; who says nothing is no browser."""
    origin = exchange.header("origin")
    if origin is None:
        return exchange.header("sec-fetch-site") == "same-origin"
    return origin in origins or urlsplit(origin).netloc == exchange.header("host")


def cookie(exchange: Exchange, name: str) -> str | None:
    """The value of a cookie."""
    try:
        found = SimpleCookie(exchange.header("cookie") or "").get(name)
    except CookieError:
        return None
    return found.value if found is not None else None
