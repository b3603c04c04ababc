"""Below a path of a proxy: what requests say of it is taken off, and what answers refer to begins with it."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from server.settings.settings import Settings
from tests.api.conftest import serving
from tests.client import ApiClient
from tests.conftest import Bench
from tests.factories import Factory

ROOT = "/docket"
HTML = {"Accept": "text/html"}


@pytest.fixture
async def below(settings: Settings, db: Bench) -> AsyncIterator[ApiClient]:
    async with serving(settings.model_copy(update={"root_path": ROOT}), db) as api:
        yield api


@pytest.mark.parametrize("given", ["", ROOT])
async def test_a_proxy_may_take_it_off_or_not(below: ApiClient, make: Factory, given: str) -> None:
    ada = below.as_(await make.user())
    made = await ada.http.post(f"{given}/api/v1/tasks", json={"title": "Find the moth"}, headers=ada.headers)
    again = await ada.http.post(f"{given}/api/v1/tasks", json={"title": "Find it again"}, headers=ada.headers)
    listed = await ada.http.get(f"{given}/api/v1/tasks?limit=1", headers=ada.headers)
    refused = await ada.http.get(f"{given}/api/v1/tasks")
    absent = await ada.http.get(f"{given}/absent")
    where = made.headers["location"]

    assert where == f"{ROOT}/api/v1/tasks/{made.json()['id']}"
    assert (await ada.http.get(where, headers=ada.headers)).json() == made.json()
    following = re.fullmatch(rf'<({ROOT}/api/v1/tasks\?cursor=[^>]+)>; rel="next"', listed.headers["link"])
    assert following
    seen = [*listed.json()["items"], *(await ada.http.get(following[1], headers=ada.headers)).json()["items"]]
    assert {task["id"] for task in seen} == {made.json()["id"], again.json()["id"]}
    assert (refused.status_code, refused.json()["type"]) == (401, f"{ROOT}/problems/authentication_required")
    assert (absent.status_code, absent.json()["type"]) == (404, f"{ROOT}/problems/not_found")
    assert (await ada.http.get(refused.json()["type"], headers=HTML)).status_code == 200


@pytest.mark.parametrize("path", [ROOT, f"{ROOT}/"])
async def test_it_is_itself_the_way_in(below: ApiClient, path: str) -> None:
    info = (await below.http.get(path)).json()

    assert (info["documentation"], info["openapi"]) == (f"{ROOT}/docs", f"{ROOT}/openapi.yaml")
    assert (await below.http.get(info["health"])).json()["status"] == "pass"


@pytest.mark.parametrize("page", ["/", "/docs", "/redoc", "/problems", "/problems/not_found"])
async def test_a_page_links_to_what_is_there(below: ApiClient, page: str) -> None:
    text = (await below.http.get(ROOT + page, headers=HTML)).text
    links = re.findall(r'(?:src|href)="([^"]+)"', text)

    assert links
    assert [link for link in links if not link.startswith(f"{ROOT}/")] == []
    assert {(await below.http.get(link, headers=HTML)).status_code for link in links} == {200}


async def test_the_contract_names_this_server(below: ApiClient) -> None:
    document = (await below.http.get(f"{ROOT}/openapi.json")).json()
    text = (await below.http.get(f"{ROOT}/openapi.yaml")).text

    assert document["servers"] == [{"url": f"{ROOT}/", "description": "This server."}]
    assert token_url(document) == f"{ROOT}/api/v1/auth/token"
    assert f"\n  - url: {ROOT}/\n" in text
    assert f" tokenUrl: {ROOT}/api/v1/auth/token\n" in text


def token_url(document: Any) -> Any:
    return document["components"]["securitySchemes"]["password"]["flows"]["password"]["tokenUrl"]


@pytest.mark.parametrize("given", ["", "/api"])
async def test_it_may_be_how_our_own_paths_begin(settings: Settings, db: Bench, make: Factory, given: str) -> None:
    ada = await make.user()
    async with serving(settings.model_copy(update={"root_path": "/api"}), db) as api:
        mine = api.as_(ada).headers
        answers = [await api.http.get(f"{given}{path}", headers=mine) for path in ("/api/v1/tasks", "/docs", "/health")]
        made = await api.http.post(f"{given}/api/v1/tasks", json={"title": "Find the moth"}, headers=mine)

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert made.headers["location"] == f"/api/api/v1/tasks/{made.json()['id']}"


@pytest.mark.parametrize("path", ["/docketing/api/v1/tasks", "/d%6Fcket/api/v1/tasks", "/docket%2Fapi/v1/tasks"])
async def test_what_only_looks_like_it_is_not_found(below: ApiClient, path: str) -> None:
    answer = await below.http.get(path)

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_what_is_kept_for_a_key_is_answered_below_it_once(below: ApiClient, make: Factory) -> None:
    ada = below.as_(await make.user())
    headers = {**ada.headers, "Idempotency-Key": "3f6f7f3a-0001-4c1e-9d6d-000000000001"}
    answers: list[httpx.Response] = [
        await ada.http.post("/api/v1/tasks", json={"title": "Once"}, headers=headers) for _ in range(2)
    ]

    assert answers[1].headers["idempotency-replayed"] == "true"
    assert answers[0].headers["location"] == answers[1].headers["location"] == json_location(answers[0])


def json_location(answer: httpx.Response) -> str:
    return f"{ROOT}/api/v1/tasks/{json.loads(answer.content)['id']}"
