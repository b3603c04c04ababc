"""Writes results as answers: status, headers, and the body in one of the media types that the contract has."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, NamedTuple, TypeAlias

from pydantic import MISSING, BaseModel
from pydantic_core import from_json, to_json, to_jsonable_python

from contract import media_types
from contract.conditional_requests import is_named
from contract.exchange import Exchange
from contract.schemas import Schemas
from contract.types import (
    ContractError,
    Event,
    Headers,
    Json,
    Operation,
    Reply,
    Representation,
    Result,
    SetHeader,
    Streamed,
    Text,
)
from contract.validation import faults

Page: TypeAlias = Callable[[Any], bytes]
Mismatched: TypeAlias = Callable[[Operation, ContractError], None]
LARGEST_CHECKED = 1024 * 1024  # bytes of a streamed body, which is not streamed to be held in memory here
NO_BODY = (204, 304)


class Answer(NamedTuple):
    """What is sent: the status, the headers that this answer has of its own, and the body."""

    status: int
    headers: Headers
    body: bytes | Streamed[Any]


class Written:
    """How the results of one class are written."""

    def __init__(self, reply: Reply, schemas: Schemas) -> None:
        self.reply = reply
        self.headers = reply.headers
        self.json = [one for one in reply.contents if media_types.is_json(one.media_type)]
        self.ranges = [media_types.parse_media_type(one.media_type) for one in reply.contents]
        self.streams = {one.media_type: one for one in reply.contents if one.item is not None}
        self.is_plain = len(self.json) == 1 and not self.streams
        """Whether what is no text is JSON of one kind."""
        self.schemas = schemas

    def representation_of(self, content: Any, wanted: str | None) -> Representation | None:
        """The JSON that a body is: of several kinds the wanted one, if the body is of its type."""
        fitting = [one for one in self.json if not isinstance(one.type, type) or isinstance(content, (one.type, Json))]
        return next((one for one in fitting if one.media_type == wanted), None) or next(
            iter(fitting or self.json), None
        )

    def stream_of(self, wanted: str | None) -> Representation | None:
        return self.streams.get(wanted or "") or next(iter(self.streams.values()), None)


class Writer:
    """Writes the results of one operation. Raises ContractError for what it does not declare."""

    def __init__(self, operation: Operation, schemas: Schemas, page: Page | None, mismatched: Mismatched) -> None:
        self.operation, self.page, self.schemas, self.mismatched = operation, page, schemas, mismatched
        self.written = {reply.result: Written(reply, schemas) for reply in operation.replies}
        statuses = {reply.declared_as for reply in operation.replies} | {str(one.status) for one in operation.problems}
        self.statuses = statuses
        good = [reply for reply in operation.replies if reply.declared_as[0] in "23"]
        offered = dict.fromkeys(one.media_type for reply in good for one in reply.contents)
        self.offered = tuple(offered)
        self.has_choice = len(offered) > 1 and page is None
        """Whether `Accept` decides what the body is."""
        self.is_strict = "406" in statuses and bool(offered)
        """Whether it may want what there is not."""

    def write(self, result: Result, exchange: Exchange, if_none_match: str | MISSING, *, check: bool) -> Answer:
        """The answer for a result."""
        kind = type(result)
        written = self.written.get(kind)
        if written is None:
            raise ContractError(f"{self.operation.id} answered {kind.__name__}, which the contract does not declare")
        status = result.status if not kind.declared else self.status_of(result)
        headers = list(kind.constant_headers)
        for header in written.headers:
            value = getattr(result, header.member)
            if value is None:
                if header.required and check:
                    self.tell(f"{self.operation.id} {status} lacks the header {header.name}")
                continue
            if header.name == "ETag" and if_none_match is not MISSING and is_named(value, if_none_match):
                return Answer(304, (*kind.constant_headers, ("ETag", value)), b"")
            headers.append((header.name, self.header(header, value, status, check=check)))
        if not kind.media_types:
            return Answer(status, tuple(headers), b"")
        content: Any = result.body  # type: ignore[attr-defined]  # every result with a media type has one
        media_type, body = self.represent(written, content, status, exchange, check=check)
        if self.page is not None or self.has_choice or isinstance(content, Text):
            headers.append(("Vary", "Accept"))
        headers.append(("Content-Type", media_type))
        return Answer(status, tuple(headers), body)

    def represent(
        self, written: Written, content: Any, status: int, exchange: Exchange, *, check: bool
    ) -> tuple[str, bytes | Streamed[Any]]:
        """The media type and the bytes of a body."""
        if isinstance(content, Text):
            self.refuse_undeclared(written, content.media_type, status)
            return content.media_type, content
        if self.page is not None and prefers_html(exchange.header("accept")):
            return "text/html; charset=utf-8", self.page(content)
        if not written.is_plain:
            return self.other(written, content, status, exchange.media_type, check=check)
        representation = written.json[0]
        return representation.media_type, self.body(representation, content, status, check=check)

    def status_of(self, result: Result) -> int:
        """The status of a result that may have several. Raises ContractError."""
        status, declared = result.status, type(result).declared
        is_within = declared == "default" or declared[0] == str(status)[0]
        if not is_within or str(status) in self.statuses or not 200 <= status <= 599:  # noqa: PLR2004 - RFC 9110
            raise ContractError(f"{self.operation.id} answered {status}, which is not what {declared} is declared for")
        return status

    def refuse_undeclared(self, written: Written, media_type: str, status: int) -> None:
        """Raises ContractError for a text of a media type that is not declared."""
        told = media_types.parse_media_type(media_type)
        if not any(one.covers(told) for one in written.ranges):
            known = ", ".join(one.media_type for one in written.reply.contents)
            raise ContractError(
                f"{self.operation.id} answered {media_type} with {status}, which is declared as {known}"
            )

    def other(
        self, written: Written, content: Any, status: int, wanted: str | None, *, check: bool
    ) -> tuple[str, bytes | Streamed[Any]]:
        """The media type and the bytes of a body of several kinds, or of a stream."""
        if isinstance(content, AsyncIterator):
            stream = written.stream_of(wanted)
            if stream is None:
                raise ContractError(f"{self.operation.id} answered a stream with {status}, which is not declared")
            return stream.media_type, Streamed(self.pieces(stream, content, status, check=check))
        representation = written.representation_of(content, wanted)
        if representation is None:
            known = ", ".join(one.media_type for one in written.reply.contents)
            raise ContractError(f"{self.operation.id} answered JSON with {status}, which is declared as {known}")
        return representation.media_type, self.body(representation, content, status, check=check)

    async def pieces(
        self, stream: Representation, items: AsyncIterator[Any], status: int, *, check: bool
    ) -> AsyncGenerator[bytes, None]:
        """The items of a stream, each judged and written as its media type wants it."""
        write = (
            written_event
            if media_types.parse_media_type(stream.media_type).essence == "text/event-stream"
            else written_line
        )
        judge = self.schemas[stream.item] if stream.item is not None else None
        try:
            async for item in items:
                if check and judge is not None:
                    data = item.data if isinstance(item, Event) else item
                    if data is not MISSING:
                        told = from_json(data) if isinstance(data, Json) else to_jsonable_python(data)
                        self.judge(f"an item of {self.operation.id} {status}", judge, told)
                yield write(item)
        finally:
            if isinstance(items, AsyncGenerator):
                await items.aclose()

    def header(self, header: SetHeader, value: Any, status: int, *, check: bool) -> str:
        """The text of a header. Raises ContractError for one that would be read as several."""
        if check:
            told = to_jsonable_python(value)
            self.judge(f"the header {header.name} of {self.operation.id} {status}", self.schemas[header.schema], told)
        text = value if type(value) is str and not header.is_json else header_text(header, value)
        if not text.isprintable():
            raise ContractError(f"the header {header.name} of {self.operation.id} {status} has a control character")
        return text

    def body(self, one: Representation, content: Any, status: int, *, check: bool) -> bytes | Streamed[Any]:
        """The content as JSON text."""
        if isinstance(content, Streamed):
            return Streamed(self.check_pieces(one, content.pieces, status)) if check else content
        text = text_of(content)
        if check:
            self.check(one, text, status)
        return text

    async def check_pieces(
        self, one: Representation, pieces: AsyncGenerator[bytes, None], status: int
    ) -> AsyncGenerator[bytes, None]:
        """The pieces; the whole of them is checked at the end, unless it is too large to be held."""
        whole = bytearray()
        async with aclosing(pieces):
            async for piece in pieces:
                if len(whole) <= LARGEST_CHECKED:
                    whole += piece
                yield piece
        if len(whole) <= LARGEST_CHECKED:
            self.check(one, bytes(whole), status)

    def check(self, one: Representation, body: bytes, status: int) -> None:
        """Tell the server of a body that breaks its schema."""
        if one.schema is not None:
            self.judge(f"the body of {self.operation.id} {status}", self.schemas[one.schema], from_json(body))

    def judge(self, name: str, check: Any, value: Any) -> None:
        wrong = faults("body", check, value)
        if wrong:
            places = "; ".join(f"{fault.pointer}: {fault.detail}" for fault in wrong)
            self.tell(f"{name} breaks its schema: {places}")

    def tell(self, reason: str) -> None:
        self.mismatched(self.operation, ContractError(reason))


def written_line(item: Any) -> bytes:
    """A line of JSON."""
    return to_json(item) + b"\n"


def written_event(item: Any) -> bytes:
    """An event of `text/event-stream` (HTML, 9.2). Raises ContractError for a name or an id of several lines."""
    event = item if isinstance(item, Event) else Event(data=item)
    lines: list[str] = []
    said = ("", event.comment), ("event", event.event), ("id", event.id), ("retry", event.retry)
    for name, value in said:
        if value is not None:
            if not str(value).isprintable():
                raise ContractError(f"the {name or 'comment'} of an event has a control character")
            lines.append(f"{name}: {value}")
    if event.data is not MISSING:
        data = event.data if isinstance(event.data, str) else text_of(event.data).decode()
        lines += [f"data: {line}" for line in data.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    return ("\n".join(lines) + "\n\n").encode()


def header_text(header: SetHeader, value: Any) -> str:
    """The text of a header in the style `simple`, or as JSON."""
    if header.is_json:
        return to_json(value).decode()
    told = to_jsonable_python(value)
    return ",".join(map(scalar_text, told)) if isinstance(told, list) else scalar_text(told)


def scalar_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return to_json(value).decode()


def text_of(content: BaseModel | bytes) -> bytes:
    """The body as JSON text; what PostgreSQL wrote is JSON already."""
    return content if isinstance(content, Json) else to_json(content)


def prefers_html(accept: str | None) -> bool:
    """Whether `Accept` gives HTML more weight than JSON, as browsers do (RFC 9110, 12.5.1)."""
    weights: dict[str, float] = {}
    for item in (accept or "").lower().split(","):
        media_type, *parameters = [part.strip() for part in item.split(";")]
        quality = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        weights[media_type] = float(quality) if quality.replace(".", "", 1).isdecimal() else 0
    anything = weights.get("*/*", 0.0)
    json = max(weights.get(kind, 0.0) for kind in ("application/json", "application/*", "application/problem+json"))
    return weights.get("text/html", weights.get("text/*", 0.0)) > max(anything, json)
