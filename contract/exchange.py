"""One HTTP request and what is learnt about it on its way, free of any framework."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import IO, Any, TypeAlias
from urllib.parse import quote, unquote
from uuid import UUID

from pydantic import MISSING

from contract.types import Operation, Problem

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ENCODED = re.compile("(?:%[0-9A-Fa-f]{2})+")
NO_CALLERS: Mapping[str, Any] = MappingProxyType({})
RESERVED = frozenset(":/?#[]@!$&'()*+,;=%")


class ClientGone(Exception):  # noqa: N818 - it says what is the case
    """The client has left before its request was read."""


class TooLarge(Exception):  # noqa: N818 - it says what is the case
    """The body is more than the operation takes: of bytes, of values, or of levels."""


class Principal:
    """The account and session of a verified access token; one of another issuer tells neither by itself."""

    __slots__ = ("expires_at", "session_id", "user_id")

    def __init__(self, user_id: UUID | None, session_id: UUID | None, expires_at: datetime | None = None) -> None:
        self.user_id = user_id
        self.session_id = session_id
        self.expires_at = expires_at
        """When the token is over, where it says so itself."""

    @property
    def name(self) -> str:
        """What the requests of a user are counted by."""
        return str(self.user_id)


class Exchange:
    """A request, the operation it turned out to be, who sent it, and headers for its answer."""

    __slots__ = (
        "address",
        "answer_headers",
        "callers",
        "content",
        "cookie",
        "counted_as",
        "files",
        "headers",
        "idempotency_key",
        "media_type",
        "method",
        "on_end",
        "operation",
        "path",
        "principal",
        "query",
        "receive",
        "refusal",
        "request_id",
        "route",
        "scheme",
        "trace_id",
    )

    def __init__(self, scope: Scope, receive: Receive, request_id: str, address: str | None) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        raw_path: bytes | None = scope.get("raw_path")
        self.route = self.path if raw_path is not None and b"%" not in raw_path else partly_decoded(raw_path, self.path)
        """The path in which reserved characters that were encoded still are, as is what is no UTF-8."""
        self.query: bytes = scope["query_string"]
        self.headers = group_headers(scope["headers"])
        self.receive = receive
        self.request_id = request_id
        self.trace_id: str | None = None
        self.address = address
        self.scheme: str = scope.get("scheme", "http")
        self.operation: Operation | None = None
        self.cookie: str | None = None
        """The value of the cookie that may stand for an access token, if it may be trusted."""
        self.principal: Principal | None = None
        self.refusal: Problem | None = None
        """Why the access token that was sent is no good."""
        self.callers: Mapping[str, Any] = NO_CALLERS
        """Who calls, by each scheme of the alternative that the request meets."""
        self.media_type: str | None = None
        """What of several media types the answer shall have."""
        self.files: list[IO[bytes]] = []
        self.content = b""
        """The body, once it is read."""
        self.idempotency_key: str | MISSING = MISSING
        self.answer_headers: list[tuple[str, str]] = []
        self.counted_as: tuple[str, ...] = ()
        """The classes that it was counted as for what its body changes."""
        self.on_end: Callable[[], None] | None = None
        """What to do once the answer is sent, or never will be."""

    def origin(self) -> str:
        """Where the request was sent to, as it says itself."""
        return f"{self.scheme}://{self.header('host') or ''}"

    async def left(self) -> None:
        """Wait until the client has left. What is unread of the body is lost."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    def header(self, name: str) -> str | None:
        """The value of a request header; of a repeated one the values in one list (RFC 9110, 5.3)."""
        value = self.headers.get(field(name))
        return None if value is None else value.decode("latin-1").strip(" \t")

    async def body(self, largest: int) -> bytes:
        """The whole body. Raises TooLarge beyond `largest` bytes, unread where its length is told, and ClientGone."""
        self.refuse_length(largest)
        message = await self.receive()  # mostly all of it, and then a loop would cost more than reading it
        if message["type"] == "http.request" and not message.get("more_body", False):
            self.content = message.get("body", b"")
            if len(self.content) > largest:
                raise TooLarge(larger_than(largest))
            return self.content
        self.content = b"".join([chunk async for chunk in self.chunks_from(message, largest)])
        return self.content

    def refuse_length(self, largest: int) -> None:
        """Raises TooLarge where the length that is told is beyond it."""
        length = self.headers.get(b"content-length")
        if length is not None and int(length) > largest:
            raise TooLarge(larger_than(largest))

    async def chunks(self, largest: int) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises TooLarge beyond `largest` bytes, and ClientGone."""
        self.refuse_length(largest)
        async for chunk in self.chunks_from(await self.receive(), largest):
            yield chunk

    async def chunks_from(self, message: Message, largest: int) -> AsyncIterator[bytes]:
        """The body from a message on."""
        size = 0
        while True:
            if message["type"] == "http.disconnect":
                raise ClientGone
            chunk: bytes = message.get("body", b"")
            size += len(chunk)
            if size > largest:
                raise TooLarge(larger_than(largest))
            yield chunk
            if not message.get("more_body", False):
                return
            message = await self.receive()

    def close_files(self) -> None:
        """Let go of what was uploaded."""
        for file in self.files:
            file.close()


@lru_cache(maxsize=1024)
def field(name: str) -> bytes:
    """The name of a header as requests are searched for it."""
    return name.lower().encode()


def partly_decoded(raw_path: bytes | None, path: str) -> str:
    """The path, decoded but for what would read otherwise then: a slash, a colon, a comma, a percent sign."""
    if raw_path is None:
        return path.replace("%", "%25")
    return ENCODED.sub(decode_unreserved, raw_path.decode("latin-1"))


def decode_unreserved(found: re.Match[str]) -> str:
    """The characters of percent-encoded bytes in a row; those that are reserved (RFC 3986, 2.2) stay encoded."""
    try:
        text = unquote(found[0], errors="strict")
    except UnicodeDecodeError:
        return found[0]
    return "".join(quote(character, safe="") if character in RESERVED else character for character in text)


def larger_than(largest: int) -> str:
    return f"The body is larger than {largest // 1024} KiB."


def group_headers(headers: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The headers by name, in lower case, the values of a repeated one in one list."""
    found = dict(headers)
    if len(found) != len(headers):
        values: dict[bytes, list[bytes]] = {}
        for name, value in headers:
            values.setdefault(name, []).append(value)
        found = {name: b", ".join(several) for name, several in values.items()}
    return found
