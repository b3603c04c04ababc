"""Access tokens of other issuers: each verifier has one issuer, one kind of key and one namespace of subjects."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Protocol

import jwt
from jwt.types import Options

from security.tokens import LEEWAY, ExpiredToken, InvalidToken

LONGEST_TOKEN = 8192  # half of what a header section may have: others write whole profiles into theirs
LONGEST_SUBJECT = 255
END_OF_TIME = datetime(9999, 12, 31, tzinfo=UTC).timestamp()
TYPES = {None, "jwt", "at+jwt"}

# Times are judged here, by the caller's clock.
JWT = jwt.PyJWT({"enforce_minimum_key_length": True, "verify_exp": False, "verify_iat": False, "verify_nbf": False})


class KeysUnavailable(Exception):  # noqa: N818 - it says what is the case
    """The keys of the issuer cannot be had just now, so that nothing can be said of the token."""


@dataclass(frozen=True)
class Outsider:
    """What a token says: whose it is, since when and until when. Whatever it says of rights is not read."""

    namespace: str
    subject: str
    email: str | None
    """As the issuer has verified it."""
    issued_at: datetime
    authenticated_at: datetime | None
    """When its bearer proved who it is; None: it is not told."""
    usable_from: datetime
    expires_at: datetime
    full_name: str | None = None
    """What the issuer calls the person, whatever is in it."""

    @cached_property
    def name(self) -> str:
        """One short name for each person and namespace."""
        return hashlib.sha256(f"{self.namespace}\0{self.subject}".encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Issuer:
    """What is asked of a token besides its signature. `subject` names the claims that may tell whose it is, by path."""

    namespace: str
    subject: Sequence[str] = ("sub",)
    issuer: str | None = None
    audience: str | None = None
    iat_is_auth_time: bool = False
    """Whether a token without `auth_time` was issued because its bearer proved who it is."""


class KeySource(Protocol):
    """The keys of an issuer, all of one kind. What is found is the same object as long as the key is the same."""

    algorithms: frozenset[str]

    async def find(self, kid: object, algorithm: str, /) -> Any:
        """The key for this algorithm. Raises InvalidToken, KeysUnavailable."""

    async def close(self) -> None:
        """Nothing more is asked for."""


class SharedSecret:
    """The one secret that an issuer and we know."""

    algorithms = frozenset({"HS256"})

    def __init__(self, secret: str) -> None:
        self.secret = secret.encode("utf-8", "surrogateescape")  # as the environment had it

    async def find(self, _kid: object, _algorithm: str) -> bytes:
        return self.secret

    async def close(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Verifier:
    """Verifies the tokens of one issuer."""

    issuer: Issuer
    keys: KeySource

    def read(self, token: str, key: Any, algorithm: str) -> Outsider:
        """What the token says, times not judged. Raises InvalidToken."""
        wanted = self.issuer
        options: Options = {"require": ["exp", "iat"], "verify_aud": wanted.audience is not None}
        try:
            claims = JWT.decode(token, key, [algorithm], options, issuer=wanted.issuer, audience=wanted.audience)
            return outsider_of(claims, wanted)
        except (jwt.PyJWTError, KeyError, RecursionError, TypeError, ValueError):
            raise InvalidToken from None


@dataclass(frozen=True, slots=True)
class Verified:
    """A token that was verified, and the key that did it; it counts as long as its issuer has that key."""

    outsider: Outsider
    verifier: Verifier
    kid: object
    algorithm: str
    key: Any

    async def holds(self) -> bool:
        """Whether the key is still the one of its name. Raises InvalidToken, KeysUnavailable."""
        return await self.verifier.keys.find(self.kid, self.algorithm) is self.key


class Outsiders:
    """Verifies the tokens of other issuers: the algorithm of a token selects the verifier.

    The last `remembered` tokens that verified are known without verifying. None counts for longer than `life`.
    """

    def __init__(
        self, verifiers: Sequence[Verifier], *, remembered: int = 4096, life: timedelta = timedelta(hours=24)
    ) -> None:
        self._verifiers = {name: verifier for verifier in verifiers for name in verifier.keys.algorithms}
        self._remembered = remembered
        self._life = life
        self._verified: dict[str, Verified] = {}

    def remembers(self, token: str) -> bool:
        """Whether the token was verified of late."""
        return token in self._verified

    async def verify(self, token: str, now: datetime) -> Outsider:
        """What the token says, if its time is now, within 30 s. Raises InvalidToken, ExpiredToken, KeysUnavailable."""
        verified = self._verified.get(token)
        if verified is None or not await verified.holds():
            verified = await self._verify(token)
        outsider = verified.outsider
        if self.end_of(outsider) <= now - LEEWAY:
            raise ExpiredToken
        if outsider.usable_from > now + LEEWAY:
            raise InvalidToken
        return outsider

    def end_of(self, outsider: Outsider) -> datetime:
        """Until when the token counts."""
        return min(outsider.expires_at, outsider.issued_at + self._life)

    async def _verify(self, token: str) -> Verified:
        header = header_of(token)
        kid, algorithm = header.get("kid"), header["alg"]
        verifier = self._verifiers.get(algorithm)
        if verifier is None:
            raise InvalidToken
        key = await verifier.keys.find(kid, algorithm)
        verified = Verified(verifier.read(token, key, algorithm), verifier, kid, algorithm, key)
        if len(self._verified) >= self._remembered:
            del self._verified[next(iter(self._verified))]
        self._verified[token] = verified
        return verified

    async def close(self) -> None:
        for keys in {verifier.keys for verifier in self._verifiers.values()}:
            await keys.close()


def header_of(token: str) -> dict[str, Any]:
    """The header of an access token, unverified; it has an `alg`. Raises InvalidToken."""
    if len(token) > LONGEST_TOKEN:
        raise InvalidToken
    try:
        header = jwt.get_unverified_header(token)
        typ, algorithm = header.get("typ"), header["alg"]
    except (jwt.PyJWTError, KeyError, RecursionError, TypeError, ValueError):
        raise InvalidToken from None
    if not isinstance(algorithm, str) or not isinstance(typ, str | None) or (typ and typ.lower()) not in TYPES:
        raise InvalidToken
    return header


def outsider_of(claims: Mapping[str, Any], issuer: Issuer) -> Outsider:
    """Whose the claims are. Raises InvalidToken, KeyError, TypeError, ValueError."""
    issued_at = instant(claims["iat"])
    assumed = issued_at if issuer.iat_is_auth_time else None
    authenticated_at = instant(claims["auth_time"]) if "auth_time" in claims else assumed
    return Outsider(
        namespace=issuer.namespace,
        subject=subject_of(claims, issuer.subject),
        email=verified_email(claims) or verified_email(claims.get("user")),
        issued_at=issued_at,
        authenticated_at=authenticated_at,
        usable_from=max(issued_at, authenticated_at or issued_at, instant(claims.get("nbf", 0))),
        expires_at=instant(claims["exp"]),
        full_name=name if isinstance(name := claims.get("name", member(claims, "user.name")), str) else None,
    )


def subject_of(claims: Mapping[str, Any], paths: Sequence[str]) -> str:
    """The first of these claims that is there. Raises InvalidToken."""
    subject = next((found for path in paths if (found := member(claims, path)) is not None), None)
    if not isinstance(subject, str) or not is_subject(subject):
        raise InvalidToken
    return subject


def is_subject(text: str) -> bool:
    """Whether somebody can be told by it: 1 to 255 characters that can be stored, so no NUL and no surrogates."""
    return 1 <= len(text) <= LONGEST_SUBJECT and re.search("[\0\ud800-\udfff]", text) is None


def member(claims: Any, path: str) -> Any:
    """The member at a path such as `user.id`; the claim of that whole name first. None when there is none."""
    if not isinstance(claims, Mapping):
        return None
    if path in claims:
        return claims[path]
    first, _, rest = path.partition(".")
    return member(claims.get(first), rest) if rest else None


def verified_email(claims: Any) -> str | None:
    """The e-mail, if the issuer says that it is verified: as OpenID Connect says it, or as Better Auth does."""
    if not isinstance(claims, Mapping):
        return None
    verified = claims.get("email_verified", claims.get("emailVerified"))
    email = claims.get("email")
    return email if verified is True and isinstance(email, str) else None


def instant(claim: object) -> datetime:
    """The moment of a NumericDate (RFC 7519, 2). Raises InvalidToken."""
    if isinstance(claim, bool) or not isinstance(claim, int | float) or not 0 <= claim < END_OF_TIME:
        raise InvalidToken
    return datetime.fromtimestamp(claim, UTC)
