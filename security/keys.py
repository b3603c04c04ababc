"""The secret key and the one before it: the names that tokens carry of them, and a subkey for each use."""

import hmac
from base64 import urlsafe_b64encode
from typing import Literal, TypeAlias

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from jwt.algorithms import HMACAlgorithm
from jwt.exceptions import InvalidKeyError

SHORTEST_KEY = 32  # bytes, the least for HS256 (RFC 7518, 3.2)

Label: TypeAlias = Literal["kid", "refresh", "cursor", "throttle", "fingerprint", "deletion", "totp", "access_token"]


class UnusableKey(ValueError):  # noqa: N818 - it says what is the case
    """A key that tokens cannot be signed with. The message says why, and nothing of the key."""


class Key:
    """One secret key."""

    __slots__ = ("kid", "secret")

    def __init__(self, text: str) -> None:
        self.secret = text.encode("utf-8", "surrogateescape")  # as the environment had it
        if len(self.secret) < SHORTEST_KEY:
            raise UnusableKey(f"is shorter than {SHORTEST_KEY} bytes: make one with `openssl rand -hex 32`")
        try:
            HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(self.secret)
        except InvalidKeyError:
            raise UnusableKey("is a PEM, SSH or JSON Web Key: make one with `openssl rand -hex 32`") from None
        self.kid = urlsafe_b64encode(self.subkey("kid")[:9]).decode()

    def subkey(self, label: Label) -> bytes:
        """32 bytes for this use alone, that tell nothing of the key nor of the other subkeys."""
        return HKDF(SHA256(), SHA256.digest_size, salt=None, info=f"docket {label}".encode()).derive(self.secret)


class Keys:
    """The key that signs, and those that are accepted: it and, while what it signed lives, the one before it."""

    __slots__ = ("accepted", "current")

    def __init__(self, current: str, previous: str | None = None) -> None:
        self.current = Key(current)
        self.accepted: tuple[Key, ...] = (self.current,) if previous is None else (self.current, Key(previous))

    def subkeys(self, label: Label) -> tuple[bytes, ...]:
        """The subkeys for this use: first the one that signs, then the one that is accepted too."""
        return tuple(key.subkey(label) for key in self.accepted)

    def digests(self, label: Label, data: str) -> list[bytes]:
        """The keyed hash (HMAC-SHA256, 32 bytes) of a text by each key that is accepted, the one that signs first.

        It tells nothing without the key.
        """
        return [hmac.digest(subkey, data.encode(), "sha256") for subkey in self.subkeys(label)]
