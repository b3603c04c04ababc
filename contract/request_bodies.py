"""Reads request bodies by their media types: JSON and JSON lines, forms, texts, and files that go to a spool."""

from collections.abc import Mapping
from tempfile import SpooledTemporaryFile
from typing import Any
from urllib.parse import parse_qsl

from pydantic import MISSING, TypeAdapter, ValidationError

from contract import media_types
from contract.directions import drop_unsent
from contract.exchange import Exchange
from contract.media_types import MediaType
from contract.parsing import parse_json
from contract.refusals import Condition, Refuse
from contract.schemas import Schemas
from contract.spools import IN_MEMORY, MOST_MEMBERS, write
from contract.styles import Convert, converter
from contract.types import Body, Content, Fault, File, Part
from contract.validation import faults, pointer

MOST_KNOWN = 64  # media types that an operation remembers
PLAIN = "identity"  # the content coding that is none


class BodyReader:
    """Reads the body of one operation, of whichever of its media types."""

    def __init__(
        self,
        body: Body,
        schemas: Schemas,
        refuse: Mapping[Condition, Refuse],
        *,
        is_patch: bool,
        drops_empty: bool,
        drops_unsent: bool = False,
    ) -> None:
        self.body, self.schemas, self.refuse = body, schemas, refuse
        self.drops_empty, self.drops_unsent = drops_empty, drops_unsent
        self.accept = "accept_patch" if is_patch else "accept"
        self.told = ", ".join(content.media_type for content in body.contents)
        ordered = sorted(body.contents, key=rank)
        self.contents = [(media_types.parse_media_type(content.media_type), content) for content in ordered]
        self.checks = {one.media_type: schemas[one.schema] for one in body.contents if one.schema is not None}
        self.items = {one.media_type: schemas[one.item] for one in body.contents if one.item is not None}
        self.converts: dict[str, dict[str, Convert]] = {
            one.media_type: {n: converter(part.scalar, schemas) for n, part in one.parts.items() if part.scalar}
            for one in body.contents
        }
        self.known: dict[str, Content | None] = {}
        """What the media types that came were taken as."""
        self.has_files = any(one.kind in ("file", "multipart") for one in body.contents)

    async def read(self, exchange: Exchange, found: list[Fault]) -> Any:
        """The body as the handler is given it. Raises TooLarge, and the problem for what cannot be read."""
        given = exchange.header("content-type") or ""
        if self.has_files and (content := self.content_of(given)) is not None and content.kind in ("file", "multipart"):
            return await self.read_stored(exchange, content, media_types.parse_media_type(given), found)
        raw = await exchange.body(self.body.largest)
        if not raw and not self.body.required:
            return MISSING
        content = self.content_of(given)
        if content is None:
            raise self.unsupported_body(f"This operation takes {self.told}.")
        self.refuse_coding(exchange)
        told: list[Fault] = []
        value = self.value_of(content, raw, given, told)
        if told:
            found += told
            return MISSING
        if wrong := self.wrong_with(content, value):
            found += wrong
            return MISSING
        if self.drops_unsent and (check := self.checks.get(content.media_type)) is not None:
            drop_unsent(check, value)
        return wrap_value(content, validate_value(content.adapter, value, found))

    def wrong_with(self, content: Content, value: Any) -> list[Fault]:
        """What the schema says of a value; of lines, that of each."""
        if content.item is not None:
            item = self.items[content.media_type]
            return [fault for i, one in enumerate(value) for fault in faults("body", item, one, (str(i),))]
        check = self.checks.get(content.media_type)
        return [] if check is None or check.is_valid(value) else faults("body", check, value)

    def content_of(self, given: str) -> Content | None:
        """What the operation takes of this media type."""
        if given in self.known:
            return self.known[given]
        content = self.content_for(given)
        if len(self.known) < MOST_KNOWN:
            self.known[given] = content
        return content

    def content_for(self, given: str) -> Content | None:
        """What a media type is taken as."""
        told = media_types.parse_media_type(given)
        for media_type, content in self.contents:
            if media_type.covers(told):
                is_text = content.kind in ("text", "file", "multipart")
                return content if is_text or told.charset in (None, *media_types.ASCII) else None
        return None

    def refuse_coding(self, exchange: Exchange) -> None:
        coding = exchange.header("content-encoding")
        if coding is not None and coding.lower() not in ("", PLAIN):
            raise self.unsupported_body("This operation takes a body without a content coding.", accept_encoding=PLAIN)

    def unsupported_body(self, detail: str, **more: str) -> Exception:
        """The problem for a body that is written otherwise than the operation takes it."""
        return self.refuse["media_type"](detail, **{self.accept: self.told}, **more)

    def malformed_body(self, detail: str) -> Exception:
        return self.refuse["malformed"](detail)

    def value_of(self, content: Content, raw: bytes, given: str, found: list[Fault]) -> Any:
        """The JSON value that the bytes stand for; MISSING where faults were found."""
        if content.kind == "json":
            return self.json(raw)
        if content.kind == "lines":
            return [self.json(line) for line in raw.split(b"\n") if line.strip()]
        if content.kind == "text":
            return self.text(raw, media_types.parse_media_type(given).charset)
        return self.form(content, raw, found)

    def json(self, raw: bytes) -> Any:
        try:
            return parse_json(raw)
        except ValueError as error:
            raise self.malformed_body(f"The body is not JSON: {error}.") from None

    def text(self, raw: bytes, charset: str | None) -> str:
        """The text. One in a character set that there is not is of another media type."""
        try:
            return raw.decode(charset or "utf-8")
        except LookupError:
            raise self.unsupported_body(f"This operation takes {self.told} in UTF-8.") from None
        except UnicodeDecodeError:
            raise self.malformed_body(f"The body is no text in {charset or 'UTF-8'}.") from None

    def form(self, content: Content, raw: bytes, found: list[Fault]) -> Any:
        """The members of a form; in RFC 6749, 3.2, empty ones count as left out."""
        try:
            pairs = parse_qsl(
                raw.decode("ascii"),
                errors="strict",
                max_num_fields=MOST_MEMBERS,
                keep_blank_values=not self.drops_empty,
            )
        except ValueError:
            raise self.malformed_body("The body is not a form in percent-encoded UTF-8.") from None
        given: dict[str, list[str]] = {}
        for name, text in pairs:
            given.setdefault(name, []).append(text)
        return {name: self.member(content, name, texts, found) for name, texts in given.items()}

    def member(self, content: Content, name: str, texts: list[str], found: list[Fault]) -> Any:
        """The JSON value of a member of a form."""
        part = content.parts.get(name)
        convert = self.converts[content.media_type].get(name)
        if part is not None and part.alone is not None and len(texts) == 1:
            value = converter(part.alone, self.schemas)(texts[0])
            if self.schemas[part.alone.schema].is_valid(value):
                return value
        if part is not None and part.is_list:
            return [self.one(part, convert, name, text, found) for text in texts]
        if len(texts) > 1 and (part is not None or self.drops_empty):
            raise self.malformed_body("A member of the form is repeated.")
        if len(texts) > 1:
            return texts
        return self.one(part, convert, name, texts[0], found)

    def one(self, part: Part | None, convert: Convert | None, name: str, text: str, found: list[Fault]) -> Any:
        if part is not None and part.kind == "json":
            try:
                return parse_json(text.encode())
            except ValueError:
                found.append(Fault("body", pointer([name]), "format", "Must be JSON"))
                return MISSING
        return convert(text) if convert else text

    async def read_stored(self, exchange: Exchange, content: Content, given: MediaType, found: list[Fault]) -> Any:
        """A body that is a file, or a form with files."""
        self.refuse_coding(exchange)
        if content.kind == "file":
            spool = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - it is closed when the handler has returned
            exchange.files.append(spool)
            size = 0
            async for chunk in exchange.chunks(self.body.largest):
                size += len(chunk)
                await write(spool, chunk, size)
            if not size and not self.body.required:
                return MISSING
            spool.seek(0)
            return wrap_value(content, File(spool, size, given.essence))
        from contract.multipart_forms import read_parts  # noqa: PLC0415 - only those need it who take files

        texts, files = await read_parts(self, exchange, content, given, found)
        return self.multipart(content, texts, files, found)

    def multipart(
        self, content: Content, texts: dict[str, list[str]], files: dict[str, list[File]], found: list[Fault]
    ) -> Any:
        """The members of a form with files: judged as JSON, in which a file is a text of no length, and typed."""
        value: dict[str, Any] = {n: self.member(content, n, given, found) for n, given in texts.items()}
        stand_ins = {n: [""] * len(given) if content.parts[n].is_list else "" for n, given in files.items()}
        if not found:
            found += self.wrong_with(content, value | stand_ins)
        if found:
            return MISSING
        uploaded = {n: given if content.parts[n].is_list else given[0] for n, given in files.items()}
        members = {
            n: validate_value(content.adapters[n], one, found, (n,)) for n, one in value.items() if n in content.parts
        }
        given_members = {content.parts[n].argument: one for n, one in {**members, **uploaded}.items()}
        return MISSING if found else wrap_value(content, content.type(**given_members))


def rank(content: Content) -> tuple[int, int]:
    """What says more of a media type goes before."""
    told = media_types.parse_media_type(content.media_type)
    return told.essence.count("*"), -len(told.parameters)


def validate_value(adapter: TypeAdapter[Any], value: Any, found: list[Fault], place: tuple[str, ...] = ()) -> Any:
    """The value as the generated model types it; what only the model refuses is a fault too."""
    try:
        return adapter.validator.validate_python(value)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        found += [Fault("body", pointer((*place, *one["loc"])), "format", one["msg"]) for one in details]
        return MISSING


def wrap_value(content: Content, value: Any) -> Any:
    """The value, in what tells its media type where there are several."""
    return value if content.wrapper is None or value is MISSING else content.wrapper(value)
