"""The key set of another issuer (RFC 7517): fetched when a token needs it, and kept through the issuer's outages."""

import asyncio
import json
import logging
import math
import time
from collections.abc import Callable
from typing import Any

import httpx
import jwt

from security.external_tokens import KeysUnavailable
from security.tokens import InvalidToken

logger = logging.getLogger(__name__)

LIFETIME = 600.0  # seconds after which the keys are fetched again
PAUSE = 60.0  # seconds at least from one fetch to the next
PATIENCE = 5.0  # seconds for a fetch
GLANCE = 1.0  # seconds that a health check waits for one
LARGEST = 256 * 1024  # bytes
MOST_KEYS = 100
KINDS = {("OKP", "Ed25519"): "EdDSA", ("EC", "P-256"): "ES256", ("RSA", None): "RS256"}


class Unusable(Exception):  # noqa: N818 - it says what is the case
    """What was fetched is no key set that tokens can be verified with."""


class KeySet:
    """The public keys that an issuer publishes at a URL, by `kid`. `clock` counts seconds.

    Who needs a key that is known never waits: an old key set is fetched again beside the requests that it serves.
    """

    algorithms = frozenset(KINDS.values())

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.url, self.clock = url, clock
        self.client = httpx.AsyncClient(timeout=PATIENCE)
        self.keys: dict[str, jwt.PyJWK] = {}
        self.document: bytes | None = None
        self.fetched = self.tried = -math.inf
        self.fetching: asyncio.Task[None] | None = None
        self.took: float | None = None

    async def find(self, kid: object, algorithm: str) -> jwt.PyJWK:
        """The key of that name. Raises InvalidToken, and KeysUnavailable when it may be one that cannot be fetched."""
        if not isinstance(kid, str):
            raise InvalidToken
        if kid not in self.keys or self.clock() - self.fetched > LIFETIME:
            self.refetch()
        if kid not in self.keys and self.fetching is not None:
            await asyncio.shield(self.fetching)
        key = self.keys.get(kid)
        if key is None and self.fetched < self.tried:
            raise KeysUnavailable
        if key is None or key.algorithm_name != algorithm:
            raise InvalidToken
        return key

    async def look(self) -> float | None:
        """How many seconds the last fetch took; None when it failed. It is fetched again if it is old."""
        if self.clock() - self.fetched > LIFETIME:
            self.refetch()
        if self.fetching is not None:
            await asyncio.wait([self.fetching], timeout=GLANCE)
        return self.took

    def refetch(self) -> None:
        """Begin to fetch the keys, unless that is under way or was just tried."""
        if self.fetching is None and self.clock() - self.tried >= PAUSE:
            self.tried = self.clock()
            self.fetching = asyncio.create_task(self.fetch())

    async def fetch(self) -> None:
        """Take over the keys at the URL. When that fails, those that we have go on."""
        try:
            async with asyncio.timeout(PATIENCE):
                document = await self.download()
            if document != self.document:
                self.keys = keys_of(document)
                self.document = document
            self.fetched = self.tried
            self.took = self.clock() - self.tried
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, Unusable) as error:
            self.took = None
            logger.warning("the key set of the outside issuer cannot be fetched: %s", repr(error)[:200])
        finally:
            self.fetching = None

    async def download(self) -> bytes:
        """The document. Redirects are not followed. Raises Unusable, httpx.HTTPError."""
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        async with self.client.stream("GET", self.url, headers=headers, follow_redirects=False) as answer:
            if answer.status_code != httpx.codes.OK:
                raise Unusable(f"the answer is {answer.status_code}")
            document = b""
            async for chunk in answer.aiter_raw():  # never decompressed
                document += chunk
                if len(document) > LARGEST:
                    raise Unusable(f"it is larger than {LARGEST} bytes")
            return document

    async def close(self) -> None:
        if self.fetching is not None:
            self.fetching.cancel()
            await asyncio.wait([self.fetching])
        await self.client.aclose()


def keys_of(document: bytes) -> dict[str, jwt.PyJWK]:
    """The keys that verify tokens, by `kid`; others are passed over. Raises Unusable when there is none."""
    try:
        found = json.loads(document)["keys"]
    except (KeyError, RecursionError, TypeError, ValueError):
        raise Unusable("it is no key set") from None
    if not isinstance(found, list) or len(found) > MOST_KEYS:
        raise Unusable(f"it is no list of at most {MOST_KEYS} keys")
    keys = {key["kid"]: usable for key in found if isinstance(key, dict) and (usable := key_of(key)) is not None}
    if not keys:
        raise Unusable("it has no key that could verify tokens")
    return keys


def key_of(key: dict[str, Any]) -> jwt.PyJWK | None:
    """The key, if it is a public one for signatures, with a name, of one of our kinds."""
    algorithm = next((name for kind, name in KINDS.items() if kind == (key.get("kty"), key.get("crv"))), None)
    if algorithm is None:
        return None
    said = key.get("use", "sig"), key.get("alg", algorithm), isinstance(key.get("kid"), str), "d" in key
    if said != ("sig", algorithm, True, False):
        return None
    try:
        return jwt.PyJWK(key, algorithm)
    except (jwt.PyJWTError, KeyError, OverflowError, TypeError, ValueError):
        return None
