"""What the browser may load for each page (CSP): docs/decisions/0012-pages-and-their-policy.md tells why."""

from typing import Final, Literal, TypeAlias

CspMode: TypeAlias = Literal["strict", "relaxed", "disabled"]
Page: TypeAlias = Literal["docs", "redoc", "problem"]

EMPTY_STYLE: Final = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
NOTHING: Final = {
    "default-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "img-src": "'self'",
    "style-src": "'self'",
}
SCRIPTED: Final = NOTHING | {"connect-src": "'self'", "img-src": "'self' data:", "script-src": "'self'"}
POLICIES: Final[dict[Page, dict[str, str]]] = {
    "docs": SCRIPTED,
    "redoc": SCRIPTED | {"font-src": "data:", "style-src": f"'self' {EMPTY_STYLE}"},
    "problem": NOTHING,
}
RELAXED: Final = {"img-src": "'self' data: https:", "style-src": "'self' 'unsafe-inline'"}


def content_security_policy(page: Page, mode: CspMode) -> str | None:
    """The value of `Content-Security-Policy` for a page; None for no such header."""
    if mode == "disabled":
        return None
    policy = POLICIES[page]
    if mode == "relaxed" and page != "problem":
        policy = policy | RELAXED
    return "; ".join(f"{directive} {sources}" for directive, sources in policy.items())
