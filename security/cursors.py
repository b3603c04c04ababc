"""Cursors: where the next page of a list begins, signed so that no client writes one and no other list takes it."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import blake2b

from security.keys import Keys

SEAL_LENGTH = 16
LONGEST_CURSOR = 2400  # as the contract's parameter `cursor`; the longest sort key, of a title, makes 2,206


class InvalidCursor(Exception):  # noqa: N818 - it says what is the case
    """The cursor was not sealed here, or for another scope."""


class Cursors:
    """Seals and opens cursors. A scope is whatever a cursor belongs to: the caller, the operation, filters and sort."""

    def __init__(self, keys: Keys) -> None:
        self._subkeys = keys.subkeys("cursor")

    def seal(self, position: Sequence[str], scope: bytes) -> str:
        """The cursor for a position, in base64url without padding: one text or more, without U+0000."""
        payload = "\0".join(position).encode()
        return _write(_seal(self._subkeys[0], scope, payload) + payload)

    def open(self, cursor: str, scope: bytes) -> tuple[str, ...]:
        """The position that was sealed for this scope. Raises InvalidCursor."""
        if len(cursor) > LONGEST_CURSOR:
            raise InvalidCursor
        try:
            sealed = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        except ValueError:
            raise InvalidCursor from None
        if _write(sealed) != cursor:  # the decoder skips what is not base64
            raise InvalidCursor
        seal, payload = sealed[:SEAL_LENGTH], sealed[SEAL_LENGTH:]
        if not any(hmac.compare_digest(seal, _seal(subkey, scope, payload)) for subkey in self._subkeys):
            raise InvalidCursor
        return tuple(payload.decode().split("\0"))


def _seal(subkey: bytes, scope: bytes, payload: bytes) -> bytes:
    """The keyed BLAKE2b (RFC 7693). The scope's length keeps the scope and the payload apart."""
    return blake2b(len(scope).to_bytes(8, "big") + scope + payload, key=subkey, digest_size=SEAL_LENGTH).digest()


def _write(sealed: bytes) -> str:
    return urlsafe_b64encode(sealed).rstrip(b"=").decode()
