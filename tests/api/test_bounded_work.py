"""What a request costs grows with what its answer tells, not with what was sent: every body and query, over a socket.

The cost is the time that the server's process works for a request, which no gap of its event loop can be longer than,
and what it holds at most meanwhile. Both are read from the system, so that a busy machine changes neither.
"""

import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import httpx
import pytest

from contract.parsing import DEEPEST, MOST_VALUES
from generated.operations import OPERATIONS
from tests.api.prober import ALL, FORM, WITH_BODY, Operation
from tests.api.test_real_server import PASSWORD, Running, running
from tests.client import check
from tests.conftest import Server

MEBIBYTE = 1024 * 1024
LARGEST = {operation.id: operation.body.largest for operation in OPERATIONS if operation.body}
CREDENTIALS = {"email": "root@example.com", "password": PASSWORD}
SECONDS, BYTES = 0.05, 20 * MEBIBYTE
ID = str(UUID(int=0))


@pytest.fixture(scope="module")
async def shared(server: Server, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    folder, email = tmp_path_factory.mktemp("served"), CREDENTIALS["email"]
    async with (
        server.copy(template) as url,
        running(folder, url, FIRST_SUPERUSER_EMAIL=email, FIRST_SUPERUSER_PASSWORD=PASSWORD) as started,
    ):
        yield started


def fill_body(begin: bytes, part: bytes, end: bytes, size: int) -> bytes:
    """As many of the part as there is room for, with as many spaces as are missing."""
    whole = begin + b",".join([part] * ((size - len(begin) - len(end) + 1) // (len(part) + 1))) + end
    return whole + b" " * (size - len(whole))


def wrong_bodies(operation: Operation, size: int) -> Iterator[bytes]:
    """Bodies of that size that no operation wants: wrong items, unknown members, known ones wrong, nested."""
    names = "".join(f'"{number:x}":0,' for number in range(size // 8)).encode()
    for parts in (size, MOST_VALUES * 2 - 10):  # as much as there is room for, and as much as is parsed
        yield fill_body(b"[", b"0", b"]", min(parts, size))
        yield fill_body(b"[", b"[]", b"]", min(parts, size))
        yield b"{" + names[: min(parts * 4, size) - 8].rpartition(b",")[0] + b"}"
        for member in operation.schema.get("properties", {}):
            begin = json.dumps({**operation.good, member: 0})[:-2].encode()
            for part in (b"0", b"{}", b'""', b'"00000000-0000-4000-8000-00000000000"'):
                yield fill_body(begin + b"[", part, b"]}", min(parts, size))
    for member in operation.schema.get("properties", {}):
        begin = b'{"%b":' % member.encode()
        yield begin + b'"%b"}' % (b"a" * (size - len(begin) - 3))
        yield begin + b'"%b"}' % (rb"\u0000" * ((size - len(begin) - 3) // 6))
        yield begin + b"[" * (DEEPEST - 1) + b"0," * 9_000 + b"0" + b"]" * (DEEPEST - 1) + b"}"
        yield begin + b"9" * (size - len(begin) - 1) + b"}"


def bodies(operation: Operation, size: int) -> Iterator[bytes]:
    if operation.media_type != FORM:
        yield from wrong_bodies(operation, size)
        return
    yield b"&".join([b"a=0"] * (size // 4))
    yield "&".join(f"{number:x}=" for number in range(99)).encode()
    for member in operation.schema["properties"]:
        yield urlencode({**operation.good, member: "%" * (size // 3 - 200)}).encode()


class Meter:
    """What the one process of a server has worked so far, and what it holds at most since it was asked last."""

    def __init__(self, server: Running) -> None:
        self.folder = Path(f"/proc/{server.process.pid}")

    def cpu_seconds(self) -> float:
        tasks = [*self.folder.glob("task/*/schedstat")]
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def memory_of(self, name: str) -> int:
        found = re.search(rf"{name}:\s+(\d+) kB", (self.folder / "status").read_text())
        assert found
        return int(found[1]) * 1024

    def reset(self) -> None:
        (self.folder / "clear_refs").write_text("5")


@pytest.mark.parametrize("name", WITH_BODY)
async def test_whatever_an_operation_is_sent_costs_no_more_than_is_told(shared: Running, name: str) -> None:
    operation, meter = ALL[name], Meter(shared)
    path = re.sub(r"\{\w+\}", ID, operation.path)
    async with shared.client() as http:
        tokens = (await http.post("/api/v1/auth/login", json=CREDENTIALS)).raise_for_status().json()
        bearer = {"Authorization": f"Bearer {tokens['access_token']}", "Content-Type": operation.media_type}
        for size, statuses in ((LARGEST[name], {400, 413, 422}), (MEBIBYTE, {413})):
            for body in bodies(operation, size):
                meter.reset()
                worked, held = meter.cpu_seconds(), meter.memory_of("VmRSS")
                answer = await send(http, operation.method, path, bearer, body)
                cost, growth = meter.cpu_seconds() - worked, meter.memory_of("VmHWM") - held
                said = f"{body[:60]!r} of {len(body)}: {answer.status_code} {cost:.3f} s, {growth} bytes"
                assert answer.status_code in (statuses if len(body) >= size else {400, 413, 422}), said
                assert cost < SECONDS, said
                assert growth < BYTES, said
                assert len(answer.json().get("errors", ())) <= 50, said


async def send(http: httpx.AsyncClient, method: str, path: str, headers: dict[str, str], body: bytes) -> httpx.Response:
    answer = await http.request(method, path, headers=headers, content=body)
    check(answer)
    return answer


@pytest.mark.parametrize(
    "name", sorted(name for name, operation in ALL.items() if "query" in str(operation.parameters))
)
async def test_whatever_a_query_says_costs_no_more_than_is_told(shared: Running, name: str) -> None:
    operation, meter = ALL[name], Meter(shared)
    path = re.sub(r"\{\w+\}", ID, operation.path)
    async with shared.client() as http:
        tokens: Any = (await http.post("/api/v1/auth/login", json=CREDENTIALS)).raise_for_status().json()
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        queries = ["a&" * 4_000, "&" * 8_000, "%ff=%ff&" * 1_000, "a=" + "%00" * 2_600]
        for parameter in operation.parameters.values():
            if parameter["in"] == "query":
                queries += [f"{parameter['name']}=x&" * (8_000 // (len(parameter["name"]) + 3))]
                queries += [f"{parameter['name']}=" + "9" * 7_900, f"{parameter['name']}=" + "%61" * 2_600]
        for query in queries:
            costs: list[float] = []
            for _ in range(3):  # the least counts: other work of the server may fall into one
                worked = meter.cpu_seconds()
                async with http.stream("GET", f"{path}?{query}", headers=bearer) as answer:
                    if answer.headers["content-type"] != "text/event-stream":  # which has no end
                        await answer.aread()
                        check(answer)
                        assert len(answer.json().get("errors", ())) <= 50
                    costs.append(meter.cpu_seconds() - worked)
            assert min(costs) < SECONDS, f"{query[:40]}: {costs} s"
