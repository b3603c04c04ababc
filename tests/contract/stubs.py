"""Serves what a document becomes in this process, by handlers that answer what its schemas demand and no more."""

import importlib.util
import inspect
import json
import sys
from collections.abc import AsyncIterator, Sequence
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

from pydantic_core import to_json

from contract import media_types
from contract.asgi import Application
from contract.binding import Binding, Server
from contract.directions import document_for
from contract.exchange import Exchange
from contract.problem_bodies import filler_of
from contract.schemas import Schemas
from contract.servers import usual
from contract.types import Event, Json, Operation, Reply, Representation, Result, Scheme, Text

NUMBERS = count(1)


class NoValue(Exception):  # noqa: N818 - it says what is the case
    """No value was found that a schema takes."""


def import_operations(folder: Path) -> Any:
    """The module `operations` of generated code."""
    name = f"stubs_{next(NUMBERS)}"
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    sys.modules[name] = importlib.util.module_from_spec(spec)
    return importlib.import_module(f"{name}.operations")


class Stubs:
    """Generated code, bound; `application` is it by ASGI."""

    def __init__(self, folder: Path) -> None:
        self.module = import_operations(folder)
        self.document: dict[str, Any] = json.loads((folder / "openapi.json").read_bytes())
        self.schemas = Schemas(document_for(self.document, "answer"))
        operations: Sequence[Operation] = self.module.OPERATIONS
        handlers = SimpleNamespace()
        for operation in operations:
            tag = vars(handlers).setdefault(operation.tag, SimpleNamespace(__name__=operation.tag))
            setattr(tag, operation.name, self.handler(operation))
        schemes = self.module.SCHEMES
        base = usual(operations[0].servers[0]) if any(len(one.servers) > 1 for one in operations) else None
        self.binding = Binding(
            operations,
            handlers,
            self.document,
            Server(),
            check_rate=1,
            authenticators={name: Known(scheme) for name, scheme in schemes.items()},
            schemes=schemes,
            base=base,
        )
        self.application = Application(self.binding)

    def handler(self, operation: Operation) -> Any:
        """A handler of the operation's own signature, which answers the first success that is declared."""
        good = [one for one in operation.replies if one.declared_as[0] in "23d"] or list(operation.replies)

        async def answer(call: Exchange, /, **_arguments: object) -> Result:
            return self.result(good[0], call.media_type)

        names = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in operation.arguments]
        made: Any = answer
        made.__signature__ = inspect.Signature([inspect.Parameter("call", inspect.Parameter.POSITIONAL_ONLY), *names])
        made.__annotations__ = {"return": good[0].result if good else None}
        return made

    def result(self, reply: Reply, wanted: str | None) -> Result:
        """A result with all that there must be."""
        members: dict[str, Any] = {one.member: self.value(one.schema) for one in reply.headers if one.required}
        status = {"status": 200} if reply.result.declared else {}
        if reply.contents:
            content = next((one for one in reply.contents if one.media_type == wanted), reply.contents[0])
            members["body"] = self.body(content)
        made: Any = reply.result
        result: Result = made(**members, **status)
        return result

    def body(self, content: Representation) -> Any:
        if content.item is not None:
            return items(self.value(content.item), content.media_type)
        if media_types.is_json(content.media_type):
            return Json(to_json(None if content.schema is None else self.value(content.schema)))
        text = "it" if content.schema is None else self.value(content.schema)
        return Text(str(text).encode(), content.media_type.replace("*", "plain"))

    def value(self, place: str) -> Any:
        fill = filler_of(self.schemas[place], 200)
        if fill is None:
            raise NoValue(place)
        return fill("so it is")


async def items(value: Any, media_type: str) -> AsyncIterator[Any]:
    yield Event(data=value) if media_type.startswith("text/event-stream") else value


class Known:
    """The authenticator of a scheme, which asks only whether there are such credentials."""

    def __init__(self, scheme: Scheme) -> None:
        self.scheme = scheme

    async def __call__(self, exchange: Exchange, _scopes: Sequence[str], /) -> str | None:
        kind, name, where = self.scheme
        if where == "query":
            return "somebody" if name in parse_qs(exchange.query.decode(), keep_blank_values=True) else None
        if where == "cookie":
            return "somebody" if f"{name}=" in (exchange.header("cookie") or "") else None
        sent = exchange.header(name if where else "authorization")
        return None if sent is None and kind != "mutualTLS" else "somebody"
