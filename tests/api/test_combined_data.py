"""What several members of a request must be together: docs/clients.md lists it, and each row is refused as it says."""

import re
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest

from tests.client import Answer, ApiClient
from tests.conftest import ROOT
from tests.factories import Factory

Refused: TypeAlias = Callable[[ApiClient, Factory], Awaitable[Answer]]
ROW = re.compile(r"^\| (.+?) \| (.+?) \| (\d{3}) `(\w+)` \|$", re.MULTILINE)


async def scope_and_organization(api: ApiClient, make: Factory) -> Answer:
    ada = await make.user()
    return await api.as_(ada).get("/tasks", expect=422, scope="all", organization_id=str(ada.id))


async def all_and_another(api: ApiClient, make: Factory) -> Answer:
    return await api.as_(await make.user()).get("/tasks", expect=422, status=["all", "pending"])


async def instant_and_day(api: ApiClient, make: Factory) -> Answer:
    both = {"title": "One", "due_date": "2030-01-31T09:30:00Z", "due_on": "2030-01-31"}
    return await api.as_(await make.user()).post("/tasks", both, expect=422)


async def cursor_of_another_order(api: ApiClient, make: Factory) -> Answer:
    ada = await make.user()
    for _ in range(2):
        await make.task(ada.id, ada)
    page = await api.as_(ada).get("/tasks", limit=1)
    return await api.as_(ada).get("/tasks", expect=400, limit=1, sort="title", cursor=page["next_cursor"])


async def password_of_the_name(api: ApiClient, make: Factory) -> Answer:
    account = {"email": "ada@example.com", "full_name": "Marigold Foxglove", "password": "Marigold1Foxglove2"}
    return await api.post("/auth/register", account, expect=422)


async def key_of_another_request(api: ApiClient, make: Factory) -> Answer:
    ada = api.as_(await make.user()).with_headers(Idempotency_Key="the-key")
    await ada.post("/tasks", {"title": "One"})
    return await ada.post("/tasks", {"title": "Another"}, expect=422)


async def match_of_another_version(api: ApiClient, make: Factory) -> Answer:
    ada = await make.user()
    task = await make.task(ada.id, ada)
    return await api.as_(ada).with_headers(If_Match='"7"').patch(f"/tasks/{task}", {"title": "New"}, expect=412)


async def slug_of_a_personal_one(api: ApiClient, make: Factory) -> Answer:
    ada = await make.user()
    return await api.as_(ada).patch(f"/organizations/{ada.id}", {"slug": "ada"}, expect=409)


async def role_of_the_last_owner(api: ApiClient, make: Factory) -> Answer:
    ada = await make.user()
    team = await make.team(owner=ada)
    return await api.as_(ada).patch(f"/organizations/{team}/members/{ada.id}", {"role": "member"}, expect=409)


async def rights_of_the_last_superuser(api: ApiClient, make: Factory) -> Answer:
    root = await make.user(is_superuser=True)
    return await api.as_(root).patch(f"/users/{root.id}", {"is_superuser": False}, expect=409)


BREAKS: dict[str, Refused] = {
    "`scope` and `organization_id`": scope_and_organization,
    "`status` `all` and another `status`": all_and_another,
    "`due_date` and `due_on`": instant_and_day,
    "`cursor`, the caller, filters and `sort`": cursor_of_another_order,
    "`password`, `email`, `username` and `full_name`": password_of_the_name,
    "`Idempotency-Key` and the request": key_of_another_request,
    "`If-Match` and the resource": match_of_another_version,
    "`slug` and a personal organization": slug_of_a_personal_one,
    "`role` and the last owner of a team": role_of_the_last_owner,
    "`is_superuser`, `is_active` and the last superuser": rights_of_the_last_superuser,
}


def list_rules() -> dict[str, tuple[int, str]]:
    """What the page says: how a request is refused that breaks each rule."""
    page = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
    table = page.partition("## What must agree\n")[2].partition("\n## ")[0]
    return {together: (int(status), code) for together, _, status, code in ROW.findall(table)}


def test_the_page_lists_what_is_tried_here() -> None:
    assert list_rules().keys() == BREAKS.keys()


@pytest.mark.proves("ASVS 5.0 2.1.2", "What members must be together is written, and refused as it is written")
@pytest.mark.parametrize("together", BREAKS)
async def test_what_does_not_agree_is_refused_as_the_page_says(together: str, api: ApiClient, make: Factory) -> None:
    answer = await BREAKS[together](api, make)

    assert (answer.status, answer["code"]) == list_rules()[together]


async def test_what_the_page_calls_no_fault_is_none(api: ApiClient, make: Factory) -> None:
    ada = api.as_(await make.user())
    await ada.post("/tasks", {"title": "Late", "due_date": "2001-01-01T00:00:00Z"})

    turned = await ada.get("/tasks", due_after="2030-01-01T00:00:00Z", due_before="2020-01-01T00:00:00Z")

    assert turned["items"] == []
