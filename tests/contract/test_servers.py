"""Servers with a path or variables: where operations are served, and where they are not."""

from pathlib import Path
from typing import Any

import pytest

from contract.types import ContractError, Problem
from tests.contract.small import NOTHING, Node, Small, Told, document, refusals


def operation(name: str, **more: Any) -> Node:
    return {"get": {"operationId": name, "responses": NOTHING, **more}}


def server(url: str, **variables: Node) -> Node:
    return {"url": url} | ({"variables": variables} if variables else {})


async def is_served(small: Small, path: str) -> bool:
    """Whether a path leads to an operation."""
    try:
        await small.send("GET", path)
    except Told:
        return True
    except Problem:
        return False
    raise AssertionError(path)


@pytest.mark.parametrize(
    ("servers", "base", "path"),
    [
        ([server("/")], None, "/try"),
        ([server("https://x.example")], None, "/try"),
        ([server("https://x.example/v1/")], None, "/v1/try"),
        ([server("/v1"), server("https://x.example/v1")], None, "/v1/try"),
        ([server("/v1"), server("/v2")], "/v2", "/v2/try"),
        ([server("https://{r}.example/v9", r={"default": "eu"})], None, "/v9/try"),
        ([server("/{v}", v={"default": "v1", "enum": ["v1", "v2"]})], "/v2", "/v2/try"),
        ([server("/api/{v}", v={"default": "v1"})], None, "/api/v1/try"),
        ([server("/api/{v}", v={"default": "v1"})], "/api/next", "/api/next/try"),
        ([server("{all}/v3", all={"default": "https://x.example"})], None, "/v3/try"),
    ],
)
async def test_paths_begin_where_the_server_is(
    tmp_path: Path, servers: list[Node], base: str | None, path: str
) -> None:
    small = Small(document({"/try": operation("tryIt")}, servers=servers), tmp_path, base=base)

    assert await is_served(small, path)
    assert path == "/try" or not await is_served(small, "/try")


async def test_the_nearest_servers_count(tmp_path: Path) -> None:
    paths = {
        "/near": operation("near", servers=[server("https://{r}.example/v9", r={"default": "eu"})]),
        "/item": {"servers": [server("/item")], **operation("item")},
        "/far": operation("far"),
    }
    small = Small(document(paths, servers=[server("/v1")]), tmp_path, base="/v1")

    assert [await is_served(small, path) for path in ("/v9/near", "/item/item", "/v1/far")] == [True, True, True]
    assert [await is_served(small, path) for path in ("/v1/near", "/near", "/far")] == [False, False, False]


@pytest.mark.parametrize(
    ("base", "reason"),
    [
        (None, "tryIt has servers at /v1, /v2: say which one this is"),
        ("/v3", "no server of the contract is at /v3, but at /v1, /v2"),
        ("", "no server of the contract is at /, but at /v1, /v2"),
    ],
)
def test_a_server_that_the_contract_does_not_have_does_not_start(tmp_path: Path, base: str | None, reason: str) -> None:
    with pytest.raises(ContractError, match=reason):
        Small(document({"/try": operation("tryIt")}, servers=[server("/v1"), server("/v2")]), tmp_path, base=base)


@pytest.mark.parametrize(
    ("one", "place", "reason"),
    [
        (server("v1"), "#/servers/0/url", "is relative to where the document stands: begin it with a slash"),
        (
            server("/v1?x=1"),
            "#/servers/0/url",
            "has a query or a fragment, which stand behind every path: take it away",
        ),
        (
            server("/{v}"),
            "#/servers/0/url",
            "has the variable v, which `variables` does not have: add it there, with a default",
        ),
        (
            server("/{v}", v={"default": "v3", "enum": ["v1"]}),
            "#/servers/0/variables/v",
            "needs a default, which is one of its `enum` if it has one",
        ),
    ],
)
def test_a_url_that_names_no_place_is_refused(tmp_path: Path, one: Node, place: str, reason: str) -> None:
    assert refusals(document({"/try": operation("tryIt")}, servers=[one]), tmp_path) == [(place, reason)]
