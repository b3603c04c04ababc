"""Paths whose parameters are called differently, stand within a segment, or hold what is reserved."""

import pytest

from tests.contract.small import NOTHING, Node, Small, document


def get(operation_id: str, *names: str) -> Node:
    named = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
    return {"get": {"operationId": operation_id, "parameters": named, "responses": NOTHING}}


PATHS: Node = {
    "/try/{id}": get("one", "id"),
    "/try/{parent_id}/children": get("children", "parent_id"),
    "/try/{id}:archive": get("archive", "id"),
    "/try/{id}.csv": get("csv", "id"),
    "/try/v{ver}/x": get("prefix", "ver"),
    "/pair/{a}-{b}": get("pair", "a", "b"),
    "/pair/new-{b}/deep": get("deep", "b"),
    "/x/{a}/x": get("x", "a"),
    "/x/{b}/y": get("y", "b"),
    "/x/fixed/z": get("z"),
    "/caf\u00e9/{name}": get("cafe", "name"),
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    return Small(document(PATHS), tmp_path_factory.mktemp("paths"))


@pytest.mark.parametrize(
    ("path", "operation", "given"),
    [
        ("/try/7", "one", {"id": "7"}),
        ("/try/7/children", "children", {"parent_id": "7"}),
        ("/try/v7/children", "children", {"parent_id": "v7"}),
        ("/try/7:archive", "archive", {"id": "7"}),
        ("/try/7%3Aarchive", "one", {"id": "7:archive"}),
        ("/try/a:b:archive", "archive", {"id": "a:b"}),
        ("/try/7.csv", "csv", {"id": "7"}),
        ("/try/a%2Fb", "one", {"id": "a/b"}),
        ("/try/a%2Fb.csv", "csv", {"id": "a/b"}),
        ("/try/%2e%2E", "one", {"id": ".."}),
        ("/try/100%25", "one", {"id": "100%"}),
        ("/try/%2541", "one", {"id": "%41"}),
        ("/try/caf%C3%A9", "one", {"id": "caf\u00e9"}),
        ("/t%72y/7", "one", {"id": "7"}),
        ("/try/v3/x", "prefix", {"ver": "3"}),
        ("/pair/1-2", "pair", {"a": "1", "b": "2"}),
        ("/pair/1-2-3", "pair", {"a": "1", "b": "2-3"}),
        ("/pair/a%2Db-c", "pair", {"a": "a", "b": "b-c"}),
        ("/pair/new-2", "pair", {"a": "new", "b": "2"}),
        ("/pair/new-2/deep", "deep", {"b": "2"}),
        ("/x/1/x", "x", {"a": "1"}),
        ("/x/2/y", "y", {"b": "2"}),
        ("/x/fixed/y", "y", {"b": "fixed"}),
        ("/x/fixed/z", "z", {}),
        ("/caf%C3%A9/a", "cafe", {"name": "a"}),
    ],
)
async def test_a_request_finds_its_operation_and_its_values(
    small: Small, path: str, operation: str, given: dict[str, str]
) -> None:
    assert await small.arguments_of("GET", path) == given
    assert small.last is not None
    assert small.last.id == operation


@pytest.mark.parametrize("path", ["/try/%FF", "/try/", "/pair/1-", "/pair/-1", "/x/1/z", "/try/7%2Fchildren/x"])
async def test_what_matches_nothing_is_not_found(small: Small, path: str) -> None:
    assert (await small.refusal("GET", path))[0] == 404
