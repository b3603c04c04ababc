"""Another issuer: it signs tokens, and publishes its keys by a real HTTP server on the loopback."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

NAME, AUDIENCE = "https://issuer.example", "https://docket.example"
SECRET = "a secret that Better Auth shares with us.."
Private: TypeAlias = Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
ALGORITHMS = ((Ed25519PrivateKey, "EdDSA"), (ec.EllipticCurvePrivateKey, "ES256"), (rsa.RSAPrivateKey, "RS256"))
Reply: TypeAlias = Callable[[asyncio.StreamWriter], Awaitable[None]]


def claims(subject: Any, **others: Any) -> dict[str, Any]:
    """What a token says that is good for a quarter of an hour from now on; None leaves a claim out."""
    now = int(datetime.now(UTC).timestamp())
    said = {"iss": NAME, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + 900} | others
    return {name: value for name, value in said.items() if value is not None}


def sign_shared(subject: Any, secret: str = SECRET, **others: Any) -> str:
    """A token that is signed with the shared secret."""
    return jwt.encode(claims(subject, **others), secret, "HS256")


def public(kid: str, key: Private) -> dict[str, Any]:
    """The JSON Web Key of a key pair."""
    if isinstance(key, Ed25519PrivateKey):
        jwk = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        jwk = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    else:
        jwk = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {"kid": kid, **{name: value for name, value in jwk.items() if name != "key_ops"}}


@dataclass
class Issuer:
    """The issuer. `reply` answers a fetch of its keys instead of itself; `fetches` counts them."""

    url: str = ""
    keys: dict[str, Private] = field(default_factory=lambda: {"first": Ed25519PrivateKey.generate()})
    reply: Reply | None = None
    fetches: int = 0

    @property
    def document(self) -> bytes:
        return json.dumps({"keys": [public(kid, key) for kid, key in self.keys.items()]}).encode()

    def token(self, subject: Any, kid: str = "first", **others: Any) -> str:
        key = self.keys[kid]
        algorithm = next(name for kind, name in ALGORITHMS if isinstance(key, kind))
        return jwt.encode(claims(subject, **others), key, algorithm, {"kid": kid})

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            self.fetches += 1
            if self.reply is None:
                send(writer, self.document)
            else:
                await self.reply(writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):  # who asked has left
            pass
        finally:
            writer.close()


def send(writer: asyncio.StreamWriter, body: bytes, status: str = "200 OK", headers: str = "") -> None:
    writer.write(
        f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body
    )


def sending(body: bytes, status: str = "200 OK", headers: str = "") -> Reply:
    """A reply that is always this."""

    async def reply(writer: asyncio.StreamWriter) -> None:
        send(writer, body, status, headers)

    return reply


@asynccontextmanager
async def publishing() -> AsyncIterator[Issuer]:
    """An issuer whose keys can be fetched."""
    issuer = Issuer()
    server = await asyncio.start_server(issuer.answer, "127.0.0.1", 0)
    async with server:
        issuer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/jwks"
        yield issuer
