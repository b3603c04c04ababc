"""What the servers answer to the same requests, compared before anything is timed."""

import json
from collections.abc import Sequence
from datetime import datetime
from http.client import HTTPConnection
from typing import Any

from benchmarks import rows
from benchmarks.servers import Server

CREATE = {"title": "Compare the answers", "priority": "high", "due_date": "2026-12-01T18:00:00+01:00"}
PATCH = {"title": "Answers compared", "description": None, "status": "in_progress"}
ASKED: list[tuple[str, int, str, str, Any]] = [  # operation, expected status, method, path below the tasks, body
    *(("get", 200, "GET", f"/{rows.task_id(1, task)}", None) for task in range(30)),
    ("list", 200, "GET", "?limit=50", None),
    ("create", 201, "POST", "", CREATE),
    ("patch", 200, "PATCH", f"/{rows.task_id(1, 7)}", PATCH),
    ("get another user's", 404, "GET", f"/{rows.task_id(2, 7)}", None),
]
TYPES = {"POST": "application/json", "PATCH": "application/merge-patch+json"}
OWN = {"list": {"next_cursor"}, "create": {"id", "created_at", "updated_at"}, "patch": {"updated_at"}}
INSTANTS = {"due_date", "completed_at", "created_at", "updated_at"}


def tasks_path(server: Server) -> str:
    """The path of the tasks, as the server's own OpenAPI document says it."""
    _, document = _ask(server, "GET", "/openapi.json")
    return next(str(path) for path in document["paths"] if path.endswith("/tasks"))


def compare(servers: Sequence[Server]) -> None:
    """Leave when a server answers other than expected, or other than the first one.

    A server that keeps to another contract is compared on the members it shares.
    """
    heard = []
    for server in servers:
        path, bodies = tasks_path(server), []
        for operation, expected, method, rest, sent in ASKED:
            status, body = _ask(server, method, path + rest, sent)
            if status != expected:
                raise SystemExit(f"bench: {server.name} answers {operation} with {status}, not {expected}")
            bodies.append(body)
        heard.append(bodies)
    for server, bodies in zip(servers, heard, strict=True):
        for (operation, status, *_), one, other in zip(ASKED, heard[0], bodies, strict=True):
            own, shared_only = OWN.get(operation, set()), not server.same_contract
            different = status < 400 and _difference(one, other, own, shared_only=shared_only)  # noqa: PLR2004
            if different:
                raise SystemExit(f"bench: {servers[0].name} and {server.name} differ in {operation}{different}")


def _ask(server: Server, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Status and JSON of the answer to user 1."""
    headers = {"Authorization": f"Bearer {server.sign(1)}"}
    if body is not None:
        headers["Content-Type"] = TYPES[method]
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request(method, path, body=None if body is None else json.dumps(body), headers=headers)
        answer = connection.getresponse()
        return answer.status, json.load(answer)
    finally:
        connection.close()


def _difference(one: Any, other: Any, own: set[str], *, shared_only: bool) -> str:
    """The first place where the two differ, or nothing. Of the members in `own` only their being null is compared."""
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = [(str(index), *pair) for index, pair in enumerate(zip(one, other, strict=True))]
    elif isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys() and not shared_only:
            return f": {', '.join(sorted(one.keys() ^ other.keys()))} on one side only"
        shared = [name for name in one if name in other]
        pairs = [(name, _plain(name, one[name], own), _plain(name, other[name], own)) for name in shared]
    else:
        return "" if one == other else f": {one} and {other}"
    for name, left, right in pairs:
        if found := _difference(left, right, own, shared_only=shared_only):
            return f"/{name}{found}"
    return ""


def _plain(name: str, value: Any, own: set[str]) -> Any:
    """A value without the freedom that JSON leaves in writing it."""
    if name in own:
        return value is not None
    return datetime.fromisoformat(value) if name in INSTANTS and value is not None else value
