"""Reads a request as an operation of the contract wants it: path, headers, query, body, in this order."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, cast
from urllib.parse import unquote_plus

from pydantic import MISSING, TypeAdapter, ValidationError

from contract.conditional_requests import strong_tags
from contract.exchange import Exchange, TooLarge
from contract.refusals import CONDITIONS, Condition, Wanted, refusals_of
from contract.request_bodies import BodyReader
from contract.schemas import Check, Schemas
from contract.styles import Convert, Read, Unreadable, converter, decode_percent, decoded_plus, is_plain, reader_of
from contract.types import Fault, Members, OAuthProblem, Operation, Parameter, Problem
from contract.validation import MOST_FAULTS, Where, faults, pointer

NOT_ENCODED = "Must be percent-encoded UTF-8"
NO_TEXT = "%FF"  # what is no percent-encoded UTF-8


class Slot(NamedTuple):
    """A parameter, how its texts are read, and how the value is judged and typed.

    `is_plain`: a text without percent signs is the value itself.
    """

    parameter: Parameter
    read: Read
    check: Check
    adapter: TypeAdapter[Any]
    is_plain: bool


class Member(NamedTuple):
    """A member of an object that comes as a parameter of its own, as `filter[a]` does."""

    slot: Slot
    name: str
    convert: Convert


class Reader:
    """Reads requests for one operation. A fault is raised as the problem that the operation declares for it."""

    def __init__(
        self,
        operation: Operation,
        schemas: Schemas,
        conditions: Mapping[Condition, Wanted] = CONDITIONS,
        answers: Schemas | None = None,
        *,
        drops_unsent: bool = False,
        keys: frozenset[str] = frozenset(),
    ) -> None:
        self.keys = keys
        """The query parameters that are read as credentials."""
        self.operation, self.schemas = operation, schemas
        self.refuse = refusals_of(operation, answers or schemas, conditions)
        slots = [
            Slot(p, reader_of(p, schemas), schemas[p.schema], p.adapter, is_plain(p)) for p in operation.parameters
        ]
        self.path = [slot for slot in slots if slot.parameter.where == "path"]
        self.headers = [slot for slot in slots if slot.parameter.where == "header"]
        self.cookies = [slot for slot in slots if slot.parameter.where == "cookie"]
        in_query = [slot for slot in slots if slot.parameter.where == "query"]
        self.whole = {slot.parameter.name: slot for slot in in_query if not is_spread(slot.parameter)}
        self.spread = [slot for slot in in_query if is_spread(slot.parameter)]
        self.members = {name: member for slot in self.spread for name, member in members_of(slot, schemas)}
        self.left_out = {slot.parameter.argument: slot.parameter.left_out for slot in in_query}
        self.required = [slot.parameter.name for slot in in_query if slot.parameter.required]
        drops_empty = any(issubclass(problem, OAuthProblem) for problem in operation.problems)
        is_patch = operation.method == "PATCH"
        self.body = operation.body and BodyReader(
            operation.body,
            schemas,
            self.refuse,
            is_patch=is_patch,
            drops_empty=drops_empty,
            drops_unsent=drops_unsent,
        )
        wanted = conditions["query"].status
        declares = any(problem.status == wanted for problem in operation.problems)
        self.is_strict = bool(in_query) or declares or any(str(wanted) == r.declared_as for r in operation.replies)
        """Whether a query parameter that the operation does not know is a fault."""

    async def read(self, exchange: Exchange, segments: Mapping[str, str]) -> dict[str, Any]:
        """The arguments of the handler. Raises the problem that says what is wrong with the request."""
        arguments: dict[str, Any] = {}
        for slot in self.path:
            arguments[slot.parameter.argument] = self.path_value(slot, segments[slot.parameter.name])
        for slot in self.headers:
            p = slot.parameter
            text = exchange.header(p.name)
            is_absent = text is None and not p.required
            arguments[p.argument] = p.left_out if is_absent else self.header_value(slot, text)
        if self.cookies:
            self.read_cookies(exchange, arguments)
        found: list[Fault] = []
        if self.left_out or exchange.query:
            self.read_query(exchange.query, arguments, found)
        if self.body:
            try:
                arguments["body"] = await self.body.read(exchange, found)
            except TooLarge as more:
                raise self.refuse["size"](str(more)) from None
        if found:
            raise self.invalid(found)
        return arguments

    def invalid(self, found: list[Fault]) -> Problem:
        """The problem for a request that was read but breaks the contract."""
        told = found[:MOST_FAULTS]
        number = len({(fault.where, fault.pointer) for fault in told})
        places = "1 place" if number == 1 else f"{number} places"
        places += " or more" if len(told) == MOST_FAULTS else ""
        condition: Condition = "query" if any(fault.where == "query" for fault in told) else "body"
        return self.refuse[condition](f"The request breaks the contract in {places}.", errors=told)

    def path_value(self, slot: Slot, text: str) -> Any:
        try:
            value = text if slot.is_plain and "%" not in text else slot.read((text,))
            if slot.check.is_valid(value):
                return slot.adapter.validator.validate_python(value)
        except (Unreadable, UnicodeDecodeError, ValidationError):
            pass
        raise self.refuse["path"](None)

    def header_value(self, slot: Slot, text: str | None) -> Any:
        p = slot.parameter
        found: list[Fault] = []
        if text is None:
            found.append(Fault("header", pointer([p.name]), "required", "Is required"))
        value: Any = self.value_of(slot, "header", (text or "",), found, (p.name,)) if not found else MISSING
        if found:
            raise self.refuse["header"](f"{p.name} does not have the form it needs.", errors=found)
        if p.role == "if_match":
            return MISSING if (tags := strong_tags(value)) is None else tags
        return value

    def read_cookies(self, exchange: Exchange, arguments: dict[str, Any]) -> None:
        """Read the cookies that are parameters. What is wrong with one is wrong with a header."""
        given: dict[str, list[str]] = {}
        for pair in (exchange.header("cookie") or "").split(";"):
            name, _, text = pair.strip(" \t").partition("=")
            given.setdefault(name, []).append(text)
        found: list[Fault] = []
        for slot in self.cookies:
            p, place = slot.parameter, ("Cookie", slot.parameter.name)
            if p.name in given:
                arguments[p.argument] = self.value_of(slot, "header", given[p.name], found, place)
            elif p.required:
                found.append(Fault("header", pointer(place), "required", "Is required"))
            else:
                arguments[p.argument] = p.left_out
        if found:
            raise self.refuse["header"]("Cookie does not have the form it needs.", errors=found)

    def value_of(
        self, slot: Slot, where: Where, texts: list[str] | tuple[str, ...], found: list[Fault], place: tuple[str, ...]
    ) -> Any:
        """The value that the texts of a parameter stand for, judged and typed."""
        try:
            value = slot.read(texts)
        except Unreadable as error:
            found.append(Fault(where, pointer((*place, *error.place)), error.code, error.detail))
        except UnicodeDecodeError:
            found.append(Fault(where, pointer(place), "format", NOT_ENCODED))
        else:
            if slot.check.is_valid(value):
                return self.convert_value(where, slot.adapter, value, found, place)
            found += faults(where, slot.check, value, place)
        return MISSING

    def read_query(self, query: bytes, arguments: dict[str, Any], found: list[Fault]) -> None:
        given: dict[str, list[str]] = {}
        for pair in query.split(b"&") if query else ():
            name, _, raw = pair.partition(b"=")
            if not pair:
                continue
            try:
                key = unquote_plus(name.decode("ascii"), errors="strict")
            except UnicodeDecodeError:
                key = unquote_plus(name.decode("ascii", "replace"), errors="replace")
            if key not in self.whole and self.member(key) is None:
                if self.is_strict and key not in self.keys:
                    detail = "Is not a parameter of this operation"
                    found.append(Fault("query", pointer([key]), "unknown_parameter", detail))
                    if len(found) == MOST_FAULTS:
                        return
                continue
            given.setdefault(key, []).append(raw.decode() if raw.isascii() else NO_TEXT)
        arguments |= self.left_out
        objects = self.objects_of(given, found) if self.spread else {}
        found += [
            Fault("query", pointer([name]), "required", "Is required")
            for name in self.required
            if name not in given and name not in objects
        ]
        for key, texts in given.items():
            slot = self.whole[key]
            arguments[slot.parameter.argument] = self.value_of(slot, "query", texts, found, (key,))
        for slot, value in objects.values():
            place = (slot.parameter.name,)
            if not slot.check.is_valid(value):
                found += faults("query", slot.check, value, place)
            else:
                arguments[slot.parameter.argument] = self.convert_value("query", slot.adapter, value, found, place)

    def member(self, key: str) -> Member | None:
        """The member of an object that a parameter of this name is."""
        if not self.spread or key in self.members:
            return self.members.get(key)
        for slot in self.spread:
            p = slot.parameter
            if isinstance(p.shape, Members) and p.shape.others is not None:
                if p.style != "deepObject":
                    return Member(slot, key, converter(p.shape.others, self.schemas))
                if key.startswith(f"{p.name}[") and key.endswith("]"):
                    return Member(slot, key[len(p.name) + 1 : -1], converter(p.shape.others, self.schemas))
        return None

    def objects_of(self, given: dict[str, list[str]], found: list[Fault]) -> dict[str, tuple[Slot, dict[str, Any]]]:
        """The objects whose members came each for itself; what is theirs is taken out of `given`."""
        objects: dict[str, tuple[Slot, dict[str, Any]]] = {}
        apart = [(key, member) for key in given if key not in self.whole and (member := self.member(key))]
        for key, member in apart:
            texts = given.pop(key)
            p = member.slot.parameter
            _, value = objects.setdefault(p.name, (member.slot, {}))
            decode = decode_percent if p.allow_reserved else decoded_plus
            if len(texts) > 1:
                found.append(Fault("query", pointer([p.name, member.name]), "repeated", "Give this member once"))
                continue
            try:
                value[member.name] = member.convert(decode(texts[0]))
            except UnicodeDecodeError:
                found.append(Fault("query", pointer([p.name, member.name]), "format", NOT_ENCODED))
        return objects

    def convert_value(
        self, where: Where, adapter: Any, value: Any, found: list[Fault], prefix: tuple[str, ...] = ()
    ) -> Any:
        """The value as the generated model types it; what only the model refuses is a fault too."""
        try:
            return adapter.validator.validate_python(value)
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=False, include_input=False)
            found += [Fault(where, pointer((*prefix, *one["loc"])), "format", one["msg"]) for one in details]
            return MISSING


def is_spread(p: Parameter) -> bool:
    """Whether the parameter is an object whose members come as parameters of their own."""
    styled = p.style == "deepObject" or (p.style == "form" and p.explode)
    return p.media_type is None and styled and isinstance(p.shape, Members)


def members_of(slot: Slot, schemas: Schemas) -> Iterator[tuple[str, Member]]:
    """The members of an object by the names that they come as."""
    p, shape = slot.parameter, cast("Members", slot.parameter.shape)
    for name, scalar in shape.known.items():
        key = f"{p.name}[{name}]" if p.style == "deepObject" else name
        yield key, Member(slot, name, converter(scalar, schemas))
