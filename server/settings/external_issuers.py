"""The other issuers that the settings name: what is wrong or doubtful about them, and who verifies their tokens."""

from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from security.external_tokens import Issuer, Outsiders, SharedSecret, Verifier
from server.complaints import Finding
from server.settings.settings import Settings

if TYPE_CHECKING:
    from security.jwks import KeySet

BETTER_AUTH = "better-auth"  # the namespace of what BETTER_AUTH_SECRET signs
BETTER_AUTHS_OWN = "better-auth-secret-12345678901234567890"  # what Better Auth signs with when it is given no secret
SUBJECT = ("sub", "user.id")  # the second is where Better Auth's cookie has it


def namespace_of(settings: Settings) -> str:
    """The namespace of the subjects of EXTERNAL_JWT_JWKS_URL."""
    return settings.external_jwt_issuer or settings.external_jwt_jwks_url or ""


def namespaces_of(settings: Settings) -> list[str]:
    """The namespaces of the issuers whose tokens count."""
    if settings.auth_mode == "local":
        return []
    by_secret = [BETTER_AUTH] if settings.better_auth_secret is not None else []
    return by_secret + ([namespace_of(settings)] if settings.external_jwt_jwks_url is not None else [])


def check_issuers(settings: Settings) -> Iterator[Finding]:
    """Find what is wrong about them, and what works, but not safely or not as meant: that is for development only."""
    url = settings.external_jwt_jwks_url
    if settings.auth_mode != "local" and settings.better_auth_secret is None and url is None:
        said = f"is {settings.auth_mode}: set BETTER_AUTH_SECRET or EXTERNAL_JWT_JWKS_URL"
        yield Finding("wrong", "AUTH_MODE", said)
    if url is not None and not is_safe(url, plain=settings.is_development):
        said = "is no https:// URL (in development http:// to this machine will do)"
        yield Finding("wrong", "EXTERNAL_JWT_JWKS_URL", said)
    if namespace_of(settings) == BETTER_AUTH:
        said = f"is {BETTER_AUTH}, which is what BETTER_AUTH_SECRET's subjects are kept under"
        yield Finding("wrong", "EXTERNAL_JWT_ISSUER", said)
    for setting, said in doubtful(settings):
        yield Finding("warning" if settings.is_development else "wrong", setting, said)


def doubtful(settings: Settings) -> Iterator[tuple[str, str]]:
    secret = settings.better_auth_secret and settings.better_auth_secret.get_secret_value()
    own = settings.secret_key and settings.secret_key.get_secret_value()
    url = settings.external_jwt_jwks_url
    if settings.auth_mode == "local" and (secret or url):
        yield "AUTH_MODE", "is local, so that no token of another issuer counts: set external or hybrid"
    if secret == BETTER_AUTHS_OWN:
        yield "BETTER_AUTH_SECRET", "is the one that everybody knows: make one with `openssl rand -hex 32`"
    if secret and secret == own:
        yield "BETTER_AUTH_SECRET", "is SECRET_KEY: who knows the one could do what the other is for"
    if url and settings.external_jwt_issuer is None:
        yield "EXTERNAL_JWT_ISSUER", "is not set: tokens of any issuer with these keys count"
    if url and settings.external_jwt_audience is None:
        yield "EXTERNAL_JWT_AUDIENCE", "is not set: tokens that were meant for others count"


def is_safe(url: str, *, plain: bool) -> bool:
    """Whether keys may be fetched there: by TLS, or `plain` from this machine."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    if not parts.hostname or parts.username is not None or parts.fragment:
        return False
    return parts.scheme == "https" or (plain and parts.scheme == "http" and is_loopback(parts.hostname))


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def key_set_of(settings: Settings) -> "KeySet | None":
    """The keys at EXTERNAL_JWT_JWKS_URL; None where they do not count."""
    if settings.auth_mode == "local" or settings.external_jwt_jwks_url is None:
        return None
    from security.jwks import KeySet  # noqa: PLC0415 - httpx, 8 MB that most servers do without

    return KeySet(settings.external_jwt_jwks_url)


def outsiders_of(settings: Settings, key_set: "KeySet | None") -> Outsiders | None:
    """Who verifies the tokens of other issuers; None where they do not count."""
    if settings.auth_mode == "local":
        return None
    verifiers = []
    if settings.better_auth_secret is not None:
        told = settings.better_auth_issuer, settings.better_auth_audience, settings.external_iat_is_auth_time
        issuer = Issuer(BETTER_AUTH, SUBJECT, *told)
        verifiers.append(Verifier(issuer, SharedSecret(settings.better_auth_secret.get_secret_value())))
    if key_set is not None:
        claim = (settings.external_jwt_user_id_claim,)
        told = settings.external_jwt_issuer, settings.external_jwt_audience, settings.external_iat_is_auth_time
        issuer = Issuer(namespace_of(settings), claim, *told)
        verifiers.append(Verifier(issuer, key_set))
    return Outsiders(verifiers, life=timedelta(hours=settings.external_token_hours))
