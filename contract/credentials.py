"""What a request says of its caller by a security scheme: an API key, a token, a name with its password."""

import binascii
from base64 import b64decode
from urllib.parse import parse_qsl

from contract.exchange import Exchange
from contract.types import Scheme

BY_TOKEN = {"oauth2": "bearer", "openIdConnect": "bearer"}
"""The HTTP scheme of those that end in a token."""


def credentials_of(exchange: Exchange, scheme: Scheme) -> str | None:
    """What an authenticator is to judge; None where the request says nothing by the scheme, or nothing readable.

    Of `basic` it is the name and the password with a colon between. Of `mutualTLS` it is always None: the server in
    front of the application has the certificate.
    """
    if scheme.kind == "apiKey":
        return key_of(exchange, scheme)
    wanted = scheme.detail if scheme.kind == "http" else BY_TOKEN.get(scheme.kind, "")
    kind, _, told = (exchange.header("authorization") or "").partition(" ")
    if kind.lower() != wanted or not told.strip():
        return None
    return decode_basic(told.strip()) if wanted == "basic" else told.strip()


def key_of(exchange: Exchange, scheme: Scheme) -> str | None:
    """The value of an API key: one that is given twice is none."""
    if scheme.where == "header":
        return exchange.header(scheme.detail) or None
    if scheme.where == "query":
        pairs = parse_qsl(exchange.query.decode("latin-1"))
    else:
        parts = [part.partition("=") for part in (exchange.header("cookie") or "").split(";")]
        pairs = [(name.strip(), value.strip()) for name, _, value in parts]
    found = [value for name, value in pairs if name == scheme.detail]
    return found[0] or None if len(found) == 1 else None


def decode_basic(told: str) -> str | None:
    """The name and the password of `basic` (RFC 7617)."""
    try:
        text = b64decode(told, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return text if ":" in text else None
