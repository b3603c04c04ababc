"""Texts as JSON values: what a parameter may be, and how its style writes it (OpenAPI 3.1.1, 4.8.12.6)."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import isfinite
from typing import Any, TypeAlias
from urllib.parse import unquote, unquote_plus

from contract.exchange import TooLarge
from contract.parsing import parse_json
from contract.schemas import Schemas
from contract.types import Array, Members, Parameter, Scalar

LONGEST_NUMBER = 30  # digits of a number that are looked at
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?P<rest>(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)", re.ASCII)
WHOLE = re.compile(r"\.0+")
"""What may follow an integer, which JSON Schema takes 1.0 for, too."""
DELIMITERS = {"spaceDelimited": re.compile(r"%20|\+| "), "pipeDelimited": re.compile(r"%7C|\|", re.IGNORECASE)}
COMMA, ENCODED_COMMA = re.compile(","), re.compile(",|%2C", re.IGNORECASE)
Decode: TypeAlias = Callable[[str], str]
Convert: TypeAlias = Callable[[str], Any]
Read: TypeAlias = Callable[[Sequence[str]], Any]


class Unreadable(ValueError):  # noqa: N818 - it says what is the case
    """A text is not written as its style wants it: the place below the parameter, the code of the fault, and why."""

    def __init__(self, code: str, detail: str, *place: str) -> None:
        super().__init__(code, detail, *place)
        self.code, self.detail, self.place = code, detail, place


def verbatim(text: str) -> str:
    return text


def decode_percent(text: str) -> str:
    """The text that is percent-encoded. Raises UnicodeDecodeError."""
    return unquote(text, errors="strict") if "%" in text else text


def decoded_plus(text: str) -> str:
    """The text that is percent-encoded as in a form, where a plus is a blank. Raises UnicodeDecodeError."""
    return unquote_plus(text, errors="strict")


def json_value(kind: str, text: str) -> Any:
    """The JSON value that a text stands for; a text that stands for none stays one, and fails its schema."""
    if kind == "boolean" and text in ("true", "false"):
        return text == "true"
    if kind in ("integer", "number") and (found := NUMBER.fullmatch(text)):
        if not found["rest"] or (kind == "integer" and WHOLE.fullmatch(found["rest"])):
            return int(text.partition(".")[0][:LONGEST_NUMBER])
        if kind == "number" and len(text) <= LONGEST_NUMBER and isfinite(value := float(text)):
            return value
    return text


def converter(scalar: Scalar, schemas: Schemas) -> Convert:
    """How a text becomes a value: of several kinds the first that the schema takes."""
    kinds, place = scalar

    def convert(text: str) -> Any:
        values = [json_value(kind, text) for kind in kinds]
        if len(text) > LONGEST_NUMBER and values[0] is not text and schemas[place].is_valid(values[0]):
            return text  # it was cut, which only what is out of bounds may be
        if len(values) == 1:
            return values[0]
        fitting = [value for value in values if schemas[place].is_valid(value)]
        return (fitting or [value for value in values if value is not text] or values)[0]

    if kinds == ("string",):
        return verbatim
    return convert


def reader_of(p: Parameter, schemas: Schemas) -> Read:
    """How the texts of a parameter, as they came, become its value. Raises Unreadable, UnicodeDecodeError."""
    decode = {"header": verbatim, "query": decode_percent if p.allow_reserved else decoded_plus}.get(
        p.where, decode_percent
    )
    if p.media_type is not None:
        return content_reader(p.media_type, decode)
    if isinstance(p.shape, Scalar):
        convert, begin = converter(p.shape, schemas), beginning(p)
        if begin:
            return lambda texts: convert(decode(after(once(texts), begin)))
        return lambda texts: convert(decode(once(texts)))
    if isinstance(p.shape, Array):
        return array_reader(p, schemas, converter(p.shape.items, schemas), decode)
    known = {name: converter(one, schemas) for name, one in p.shape.known.items()}
    return object_reader(p, known, converter(p.shape.others, schemas) if p.shape.others else None, decode)


def is_plain(p: Parameter) -> bool:
    """Whether a text of the parameter in which nothing is encoded is its value."""
    return (
        p.media_type is None
        and p.where == "path"
        and p.style == "simple"
        and isinstance(p.shape, Scalar)
        and p.shape.kinds == ("string",)
    )


def content_reader(media_type: str, decode: Decode) -> Read:
    """How a parameter is read that is a whole document of a media type."""

    def read(texts: Sequence[str]) -> Any:
        text = decode(once(texts))
        if not media_type.endswith("json"):
            return text
        try:
            return parse_json(text.encode())
        except (ValueError, TooLarge) as error:
            raise Unreadable("format", f"Must be JSON: {error}") from None

    return read


def array_reader(p: Parameter, schemas: Schemas, convert: Convert, decode: Decode) -> Read:
    """How a list is read."""
    begin = beginning(p)
    if p.where == "query" and p.style == "form" and p.explode:
        read_all: Read = lambda texts: [convert(decode(text)) for text in texts]  # noqa: E731 - as the others here
        alone = p.shape.alone if isinstance(p.shape, Array) else None
        return read_all if alone is None else alone_reader(alone, schemas, read_all, decode)
    between = delimiter(p)
    is_nothing = not schemas[p.schema].is_valid([""])

    def read(texts: Sequence[str]) -> list[Any]:
        text = after(once(texts), begin)
        if not text and is_nothing:
            return []
        return [convert(decode(part.strip(" \t") if p.where == "header" else part)) for part in between.split(text)]

    return read


def alone_reader(alone: Scalar, schemas: Schemas, read_all: Read, decode: Decode) -> Read:
    """How a list is read, or one text that is none: what the schema takes as it is."""
    convert, check = converter(alone, schemas), schemas[alone.schema]

    def read(texts: Sequence[str]) -> Any:
        if len(texts) == 1 and check.is_valid(value := convert(decode(texts[0]))):
            return value
        return read_all(texts)

    return read


def delimiter(p: Parameter) -> re.Pattern[str]:
    """What stands between the parts of a list or an object."""
    if p.explode and p.style == "label":
        return re.compile(r"\.")
    if p.explode and p.style == "matrix":
        return re.compile(f";{re.escape(p.name)}=" if isinstance(p.shape, Array) else ";")
    if p.style in DELIMITERS:
        return DELIMITERS[p.style]
    is_text = isinstance(p.shape, Array) and "string" in p.shape.items.kinds
    return COMMA if p.where == "header" or is_text or isinstance(p.shape, Members) else ENCODED_COMMA


def object_reader(p: Parameter, known: Mapping[str, Convert], others: Convert | None, decode: Decode) -> Read:
    """How an object is read whose members do not come as parameters of their own."""
    begin, between = beginning(p), delimiter(p)

    def read(texts: Sequence[str]) -> dict[str, Any]:
        parts = between.split(after(once(texts), begin))
        value: dict[str, Any] = {}
        for raw_name, raw in pairs_of(parts, explode=p.explode):
            name = decode(raw_name.strip(" \t") if p.where == "header" else raw_name)
            convert = known.get(name, others)
            if convert is None:
                raise Unreadable("unknown_field", "Is not a member that the contract knows", name)
            if name in value:
                raise Unreadable("repeated", "Give this member once", name)
            value[name] = convert(decode(raw.strip(" \t") if p.where == "header" else raw))
        return value

    return read


def pairs_of(parts: Sequence[str], *, explode: bool) -> Iterator[tuple[str, str]]:
    """The names and values: `name=value` in each part, or by turns. Raises Unreadable."""
    if explode:
        for part in parts:
            name, equals, text = part.partition("=")
            if not equals:
                raise Unreadable("format", "Must be names and values, an equals sign between them")
            yield name, text
    elif len(parts) % 2:
        raise Unreadable("format", "Must be names and values by turns")
    else:
        yield from zip(parts[::2], parts[1::2], strict=True)


def beginning(p: Parameter) -> str:
    """What a text of the style begins with."""
    if p.style == "label":
        return "."
    if p.style == "matrix":
        return ";" if p.explode and isinstance(p.shape, Members) else f";{p.name}="
    return ""


def after(text: str, begin: str) -> str:
    """What follows the beginning. Raises Unreadable."""
    if text == begin.removesuffix("=") and begin.endswith("="):
        return ""  # RFC 6570, 3.2.7: an empty value has no equals sign
    if not text.startswith(begin):
        raise Unreadable("format", f"Must begin with {begin}")
    return text[len(begin) :]


def once(texts: Sequence[str]) -> str:
    """The one text. Raises Unreadable."""
    if len(texts) > 1:
        raise Unreadable("repeated", "Give this parameter once")
    return texts[0]
