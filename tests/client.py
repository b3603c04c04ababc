"""A client that checks every answer against openapi.yaml: a test that uses it tests the contract."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs

from persistence.authorization import Caller

DOCUMENT: dict[str, Any] = json.loads((Path(__file__).parents[1] / "generated" / "openapi.json").read_bytes())
SCHEMAS = jsonschema_rs.validator_map_for(DOCUMENT, validate_formats=True)
PREFIX = "/api/v1"
METADATA = 'resource_metadata="http://docket/.well-known/oauth-protected-resource"'
"""What each challenge ends with: the requests of this client are sent there."""
OUTSIDE = {404, 405, 414, 429, 431}  # answers to requests that belong to no operation
SEEN: set[tuple[str, str]] = set()  # the operations that answered, with the status


@dataclass(frozen=True)
class Answer:
    """An answer that the contract allows."""

    status: int
    headers: httpx.Headers
    body: Any
    content: bytes

    def __getitem__(self, member: str) -> Any:
        return self.body[member]


@dataclass(frozen=True)
class ApiClient:
    """Sends requests, as a signed-in user when it has a token. Paths are below /api/v1, or whole from `//` on."""

    http: httpx.AsyncClient
    sign: Callable[[Caller], str]
    headers: Mapping[str, str] = field(default_factory=dict)

    def as_(self, caller: Caller) -> "ApiClient":
        """The same client, signed in."""
        return self.with_headers(Authorization=f"Bearer {self.sign(caller)}")

    def with_headers(self, **headers: str) -> "ApiClient":
        """The same client with more headers; `_` in their names stands for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return ApiClient(self.http, self.sign, {**self.headers, **named})

    async def get(self, path: str, *, expect: int = 200, **parameters: Any) -> Answer:
        return await self.send("GET", path, expect=expect, params=parameters)

    async def post(self, path: str, body: Any, *, expect: int = 201) -> Answer:
        return await self.send("POST", path, expect=expect, json=body)

    async def put(self, path: str, body: Any, *, expect: int = 200) -> Answer:
        return await self.send("PUT", path, expect=expect, json=body)

    async def patch(self, path: str, body: Any, *, expect: int = 200) -> Answer:
        content = json.dumps(body)
        headers = {"Content-Type": "application/merge-patch+json"}
        return await self.send("PATCH", path, expect=expect, content=content, headers=headers)

    async def delete(self, path: str, *, expect: int = 204) -> Answer:
        return await self.send("DELETE", path, expect=expect)

    async def send(
        self, method: str, path: str, *, expect: int, headers: Mapping[str, str] | None = None, **rest: Any
    ) -> Answer:
        """Send a request. Fails when the status is another, or the contract does not allow the answer."""
        url = path.removeprefix("/") if path.startswith("//") else PREFIX + path
        sent = httpx.Headers({**self.headers, **(headers or {})}, encoding="latin-1")
        answer = await self.http.request(method, url, headers=sent, **rest)
        assert answer.status_code == expect, f"{method} {url}: {answer.status_code} {answer.text}"
        check(answer)
        kind = answer.headers.get("content-type", "")
        body = answer.json() if "json" in kind and answer.content else None
        return Answer(answer.status_code, answer.headers, body, answer.content)


def check(answer: httpx.Response) -> None:
    """Fails when the contract does not allow the answer to its request."""
    where = f"{answer.request.method} {answer.request.url.path}: {answer.status_code}"
    pointer, operation = operation_of(answer.request.method, answer.request.url.path)
    if operation is None:
        assert answer.request.method == "OPTIONS" or answer.status_code in OUTSIDE, f"{where}: of no operation"
        schema = "#/components/schemas/Problem"
        assert not answer.content or SCHEMAS[schema].is_valid(answer.json()), f"{where}: is no problem"
        return
    declared = operation["responses"].get(str(answer.status_code))
    assert declared is not None, f"{where} is not declared"
    at = f"{pointer}/responses/{answer.status_code}"
    if "$ref" in declared:
        at = declared["$ref"]
        declared = DOCUMENT["components"]["responses"][at.rpartition("/")[2]]
    check_headers(answer, declared, where)
    check_body(answer, declared, at, where)
    SEEN.add((operation["operationId"], str(answer.status_code)))


def check_headers(answer: httpx.Response, declared: Mapping[str, Any], where: str) -> None:
    for name, reference in declared.get("headers", {}).items():
        header = DOCUMENT["components"]["headers"][reference["$ref"].rpartition("/")[2]]
        value: Any = answer.headers.get(name)
        if value is None:
            assert not header.get("required"), f"{where} lacks {name}"
            continue
        if header["schema"]["type"] == "integer":
            value = int(value)
        schema = f"{reference['$ref']}/schema"
        assert SCHEMAS[schema].is_valid(value), f"{where}: {name} is {value!r}"


def check_body(answer: httpx.Response, declared: Mapping[str, Any], at: str, where: str) -> None:
    content = declared.get("content", {})
    if not content or answer.request.method == "HEAD":
        assert answer.content == b"", f"{where} has a body"
        return
    kind = answer.headers["content-type"].partition(";")[0]
    assert kind in content, f"{where} is {kind}"
    if kind == "text/event-stream":
        return  # tests/streams.py reads it
    value = answer.json() if kind.endswith("json") else answer.text
    schema = f"{at}/content/{kind.replace('/', '~1')}/schema"
    faults = [f"{error.instance_path}: {error.message}" for error in SCHEMAS[schema].iter_errors(value)]
    assert not faults, f"{where} breaks its schema: {faults}"


def titles(page: Answer) -> list[str]:
    """The titles of a page of tasks."""
    return [task["title"] for task in page["items"]]


def operation_of(method: str, path: str) -> tuple[str, dict[str, Any] | None]:
    """The operation that a request belongs to, with its JSON Pointer. Literal paths go before templated ones."""
    wanted = "get" if method == "HEAD" else method.lower()
    parts = (path.rstrip("/") or "/").split("/")
    for template in sorted(DOCUMENT["paths"], key=lambda template: template.count("{")):
        names = template.split("/")
        if len(names) != len(parts):
            continue
        if all(name == part or name.startswith("{") for name, part in zip(names, parts, strict=True)):
            pointer = f"#/paths/{template.replace('/', '~1')}/{wanted}"
            return pointer, DOCUMENT["paths"][template].get(wanted)
    return "", None
