"""Reads a request as an operation of the contract wants it: path, headers, query, body, in this order."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from pydantic import MISSING, ValidationError

from contract.conditional_requests import strong_tags
from contract.exchange import Exchange, TooLarge
from contract.parsing import parsed
from contract.schemas import Check, Schemas
from contract.types import Body, ContractError, Fault, Operation, Parameter, Problem
from contract.validation import MOST_FAULTS, Where, faults, pointer

LONGEST_INTEGER = 30
FORM = "application/x-www-form-urlencoded"
PLAIN = "identity"  # the content coding that is none


class Reader:
    """Reads requests for one operation. A fault is raised as the problem that the operation declares for it."""

    def __init__(self, operation: Operation, schemas: Schemas) -> None:
        self.operation = operation
        self.declared = {problem.status: problem for problem in operation.problems}
        self.path = [p for p in operation.parameters if p.where == "path"]
        self.headers = [p for p in operation.parameters if p.where == "header"]
        self.query = {p.name: p for p in operation.parameters if p.where == "query"}
        self.left_out = {p.argument: p.left_out for p in self.query.values()}
        self.required = [p.name for p in self.query.values() if p.required]
        self.checks = {p.argument: schemas[p.schema] for p in operation.parameters}
        self.body = (operation.body, schemas[operation.body.schema]) if operation.body else None
        needed = {404: bool(self.path), 400: bool(self.headers), 422: bool(self.query)}
        if operation.body:
            needed |= {400: True, 413: True, 415: True}
        if missing := [str(status) for status, needs in needed.items() if needs and status not in self.declared]:
            raise ContractError(f"{operation.id} can answer {', '.join(missing)}, which the contract does not declare")

    def problem(self, status: int, code: str, detail: str | None = None, **more: Any) -> Problem:
        make: Any = self.declared[status]
        problem: Problem = make(code, detail, **more)
        return problem

    async def read(self, exchange: Exchange, segments: Mapping[str, str]) -> dict[str, Any]:
        """The arguments of the handler. Raises the problem that says what is wrong with the request."""
        arguments: dict[str, Any] = {}
        for p in self.path:
            arguments[p.argument] = self.path_value(p, segments[p.name])
        for p in self.headers:
            arguments[p.argument] = self.header_value(p, exchange)
        found: list[Fault] = []
        if self.query or exchange.query:
            self.read_query(exchange.query, arguments, found)
        if self.body:
            try:
                arguments["body"] = await self.read_body(exchange, *self.body, found)
            except TooLarge as more:
                raise self.problem(413, "content_too_large", str(more)) from None
        if found:
            raise self.invalid(found)
        return arguments

    def invalid(self, found: list[Fault]) -> Problem:
        """The problem for a request that was read but breaks the contract."""
        if 422 in self.declared:  # noqa: PLR2004 - RFC 9110
            told = found[:MOST_FAULTS]
            number = len({(fault.where, fault.pointer) for fault in told})
            places = "1 place" if number == 1 else f"{number} places"
            places += " or more" if len(told) == MOST_FAULTS else ""
            return self.problem(422, "validation_error", f"The request breaks the contract in {places}.", errors=told)
        first = found[0]  # RFC 6749, 5.2: one error for the whole request
        code = "unsupported_grant_type" if (first.pointer, first.code) == ("/grant_type", "enum") else "invalid_request"
        return self.problem(400, code, f"{first.pointer.removeprefix('/')}: {first.detail}")

    def path_value(self, p: Parameter, text: str) -> Any:
        if self.checks[p.argument].is_valid(text):
            try:
                return p.adapter.validate_python(text)
            except ValidationError:
                pass
        raise self.problem(404, "not_found")

    def header_value(self, p: Parameter, exchange: Exchange) -> Any:
        text = exchange.header(p.name)
        if text is None:
            return MISSING
        if wrong := faults("header", self.checks[p.argument], text, (p.name,)):
            raise self.problem(400, "invalid_header", f"{p.name} does not have the form it needs.", errors=wrong)
        if p.name == "If-Match":
            return MISSING if (tags := strong_tags(text)) is None else tags
        return p.adapter.validate_python(text)

    def read_query(self, query: bytes, arguments: dict[str, Any], found: list[Fault]) -> None:
        given: dict[str, list[str]] = {}
        undecoded: set[str] = set()
        for pair in query.split(b"&") if query else ():
            name, _, raw = pair.partition(b"=")
            if not pair:
                continue
            try:
                key = unquote_plus(name.decode("ascii"), errors="strict")
            except UnicodeDecodeError:
                key = unquote_plus(name.decode("ascii", "replace"), errors="replace")
            if key not in self.query:
                if 422 in self.declared:  # noqa: PLR2004 - RFC 9110
                    detail = "Is not a parameter of this operation"
                    found.append(Fault("query", pointer([key]), "unknown_parameter", detail))
                    if len(found) == MOST_FAULTS:
                        return
                continue
            try:
                text = unquote_plus(raw.decode("ascii"), errors="strict")
            except UnicodeDecodeError:
                undecoded.add(key)
                found.append(Fault("query", pointer([key]), "format", "Must be percent-encoded UTF-8"))
            else:
                given.setdefault(key, []).append(text)
        arguments |= self.left_out
        missing = [name for name in self.required if name not in given and name not in undecoded]
        found += [Fault("query", pointer([name]), "required", "Is required") for name in missing]
        for key, texts in given.items():
            self.read_parameter(self.query[key], texts, arguments, found)

    def read_parameter(self, p: Parameter, texts: list[str], arguments: dict[str, Any], found: list[Fault]) -> None:
        if p.kind != "array" and len(texts) > 1:
            found.append(Fault("query", pointer([p.name]), "repeated", "Give this parameter once"))
            return
        value: Any = texts if p.kind == "array" else json_value(p.kind, texts[0])
        if wrong := faults("query", self.checks[p.argument], value, (p.name,)):
            found += wrong
        else:
            arguments[p.argument] = self.converted("query", p.adapter, value, found, (p.name,))

    async def read_body(self, exchange: Exchange, body: Body, check: Check, found: list[Fault]) -> Any:
        raw = await exchange.body(body.largest)
        if not raw and not body.required:
            return MISSING
        essence = (exchange.header("content-type") or "").partition(";")[0].strip().lower()
        if essence != body.media_type:
            raise self.unsupported(body, f"This operation takes {body.media_type}.")
        if (exchange.header("content-encoding") or PLAIN).lower() != PLAIN:
            raise self.unsupported(body, "This operation takes a body without a content coding.", accept_encoding=PLAIN)
        value = self.form(raw) if essence == FORM else self.json(raw)
        if not check.is_valid(value):
            found += faults("body", check, value)
            return MISSING
        return self.converted("body", body.adapter, value, found)

    def unsupported(self, body: Body, detail: str, **more: str) -> Problem:
        """The problem for a body that is written otherwise than the operation takes it."""
        accepted = {"accept_patch" if self.operation.method == "PATCH" else "accept": body.media_type}
        return self.problem(415, "unsupported_media_type", detail, **accepted, **more)

    def json(self, raw: bytes) -> Any:
        try:
            return parsed(raw)
        except ValueError as error:
            raise self.problem(400, "malformed_request", f"The body is not JSON: {error}.") from None

    def form(self, raw: bytes) -> dict[str, str]:
        """The members of a form; empty ones count as left out (RFC 6749, 3.2)."""
        try:
            pairs = parse_qsl(raw.decode("ascii"), errors="strict", max_num_fields=100)
        except ValueError:
            raise self.problem(400, "invalid_request", "The body is not a form in percent-encoded UTF-8.") from None
        members = dict(pairs)
        if len(members) != len(pairs):
            raise self.problem(400, "invalid_request", "A member of the form is repeated.")
        return members

    def converted(
        self, where: Where, adapter: Any, value: Any, found: list[Fault], prefix: tuple[str, ...] = ()
    ) -> Any:
        """The value as the generated model types it; what only the model refuses is a fault too."""
        try:
            return adapter.validate_python(value)
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=False, include_input=False)
            found += [Fault(where, pointer((*prefix, *one["loc"])), "format", one["msg"]) for one in details]
            return MISSING


def json_value(kind: str, text: str) -> Any:
    """The JSON value that a parameter stands for; a text that stands for none stays one, and fails its schema."""
    if kind == "integer":
        digits = text.removeprefix("-")
        if digits.isascii() and digits.isdecimal() and (digits == "0" or not digits.startswith("0")):
            return int(text[:LONGEST_INTEGER])  # a longer one is out of any bounds all the same
    if kind == "boolean" and text in ("true", "false"):
        return text == "true"
    return text
