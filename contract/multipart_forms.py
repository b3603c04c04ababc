"""Reads multipart/form-data while it arrives: texts into memory, files into spools (RFC 7578)."""

from tempfile import SpooledTemporaryFile
from typing import IO, Protocol

from multipart import MultipartError, MultipartSegment, ParserLimitReached, PushMultipartParser  # type: ignore[import-untyped]

from contract import media_types
from contract.exchange import Exchange, TooLarge
from contract.media_types import MediaType
from contract.spools import IN_MEMORY, MOST_MEMBERS, write
from contract.types import Body, Content, Fault, File
from contract.validation import pointer

LONGEST_TEXT = 1024 * 1024  # bytes of a member that is no file
Texts = dict[str, list[str]]
Files = dict[str, list[File]]


class BodyReader(Protocol):
    """What reads the bodies of an operation."""

    body: Body

    def malformed_body(self, detail: str, /) -> Exception:
        """The problem for what cannot be read."""

    def text(self, raw: bytes, charset: str | None, /) -> str:
        """The text that bytes are. Raises the problem for none."""


class Arriving:
    """The part that arrives: its name, whether it is a file, and what has come of it."""

    def __init__(self, name: str, media_type: str, filename: str | None, spool: IO[bytes] | None) -> None:
        self.name, self.media_type, self.filename, self.spool = name, media_type, filename, spool
        self.text, self.size = bytearray(), 0

    async def take(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self.spool is not None:
            await write(self.spool, chunk, self.size)
            return
        if self.size > LONGEST_TEXT:
            raise TooLarge(f"The member {self.name} is larger than {LONGEST_TEXT // 1024} KiB.")
        self.text += chunk


async def read_parts(
    reader: BodyReader, exchange: Exchange, content: Content, given: MediaType, found: list[Fault]
) -> tuple[Texts, Files]:
    """The texts and the files by name. Raises TooLarge, and the problem for what is no multipart/form-data."""
    texts: Texts = {}
    files: Files = {}
    boundary = dict(given.parameters).get("boundary", "")
    try:
        with PushMultipartParser(boundary, max_segment_count=MOST_MEMBERS, strict=True) as parser:
            part: Arriving | None = None
            async for chunk in exchange.chunks(reader.body.largest):
                for event in parser.parse(chunk) if chunk else ():
                    if event is None:
                        assert part is not None  # noqa: S101 - a part has begun before it ends
                        keep(reader, content, part, texts, files)
                    elif isinstance(event, (bytes, bytearray)):
                        assert part is not None  # noqa: S101 - as above
                        await part.take(bytes(event))
                    else:
                        part = begin_part(exchange, content, event, found)
    except ParserLimitReached as error:
        raise TooLarge(f"The form is larger than is read: {error}.") from None
    except (MultipartError, UnicodeDecodeError) as error:
        raise reader.malformed_body(f"The body is no multipart/form-data: {error}.") from None
    return texts, files


def begin_part(exchange: Exchange, content: Content, head: MultipartSegment, found: list[Fault]) -> Arriving:
    """What a part is, by its head. A file has the media type that its member wants."""
    name, media_type = head.name or "", head.content_type
    told = content.parts.get(name)
    spool: IO[bytes] | None = None
    if told is not None and told.kind == "file":
        spool = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - it is closed when the handler has returned
        exchange.files.append(spool)
        given = media_types.parse_media_type(media_type or "application/octet-stream")
        if told.media_types and not any(media_types.parse_media_type(one).covers(given) for one in told.media_types):
            detail = f"Must be {' or '.join(told.media_types)}"
            found.append(Fault("body", pointer([name]), "media_type", detail))
    return Arriving(name, media_type or "application/octet-stream", head.filename, spool)


def keep(reader: BodyReader, content: Content, part: Arriving, texts: Texts, files: Files) -> None:
    """Put a part that has arrived where it belongs. Raises the problem for a text that is none, or a file too many."""
    told = content.parts.get(part.name)
    if part.spool is None:
        texts.setdefault(part.name, []).append(reader.text(bytes(part.text), None))
        return
    part.spool.seek(0)
    files.setdefault(part.name, []).append(File(part.spool, part.size, part.media_type, part.filename))
    if len(files[part.name]) > 1 and not (told and told.is_list):
        raise reader.malformed_body("A member of the form is repeated.")
