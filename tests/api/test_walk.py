"""Every operation, and a path that is none, driven to its 429, its 503 and its 500. New operations are in at once."""

import asyncio
import re
from contextlib import AsyncExitStack
from dataclasses import fields
from functools import wraps
from inspect import getmembers, iscoroutinefunction
from types import ModuleType, SimpleNamespace
from typing import Any, NoReturn
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr

from contract.binding import Handler
from persistence.engine.pool import Database, Pool
from server import app as application
from server.settings.settings import Settings
from tests.api.conftest import client_of, refresh_token, serving, start_app
from tests.api.prober import ALL, CANARY, Operation, good_body, with_required
from tests.client import DOCUMENT, ApiClient, check
from tests.conftest import Bench
from tests.factories import NOW, Factory, SignedIn

CLASSES: dict[str, dict[str, dict[str, int]]] = DOCUMENT["x-rate-limits"]
FEW = 3  # what an address has here in the class `default`
NOWHERE = "postgresql://docket@127.0.0.1:1/docket"  # no server listens at port 1
UNKNOWN = "//nothing"
SCRAPE = "a-token-of-the-tests-0123456789"
NO_MAIL = "requestPasswordReset"
NO_DATABASE = {"getApiInfo", "getLiveness", "getMetrics", "getProblemType", "getProtectedResource", "listProblemTypes"}
PROBES = {"getHealth", "getReadiness"}  # their 503 says what is missing
ADA = SignedIn(uuid4(), uuid4(), NOW)


async def ask(who: ApiClient, operation: Operation, **body: Any) -> httpx.Response:
    """The answer, which the contract allows, to a request for something that might be there."""
    named = {"code": "not_found"}
    path = re.sub(r"\{(\w+)\}", lambda found: str(named.get(found[1], uuid4())), operation.path)
    headers = {**who.headers, **({"Content-Type": operation.media_type} if body else {})}
    url = f"{path}?{with_required(operation, '')}"
    answer = await who.http.request(operation.method, url, headers=headers, **body)
    check(answer)
    return answer


async def ask_all(settings: Settings, db: Database, ada: SignedIn = ADA) -> dict[str, httpx.Response]:
    """What every operation answers somebody who may ask and makes no mistake. An unknown path stays unknown."""
    chosen = settings.model_copy(update={"metrics_token": SecretStr(SCRAPE)})
    bodies = {name: good_body(operation) for name, operation in ALL.items()}
    bodies["refreshTokens"] = {"json": {"refresh_token": refresh_token(settings, ada)}}
    async with serving(chosen, db) as api:
        who = dict.fromkeys(ALL, api.as_(ada)) | {"getMetrics": api.with_headers(Authorization=f"Bearer {SCRAPE}")}
        answers = await asyncio.gather(*(ask(who[name], ALL[name], **body) for name, body in bodies.items()))
        await api.get(UNKNOWN, expect=404)
    return dict(zip(bodies, answers, strict=True))


def limit_of(rate_class: str) -> tuple[str, int, int]:
    """The limit of a class for who has not signed in: its name, its number and its window."""
    partitions = CLASSES[rate_class]
    partition = next(name for name in ("ip", "user") if name in partitions)
    return (
        rate_class,
        FEW if rate_class == "default" else partitions[partition]["limit"],
        partitions[partition]["window"],
    )


def is_one_too_many(answer: httpx.Response, rate_class: str) -> None:
    """Fails unless the answer says all that a 429 has to say."""
    name, most, window = limit_of(rate_class)
    said = f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text}"
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limit_exceeded"), said
    seconds = int(answer.headers["retry-after"])
    assert 1 <= seconds <= window, said
    assert answer.headers["ratelimit-policy"] == f'"{name}";q={most};w={window}', said
    assert answer.headers["ratelimit"] == f'"{name}";r=0;t={seconds}', said


@pytest.mark.proves("ASVS 5.0 2.4.1", "Every operation but the probes refuses one request too many")
async def test_every_operation_and_an_unknown_path_refuse_one_too_many(
    settings: Settings, db: Bench, still_window: None
) -> None:
    chosen = settings.model_copy(update={"rate_limits_enabled": True, "rate_limit_default": FEW})
    async with AsyncExitStack() as stack:
        app = await stack.enter_async_context(start_app(chosen, db))
        for number, operation in enumerate(ALL.values(), 1):
            here = await stack.enter_async_context(client_of(app, chosen, f"192.0.2.{number}"))
            rate_class: str = DOCUMENT["paths"][operation.path][operation.method.lower()]["x-rate-limit"]
            if rate_class == "exempt":
                assert {"ratelimit", "ratelimit-policy"}.isdisjoint((await ask(here, operation)).headers)
                continue
            for _ in range(limit_of(rate_class)[1]):
                assert (await ask(here, operation)).status_code != 429, operation.id
            is_one_too_many(await ask(here, operation), rate_class)
        here = await stack.enter_async_context(client_of(app, chosen, "198.51.100.1"))
        for _ in range(FEW):
            await here.get(UNKNOWN, expect=404)
        is_one_too_many(await here.http.get("/nothing"), "default")


async def test_every_operation_tells_when_to_come_again_while_the_database_is_away(settings: Settings) -> None:
    answers = await ask_all(settings, Pool(NOWHERE, size=len(ALL), patience=0.05))

    assert {name for name, answer in answers.items() if answer.status_code == 200} == NO_DATABASE
    assert {answers[name].status_code for name in PROBES} == {503}
    assert answers[NO_MAIL].status_code == 202  # it looks at nothing where nothing is mailed
    for name in answers.keys() - NO_DATABASE - PROBES - {NO_MAIL}:
        answer = answers[name]
        assert answer.status_code == 503, f"{name}: {answer.status_code} {answer.text}"
        assert answer.json()["code"] == "service_unavailable", f"{name}: {answer.text}"
        assert int(answer.headers["retry-after"]) >= 1


def raising(tag: ModuleType) -> SimpleNamespace:
    """The handlers of a tag, each of which fails in a way that was not thought of."""

    def break_handler(handler: Handler) -> Handler:
        @wraps(handler)
        async def fail(*_: object, **__: object) -> NoReturn:
            raise LookupError(CANARY)

        return fail

    return SimpleNamespace(**{name: break_handler(handler) for name, handler in getmembers(tag, iscoroutinefunction)})


async def test_every_operation_answers_500_and_no_more_when_its_handler_raises(
    settings: Settings, db: Bench, make: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = {tag.name: getattr(application.HANDLERS, tag.name) for tag in fields(application.HANDLERS)}
    broken = SimpleNamespace(**{name: raising(module) for name, module in modules.items()})
    monkeypatch.setattr(application, "HANDLERS", broken)

    answers = await ask_all(settings, db, await make.user(is_superuser=True))

    for name, answer in answers.items():
        assert (answer.status_code, answer.json()["code"]) == (500, "internal_error"), f"{name}: {answer.text}"
        assert CANARY not in answer.text
