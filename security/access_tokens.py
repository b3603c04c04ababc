"""Access tokens of programs, `dkt_<id>_<secret>`: an HMAC in them tells one of ours before the database is asked."""

import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from secrets import token_bytes
from typing import NamedTuple
from uuid import UUID

from security.keys import Keys
from security.tokens import InvalidToken

PREFIX = "dkt_"
UUIDS = 32  # bytes of the first part: the id of the token and that of its user
RANDOM = 32  # bytes of the second part, before as many of an HMAC
AT = len(PREFIX) + 43  # where the second part begins, after a `_`
LENGTH = AT + 1 + 86
TOKEN = re.compile(rf"{PREFIX}[\w-]+")


class Program(NamedTuple):
    """What a token says: which one it is, whose, and the hash of its secret."""

    token_id: UUID
    user_id: UUID
    secret_hash: bytes


class AccessTokens:
    """Issues and verifies access tokens. The last `remembered` that verified are known without verifying."""

    def __init__(self, keys: Keys, *, remembered: int = 4096) -> None:
        self._subkeys = keys.subkeys("access_token")
        self._remembered = remembered
        self._verified: dict[str, Program] = {}

    def issue(self, token_id: UUID, user_id: UUID) -> tuple[str, bytes]:
        """A new token, and the hash of its secret, which is what may be kept of it."""
        named, secret = token_id.bytes + user_id.bytes, token_bytes(RANDOM)
        return write_token(named, secret, self._subkeys[0]), sha256(secret).digest()

    def verify(self, token: str) -> Program:
        """What the token says, if one of our keys has made it. Raises InvalidToken."""
        if (known := self._verified.get(token)) is not None:
            return known
        named, secret = parts_of(token)
        if not any(hmac.compare_digest(write_token(named, secret, subkey), token) for subkey in self._subkeys):
            raise InvalidToken
        program = Program(UUID(bytes=named[:16]), UUID(bytes=named[16:]), sha256(secret).digest())
        if len(self._verified) >= self._remembered:
            del self._verified[next(iter(self._verified))]
        self._verified[token] = program
        return program


def write_token(named: bytes, secret: bytes, subkey: bytes) -> str:
    """The token, which is written in one way only."""
    return f"{PREFIX}{text(named)}_{text(secret + hmac.digest(subkey, named + secret, 'sha256'))}"


def parts_of(token: str) -> tuple[bytes, bytes]:
    """The ids and the secret of something in the form of a token. Raises InvalidToken."""
    if len(token) != LENGTH or not token.isascii():
        raise InvalidToken
    try:
        named, sealed = urlsafe_b64decode(token[len(PREFIX) : AT] + "="), urlsafe_b64decode(token[AT + 1 :] + "==")
    except ValueError:
        raise InvalidToken from None
    if len(named) != UUIDS:  # characters that are not of the alphabet are passed over
        raise InvalidToken
    return named, sealed[:RANDOM]


def hide_tokens(path: str) -> str:
    """The path of a request without the access tokens that somebody has put there, in place of their ids."""
    return TOKEN.sub(f"{PREFIX}...", path) if PREFIX in path else path


def text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
