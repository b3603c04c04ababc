"""What no cache may keep: whatever is told of people, their sessions and what they did."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.client import DOCUMENT, ApiClient
from tests.factories import Factory

PATHS = ["/users/me", "/auth/me", "/auth/sessions", "/users/{id}", "/organizations/{id}/members"]
PERSONAL = {"User", "MemberUser", "Session", "AuditLog", "TokenPair"}


def names(schema: Any) -> Iterator[str]:
    """The schemas that a schema reaches."""
    if isinstance(schema, list):
        for each in schema:
            yield from names(each)
    elif isinstance(schema, dict):
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            yield name
            yield from names(DOCUMENT["components"]["schemas"].get(name, {}))
        for each in schema.values():
            yield from names(each)


def answers() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for methods in DOCUMENT["paths"].values():
        for operation in methods.values():
            if isinstance(operation, dict) and "operationId" in operation:
                for status, declared in operation["responses"].items():
                    yield operation["operationId"], status, declared


@pytest.mark.proves(
    "ASVS 5.0 14.2.2, ASVS 5.0 14.3.2", "What is told of people, sessions and deeds is kept by no cache"
)
def test_every_answer_about_people_may_be_kept_by_nobody() -> None:
    told = {
        (name, status): declared["headers"]["Cache-Control"]["$ref"].rpartition("/")[2]
        for name, status, declared in answers()
        if status.startswith("2") and PERSONAL & set(names(declared.get("content", {})))
    }

    assert {"getUser", "listSessions", "getMember", "listAuditLogs", "login"} <= {name for name, _ in told}
    assert set(told.values()) == {"NoStore"}


@pytest.mark.parametrize("path", PATHS)
async def test_so_it_is_answered_and_when_nothing_has_changed(api: ApiClient, make: Factory, path: str) -> None:
    ada = await make.user()
    who = api.as_(ada)

    answer = await who.get(path.format(id=ada.id))
    assert answer.headers["cache-control"] == "no-store"
    if "etag" in answer.headers:
        again = await who.with_headers(If_None_Match=answer.headers["etag"]).get(path.format(id=ada.id), expect=304)
        assert again.headers["cache-control"] == "no-store"
