"""Access and refresh tokens: JSON Web Tokens (RFC 7519) signed with HS256, told apart by their `typ` and their key."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt

from security.keys import Keys

ALGORITHM = "HS256"
LEEWAY = timedelta(seconds=30)
LONGEST_TOKEN = 2048
GENERATIONS = range(2**31)  # what the database's integer holds

# Times are judged here, by the caller's clock.
JWT = jwt.PyJWT(
    {"enforce_minimum_key_length": True, "strict_aud": True, "verify_exp": False, "verify_iat": False},
)


class InvalidToken(Exception):  # noqa: N818 - it says what is the case
    """The token is not one of ours, or not of this kind."""


class ExpiredToken(InvalidToken):
    """The token is one of ours, but its time is over."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What an access token says: who, in which session, and when it may be used."""

    user_id: UUID
    session_id: UUID
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class RefreshClaims:
    """What a refresh token says. Whether its time is over is for the session's row to say."""

    user_id: UUID
    session_id: UUID
    generation: int


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of token: its `type` and `typ`, the claims it must have, the secrets by `kid`, the signing one first."""

    name: str
    typ: str
    required: list[str]
    secrets: dict[str, bytes] = field(repr=False)

    def sign(self, claims: dict[str, Any]) -> str:
        """The token of these claims."""
        return self._sign({**claims, "type": self.name}, next(iter(self.secrets)))

    def read(self, token: str, *, issuer: str | None = None, audience: str | None = None) -> dict[str, Any]:
        """The claims of a token of this kind, times not judged. Raises InvalidToken."""
        if len(token) > LONGEST_TOKEN:
            raise InvalidToken
        try:
            kid = jwt.get_unverified_header(token)["kid"]
            claims: dict[str, Any] = JWT.decode(
                token,
                self.secrets[kid],
                [ALGORITHM],
                {"require": self.required},
                issuer=issuer,
                audience=audience,
            )
            written = self._sign(claims, kid)
        except (jwt.PyJWTError, KeyError, RecursionError, TypeError, ValueError):  # ValueError: a surrogate, for one
            raise InvalidToken from None
        # We write a token in one way only: other headers, repeated members, padding and white space are not ours.
        if claims.get("type") != self.name or written != token:
            raise InvalidToken
        return claims

    def _sign(self, claims: dict[str, Any], kid: str) -> str:
        return JWT.encode(claims, self.secrets[kid], ALGORITHM, {"typ": self.typ, "kid": kid})


class Tokens:
    """Issues and verifies tokens. The last `remembered` access tokens that verified are known without verifying."""

    def __init__(
        self, keys: Keys, issuer: str, audience: str, access_lifetime: timedelta, *, remembered: int = 4096
    ) -> None:
        self._access = Kind(
            "access",
            "at+jwt",
            ["exp", "iat", "sub", "jti", "sid"],
            {key.kid: key.secret for key in keys.accepted},
        )
        self._refresh = Kind(
            "refresh",
            "refresh+jwt",
            ["exp", "iat", "sub", "sid", "generation"],
            {key.kid: key.subkey("refresh") for key in keys.accepted},
        )
        self._issuer = issuer
        self._audience = audience
        self.access_lifetime = access_lifetime
        self._remembered = remembered
        self._verified: dict[str, Claims] = {}

    def issue_access(self, user_id: UUID, session_id: UUID, now: datetime) -> str:
        """An access token that can be used from now on, for the access lifetime."""
        issued_at = int(now.timestamp())
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": str(user_id),
            "sid": str(session_id),
            "jti": str(uuid4()),
            "iat": issued_at,
            "exp": issued_at + int(self.access_lifetime.total_seconds()),
        }
        return self._access.sign(claims)

    def recognises(self, token: str) -> bool:
        """Whether the token says that it is an access token of ours, by its `typ` and `kid`."""
        if token in self._verified:
            return True
        try:
            header = jwt.get_unverified_header(token)
            return header.get("typ") == self._access.typ and header.get("kid") in self._access.secrets
        except (jwt.PyJWTError, RecursionError, TypeError, ValueError):
            return False

    def verify_access(self, token: str, now: datetime) -> Claims:
        """What the token says, if it is ours and its time is now, within 30 s. Raises InvalidToken, ExpiredToken."""
        known = self._verified.get(token)
        claims = known or self.read_access(token)
        if claims.expires_at <= now - LEEWAY:
            raise ExpiredToken
        if claims.issued_at > now + LEEWAY:
            raise InvalidToken
        if known is None:
            self._remember(token, claims)
        return claims

    def issue_refresh(
        self, user_id: UUID, session_id: UUID, generation: int, issued_at: datetime, expires_at: datetime
    ) -> str:
        """The refresh token of this generation: the same text each time, so that a lost answer can be given again."""
        claims = {
            "sub": str(user_id),
            "sid": str(session_id),
            "generation": generation,
            "iat": int(issued_at.timestamp()),
            "exp": int(expires_at.timestamp()),
        }
        return self._refresh.sign(claims)

    def verify_refresh(self, token: str) -> RefreshClaims:
        """What the token says, if it is ours. Raises InvalidToken."""
        claims = self._refresh.read(token)
        generation = claims["generation"]
        if type(generation) is not int or generation not in GENERATIONS:
            raise InvalidToken
        times(claims)
        return RefreshClaims(identifier(claims["sub"]), identifier(claims["sid"]), generation)

    def read_access(self, token: str) -> Claims:
        """What the token says, if it is ours, whatever its time. Raises InvalidToken."""
        claims = self._access.read(token, issuer=self._issuer, audience=self._audience)
        return Claims(identifier(claims["sub"]), identifier(claims["sid"]), *times(claims))

    def _remember(self, token: str, claims: Claims) -> None:
        if len(self._verified) >= self._remembered:
            del self._verified[next(iter(self._verified))]
        self._verified[token] = claims


def identifier(claim: object) -> UUID:
    """The UUID, if the claim is one in its usual form (RFC 9562, 4). Raises InvalidToken."""
    if not isinstance(claim, str):
        raise InvalidToken
    try:
        found = UUID(claim)
    except ValueError:
        raise InvalidToken from None
    if str(found) != claim:
        raise InvalidToken
    return found


def times(claims: dict[str, Any]) -> tuple[datetime, datetime]:
    """When the token was issued and when it expires, if that is later. Raises InvalidToken."""
    issued_at, expires_at = claims["iat"], claims["exp"]
    if type(issued_at) is not int or type(expires_at) is not int or not 0 <= issued_at < expires_at:
        raise InvalidToken
    try:
        return datetime.fromtimestamp(issued_at, UTC), datetime.fromtimestamp(expires_at, UTC)
    except (ValueError, OverflowError, OSError):  # after the year 9999
        raise InvalidToken from None
