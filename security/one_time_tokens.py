"""Tokens that are used once: 32 random bytes, of which the database keeps a hash."""

import hashlib
import secrets

SIZE = 32  # bytes


def make_token() -> str:
    """A new token, in the letters that a URL has."""
    return secrets.token_urlsafe(SIZE)


def hash_token(token: str) -> bytes:
    """What is kept of a token. It needs no key: there are too many tokens to try."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
