"""Secrets that must be read again, encrypted by AES-256-GCM (NIST SP 800-38D) under keys derived from SECRET_KEY."""

import secrets
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from security.keys import Keys, Label

NONCE = 12  # bytes


class Unreadable(Exception):  # noqa: N818 - it says what is the case
    """The secret was encrypted by a key that is no longer accepted, or for another row, or was changed."""


class Decrypted(NamedTuple):
    """A secret, and whether it was encrypted by the key before."""

    secret: bytes
    outdated: bool


class Encryption:
    """Encrypts for one use, each secret bound to the row that it is of: copied to another row it cannot be read."""

    def __init__(self, keys: Keys, label: Label) -> None:
        self._ciphers = [AESGCM(subkey) for subkey in keys.subkeys(label)]

    def encrypt(self, secret: bytes, *, bound_to: bytes) -> bytes:
        """What to keep of a secret, by the key that signs."""
        nonce = secrets.token_bytes(NONCE)
        return nonce + self._ciphers[0].encrypt(nonce, secret, bound_to)

    def decrypt(self, kept: bytes, *, bound_to: bytes) -> Decrypted:
        """The secret, by whichever accepted key encrypted it. Raises Unreadable."""
        for number, cipher in enumerate(self._ciphers):
            try:
                return Decrypted(cipher.decrypt(kept[:NONCE], kept[NONCE:], bound_to), outdated=number > 0)
            except (InvalidTag, ValueError):  # ValueError: it is cut short
                continue
        raise Unreadable
