"""Where a request that bears a cookie comes from: a page of ours, or somebody else's (RFC 6454; Fetch Metadata)."""

from collections.abc import Collection

from contract.exchange import Exchange


def is_ours(exchange: Exchange, origins: Collection[str]) -> bool:
    """Whether the page is one of this server's or of `origins`. A browser says it; who does not say is refused."""
    origin, site = exchange.header("origin"), exchange.header("sec-fetch-site")
    if origin is None:
        return site == "same-origin"
    if origin in origins:
        return True
    host = exchange.header("host")
    return origin in (f"https://{host}", f"http://{host}") and site in (None, "same-origin")


def cookie(exchange: Exchange, name: str) -> str | None:
    """The value of a cookie, whatever other cookies look like."""
    for pair in (exchange.header("cookie") or "").split(";"):
        key, _, value = pair.strip().partition("=")
        if key == name:
            return value
    return None
