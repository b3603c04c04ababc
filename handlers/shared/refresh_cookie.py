"""The cookie of a refresh token (RFC 6265), which scripts cannot read and other sites cannot make browsers send."""

from datetime import timedelta

NAME = "__Host-refresh"
ATTRIBUTES = "Path=/; HttpOnly; Secure; SameSite=Strict"


def set_refresh(token: str, lifetime: timedelta) -> str:
    """The value of `Set-Cookie` that keeps a refresh token."""
    return f"{NAME}={token}; Max-Age={int(lifetime.total_seconds())}; {ATTRIBUTES}"


def clear_refresh() -> str:
    """The value of `Set-Cookie` that forgets it."""
    return f"{NAME}=; Max-Age=0; {ATTRIBUTES}"
