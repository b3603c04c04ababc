"""Generates code of a small document, binds handlers that answer what they are sent, and tries requests."""

import importlib
import importlib.util
import inspect
import json
import sys
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml
from typing_extensions import override

from contract import binding
from contract.binding import Binding
from contract.exchange import Exchange, Message, Scope
from contract.generator.__main__ import generate
from contract.generator.reading.document import InvalidContract
from contract.types import ContractError, Operation, Problem, ProblemType, Result

CONDITIONS = {
    400: ("malformed_request", "invalid_header"),
    404: ("not_found",),
    413: ("content_too_large",),
    415: ("unsupported_media_type",),
    422: ("validation_error",),
}
KINDS = {code: ProblemType(status, code, "So it is.") for status, codes in CONDITIONS.items() for code in codes}
NUMBERS = count(1)
Document = dict[str, Any]


def document_of(fragment: str | Document) -> Document:
    """A whole document: the fragment, and what each of its operations needs besides."""
    given = yaml.safe_load(fragment) if isinstance(fragment, str) else fragment
    whole: Document = {
        "openapi": "3.1.1",
        "info": {"title": "Trials", "version": "1.0.0"},
        "tags": [{"name": "trials"}],
        "paths": {},
        "components": {
            "schemas": {
                "Trouble": {"type": "object", "required": ["code"], "properties": {"code": {"type": "string"}}}
            },
            "responses": {f"Problem{status}": problem_of(status, *codes) for status, codes in CONDITIONS.items()},
        },
    }
    merge(whole, given)
    for path in given.get("paths", {}):
        item = whole["paths"][path]
        for method, operation in item.items() if isinstance(item, dict) else ():
            if isinstance(operation, dict) and method in ("get", "post", "put", "patch"):
                complete(operation, f"{method}{path.title()}")
    return whole


def problem_of(status: int, *codes: str) -> Document:
    examples = {
        code: {"value": {"type": f"/problems/{code}", "title": code, "status": status, "code": code}} for code in codes
    }
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Trouble"}, "examples": examples}}
    accepted = {name: {"schema": {"type": "string"}} for name in ("Accept", "Accept-Encoding", "Accept-Patch")}
    return {"description": "Refused.", "headers": accepted if status == 415 else {}, "content": content}


def merge(whole: Document, fragment: Document) -> None:
    for name, part in fragment.items():
        if isinstance(part, dict) and isinstance(whole.get(name), dict):
            merge(whole[name], part)
        else:
            whole[name] = part


def complete(operation: Document, name: str) -> None:
    usual = {"tags": ["trials"], "operationId": name, "summary": "Try", "description": "It.", "security": []}
    for word, value in {**usual, "responses": {}}.items():
        operation.setdefault(word, value)
    if not any(str(status) < "4" for status in operation["responses"]):
        operation["responses"]["204"] = {"description": "Done."}
    for status in CONDITIONS:
        operation["responses"].setdefault(str(status), {"$ref": f"#/components/responses/Problem{status}"})


def refusals(folder: Path, fragment: str | Document) -> list[tuple[str, str]]:
    """The places that a document is refused for, and the reasons. Nothing is written then."""
    source = folder / "openapi.yaml"
    source.write_text(json.dumps(document_of(fragment)), encoding="utf-8")
    try:
        generate(source, folder / "generated", kinds=lambda _document: KINDS)
    except InvalidContract as invalid:
        assert not (folder / "generated").exists()
        return [(refused.place, refused.reason) for refused in invalid.found]
    return []


class Trial:
    """Generated code that is bound to handlers, which answer their body or what they are told to."""

    def __init__(self, folder: Path, fragment: str | Document) -> None:
        found = refusals(folder, fragment)
        assert not found, found
        self.name = f"trial_{next(NUMBERS)}"
        made = folder / "generated"
        spec = importlib.util.spec_from_file_location(
            self.name, made / "__init__.py", submodule_search_locations=[str(made)]
        )
        assert spec is not None
        sys.modules[self.name] = importlib.util.module_from_spec(spec)
        self.operations: Any = importlib.import_module(f"{self.name}.operations")
        self.models: Any = importlib.import_module(f"{self.name}.models")
        self.code = (made / "models.py").read_text(encoding="utf-8")
        self.document: Document = json.loads((made / "openapi.json").read_bytes())
        self.given: Any = None
        """What the handler was given as a body."""
        self.answer: Any = None
        """What it answers instead."""
        self.mismatches: list[str] = []
        self.binding = Binding(
            self.operations.OPERATIONS, self.handlers(), self.document, Server(self), pages={}, check_rate=1
        )

    def handlers(self) -> SimpleNamespace:
        return SimpleNamespace(
            trials=SimpleNamespace(**{one.name: self.handler(one) for one in self.operations.OPERATIONS})
        )

    def handler(self, operation: Operation) -> Any:
        result: Any = operation.replies[0].result

        async def answer(_call: object, /, **arguments: Any) -> Result:
            self.given = arguments.get("body")
            content = self.given if self.answer is None else self.answer
            made: Result = result(body=content) if operation.replies[0].schema else result()
            return made

        names = [p.argument for p in operation.parameters] + (["body"] if operation.body else [])
        parameters = [inspect.Parameter("call", inspect.Parameter.POSITIONAL_ONLY)]
        parameters += [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in names]
        answer.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        answer.__annotations__ = {"return": result}
        return answer

    async def send(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """The status of the answer, and its body; of a problem the pointers and codes of its faults."""
        sent = b"" if body is None else json.dumps(body).encode()
        messages: list[Message] = [{"type": "http.request", "body": sent, "more_body": False}]
        arriving = iter([*messages, {"type": "http.disconnect"}])

        async def receive() -> Message:
            return next(arriving)

        headers = [(b"content-type", b"application/json")]
        scope: Scope = {"method": method, "path": path, "query_string": b"", "headers": headers}
        try:
            answer = await self.binding.answer(Exchange(scope, receive, "a-request", None))
        except Problem as problem:
            return problem.status, [(fault.pointer, fault.code) for fault in problem.errors]
        assert isinstance(answer.body, bytes)
        return answer.status, json.loads(answer.body) if answer.body else None


class Server(binding.Server):
    """A server that lets everything pass, and keeps what breaks a schema."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial

    @override
    async def call(self, exchange: Exchange, handler: Any, arguments: Mapping[str, Any], /) -> Result:
        result: Result = await handler(None, **arguments)
        return result

    @override
    def report_mismatch(self, operation: Operation, error: ContractError, /) -> None:
        self.trial.mismatches.append(str(error))
