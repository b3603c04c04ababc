"""The operations of the contract as data, and one who sends them what no client should."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx

from tests.client import DOCUMENT, ApiClient, check

CANARY = "kanarienvogel"
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Operation:
    """An operation of the contract, with a body that it takes."""

    id: str
    method: str
    path: str
    parameters: dict[str, Any]
    answers: set[int]
    media_types: tuple[str, ...]
    schema: dict[str, Any]
    good: dict[str, Any]

    @property
    def media_type(self) -> str:
        """The first that it takes."""
        return self.media_types[0]

    def members(self, of: str | None = None) -> Iterator[tuple[str, dict[str, Any], bool]]:
        """The name, the schema and whether null is taken, of each member of the body; `of`: a type or format."""
        for name, declared in self.schema.get("properties", {}).items():
            choices = [resolve_reference(choice) for choice in declared.get("oneOf", [declared])]
            schema = next(choice for choice in choices if choice.get("type") != "null")
            nullable = len(choices) > 1
            if of is None or of in (schema["type"], schema.get("format")):
                yield name, schema, nullable


def resolve_reference(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema or parameter itself, where a reference stands for it."""
    while "$ref" in schema:
        _, _, section, name = schema["$ref"].split("/")
        schema = DOCUMENT["components"][section][name]
    return schema


def operations() -> Iterator[Operation]:
    for path, methods in DOCUMENT["paths"].items():
        for method in sorted(methods.keys() & {"get", "post", "put", "patch", "delete"}):
            operation = methods[method]
            parameters = [
                resolve_reference(each) for each in [*methods.get("parameters", []), *operation.get("parameters", [])]
            ]
            contents = operation.get("requestBody", {"content": {"": {}}})["content"]
            content = next(iter(contents.values()))
            yield Operation(
                operation["operationId"],
                method.upper(),
                path,
                {each["name"]: each for each in parameters},
                {int(status) for status in operation["responses"]},
                tuple(contents),
                resolve_reference(content.get("schema", {})),
                {} if not content else list(content["examples"].values())[-1]["value"],
            )


ALL = {operation.id: operation for operation in operations()}
WITH_BODY = sorted(each.id for each in ALL.values() if each.media_type)
WITH_JSON = [name for name in WITH_BODY if ALL[name].media_type != FORM]
CHECKED = sorted(each.id for each in ALL.values() if 422 in each.answers)


class Prober:
    """Sends what no client should, as a user who may do everything, to a task that exists."""

    def __init__(self, who: ApiClient, task_id: object) -> None:
        self.who, self.task_id = who, task_id

    async def send(self, operation: Operation, **request: Any) -> httpx.Response:
        """The answer: one that the contract allows, a problem, without the canary."""
        known = {"task_id": self.task_id, "code": "not_found"}
        made_up = ("audit_log_id", "session_id", "access_token_id", "user_id", "organization_id", "invitation_id")
        named = {**dict.fromkeys(made_up, uuid4()), **known}
        path = re.sub(r"\{(\w+)\}", lambda found: str(named[found[1]]), operation.path)
        query = with_required(operation, request.pop("query", ""))
        headers = {**self.who.headers, "Content-Type": operation.media_type} | request.pop("headers", {})
        headers = {name: value for name, value in headers.items() if value}
        url = f"{path}?{query}" if query else path
        answer = await self.who.http.request(operation.method, url, headers=headers, **request)
        said = f"{operation.id} {str(query)[:60]} {str(request)[:200]}: {answer.status_code} {answer.text[:300]}"
        assert 400 <= answer.status_code < 500, said
        assert CANARY not in answer.text, said
        check(answer)
        return answer

    async def send_body(self, operation: Operation, body: dict[str, Any]) -> httpx.Response:
        if operation.media_type == FORM:
            return await self.send(operation, data=body)
        return await self.send(operation, content=json.dumps(body))

    async def is_told(self, operation: Operation, body: dict[str, Any], pointer: str, *codes: str) -> None:
        """Send a body that breaks the contract at one place, which the answer must name."""
        answer = await self.send_body(operation, body)
        said = f"{operation.id} {str(body)[:200]}: {answer.text}"
        if 422 not in operation.answers:  # RFC 6749: one text
            assert answer.status_code == 400, said
            assert answer.json()["error_description"].startswith(f"{pointer.removeprefix('/')}: "), said
            return
        assert answer.status_code == 422, said
        found = [(fault["in"], fault["pointer"], fault["code"]) for fault in answer.json()["errors"]]
        assert found, said
        for place in found:
            assert place in [("body", pointer, code) for code in codes], said


def with_required(operation: Operation, query: str) -> str:
    """The query, with the parameters that it lacks and must have."""
    named = {pair.partition("=")[0] for pair in query.split("&")}
    required = [each for each in operation.parameters.values() if each["in"] == "query" and each.get("required")]
    lacking = [f"{each['name']}={quote(each['example'])}" for each in required if each["name"] not in named]
    return "&".join([query, *lacking] if query else lacking)


def good_body(operation: Operation) -> dict[str, Any]:
    if operation.media_type == FORM:
        return {"data": operation.good}
    return {"json": operation.good} if operation.media_type else {}
