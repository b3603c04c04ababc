"""Contracts of a few lines: made into code in a folder of their own, with handlers that tell what they are given."""

import json
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from inspect import Parameter, Signature
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, TypeAlias
from urllib.parse import unquote

import pytest

from contract.binding import Binding, Server
from contract.exchange import Exchange, Message
from contract.generator.__main__ import generate
from contract.generator.lowering.parser import Kinds, no_kinds
from contract.generator.reading.document import InvalidContract
from contract.response_encoding import Answer
from contract.types import Operation, Problem, Result

Node: TypeAlias = dict[str, Any]
NOTHING = {"204": {"description": "Nothing."}}


def document(paths: Node, **more: Any) -> Node:
    """A whole contract with these paths."""
    return {"openapi": "3.1.1", "info": {"title": "Small", "version": "1.0.0"}, "paths": paths} | more


def refusals(contract: Node, folder: Path, **more: Any) -> list[tuple[str, str]]:
    """The places and reasons that a contract is refused for, which leaves nothing behind."""
    source = folder / "openapi.yaml"
    source.write_text(json.dumps(contract), encoding="utf-8")
    with pytest.raises(InvalidContract) as invalid:
        generate(source, folder / "out", **more)
    assert not (folder / "out").exists()
    return [(refused.place, refused.reason) for refused in invalid.value.found]


def package(contract: Node, folder: Path, kinds: Kinds = no_kinds) -> ModuleType:
    """The module `operations` of the code that a contract becomes."""
    source, out = folder / "openapi.yaml", folder / f"small_{folder.name}"
    source.write_text(json.dumps(contract), encoding="utf-8")
    generate(source, out, kinds=kinds)
    spec = spec_from_file_location(out.name, out / "__init__.py", submodule_search_locations=[str(out)])
    assert spec is not None
    assert spec.loader is not None
    sys.modules[out.name] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules[out.name])
    return import_module(f"{out.name}.operations")


class Told(Exception):  # noqa: N818 - it says what is the case
    """What a handler was given."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        super().__init__(arguments)
        self.arguments = arguments


Act: TypeAlias = Callable[[Exchange, Mapping[str, Any]], Awaitable[Result]]


async def tell(_exchange: Exchange, arguments: Mapping[str, Any]) -> Result:
    raise Told(arguments)


class Small:
    """A contract, its code and a binding whose handlers do what `act` does."""

    def __init__(self, contract: Node, folder: Path, **more: Any) -> None:
        self.operations = package(contract, folder, more.pop("kinds", no_kinds))
        self.act: Act = tell
        self.last: Operation | None = None
        """The operation of the last request."""
        handlers = SimpleNamespace()
        for operation in self.operations.OPERATIONS:
            tag = vars(handlers).setdefault(operation.tag, SimpleNamespace(__name__=operation.tag))
            setattr(tag, operation.name, self.handler(operation))
        server = more.pop("server", Server())
        settings: dict[str, Any] = {"pages": {}, "check_rate": 1} | more
        served = json.loads((Path(str(self.operations.__file__)).parent / "openapi.json").read_bytes())
        self.binding = Binding(self.operations.OPERATIONS, handlers, served, server, **settings)

    def handler(self, operation: Operation) -> Callable[..., Awaitable[Result]]:
        """A handler of the operation's own signature."""

        async def handle(call: Exchange, /, **arguments: Any) -> Result:
            return await self.act(call, arguments)

        named = [Parameter(name, Parameter.KEYWORD_ONLY) for name in operation.arguments]
        made: Any = handle
        made.__signature__ = Signature([Parameter("call", Parameter.POSITIONAL_ONLY), *named])
        made.__annotations__ = {"return": operation.replies[0].result}
        answer: Callable[..., Awaitable[Result]] = made
        return answer

    def doing(self, act: Act) -> "Small":
        """The same, whose handlers do this from now on."""
        self.act = act
        return self

    async def send(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Answer:
        """The answer to a request. Raises Told, or the problem."""
        path, _, query = target.partition("?")
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        messages: list[Message] = [{"type": "http.request", "body": body}, {"type": "http.disconnect"}]
        arriving = iter(messages)

        async def receive() -> Message:
            return next(arriving)

        scope: dict[str, Any] = {"method": method, "path": unquote(path), "raw_path": path.encode()}
        scope["query_string"] = query.encode("latin-1")
        scope["headers"] = [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs]
        exchange = Exchange(scope, receive, "the-request", None)
        try:
            return await self.binding.answer(exchange)
        finally:
            self.last = exchange.operation

    async def arguments_of(self, method: str, target: str, **more: Any) -> dict[str, Any]:
        """What the handler was given."""
        with pytest.raises(Told) as told:
            await self.doing(tell).send(method, target, **more)
        return dict(told.value.arguments)

    async def refusal(self, method: str, target: str, **more: Any) -> tuple[int, list[tuple[str, str]]]:
        """The status of the problem that a request comes to, and the places that it names with their codes."""
        with pytest.raises(Problem) as refused:
            await self.doing(tell).send(method, target, **more)
        return refused.value.status, [(fault.pointer, fault.code) for fault in refused.value.errors]
