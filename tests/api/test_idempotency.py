"""Requests that are sent again: done once, answered as they were, if the caller may still do them."""

import asyncio
from datetime import timedelta

import pytest

from persistence.authorization import Caller
from persistence.engine.pool import Pool
from security.passwords import Passwords
from server.commands.prune import prune, retention_rules
from server.settings.settings import Settings
from tests.api.conftest import serving
from tests.client import Answer, ApiClient
from tests.conftest import Bench
from tests.factories import PASSWORD, Factory

TASK = {"title": "Once"}
RESERVED = "INSERT INTO idempotency_keys (user_id, key, fingerprint, created_at) VALUES ($1, 'the-key', '', now())"


def with_key(api: ApiClient, caller: Caller, key: str = "the-key") -> ApiClient:
    return api.as_(caller).with_headers(Idempotency_Key=key)


async def titles(api: ApiClient, caller: Caller, **where: str) -> list[str]:
    return [task["title"] for task in (await api.as_(caller).get("/tasks", **where))["items"]]  # type: ignore[arg-type]


async def test_a_request_sent_again_is_answered_as_it_was(api: ApiClient, make: Factory) -> None:
    ada = await make.user()
    first = await with_key(api, ada).post("/tasks", TASK)
    await api.as_(ada).patch(f"/tasks/{first['id']}", {"title": "Changed"})

    again = await with_key(api, ada).post("/tasks", TASK)

    assert again.content == first.content
    assert [again.headers[name] for name in ("location", "etag")] == [first.headers[n] for n in ("location", "etag")]
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert await titles(api, ada) == ["Changed"]


USER = {"email": "grace@example.com", "password": PASSWORD}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/organizations", {"name": "Engines", "slug": "engines"}),
        ("/users", USER),
    ],
)
async def test_whatever_else_is_made_is_made_once(
    api: ApiClient, make: Factory, path: str, body: dict[str, str]
) -> None:
    ada = await make.user(is_superuser=True)
    await make.user(email="bob@example.com")
    path = path.format(team=await make.team(owner=ada))
    first = await with_key(api, ada).post(path, body)

    again = await with_key(api, ada).post(path, body)

    assert again.content == first.content
    assert [again.headers[name] for name in ("location", "etag")] == [first.headers[n] for n in ("location", "etag")]
    assert again.headers["idempotency-replayed"] == "true"
    changed = {name: value.replace("e", "x", 1) for name, value in body.items()}
    assert (await with_key(api, ada).post(path, changed, expect=422))["code"] == "idempotency_key_reused"
    await with_key(api, ada, "another").post(path, body, expect=409)


async def test_an_account_is_made_once_though_its_password_is_hashed_before(
    settings: Settings, fresh: Pool, commit: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is hashed every connection is free."""
    ada = await commit.user(is_superuser=True)
    lent: list[int] = []
    hash_password = Passwords.hash

    async def watch_hash(self: Passwords, password: str) -> str:
        lent.append(fresh.size - len(fresh.free))
        return await hash_password(self, password)

    monkeypatch.setattr(Passwords, "hash", watch_hash)
    async with serving(settings, fresh) as api:
        answers = [await with_key(api, ada).post("/users", USER) for _ in range(2)]

    assert lent == [0]
    assert "idempotency-replayed" in answers[1].headers
    assert len(await fresh.fetch("SELECT FROM users WHERE email = $1", [USER["email"]])) == 1


async def test_a_password_that_is_refused_leaves_no_key(api: ApiClient, make: Factory) -> None:
    ada = await make.user(is_superuser=True)

    problem = await with_key(api, ada).post("/users", USER | {"password": "password"}, expect=422)
    assert problem["code"] == "password_too_common"

    assert "idempotency-replayed" not in (await with_key(api, ada).post("/users", USER)).headers


async def test_an_answer_about_a_user_goes_with_the_user(api: ApiClient, make: Factory) -> None:
    ada = await make.user(is_superuser=True)
    made = await with_key(api, ada).post("/users", USER)

    await api.as_(ada).delete(f"/users/{made['id']}")

    assert await make.db.fetch("SELECT FROM idempotency_keys", []) == []


async def test_a_key_that_came_with_another_request_is_refused(api: ApiClient, make: Factory) -> None:
    ada = await make.user()
    await with_key(api, ada).post("/tasks", TASK)

    problem = await with_key(api, ada).post("/tasks", {"title": "Another"}, expect=422)

    assert problem["code"] == "idempotency_key_reused"
    assert await titles(api, ada) == ["Once"]


async def test_a_key_belongs_to_its_user(api: ApiClient, make: Factory) -> None:
    ada, bob = await make.user(), await make.user()

    for who in (ada, bob):
        await with_key(api, who).post("/tasks", TASK)
        assert await titles(api, who) == ["Once"]


async def test_without_a_key_or_with_another_a_request_is_done_again(api: ApiClient, make: Factory) -> None:
    ada = await make.user()

    await api.as_(ada).post("/tasks", TASK)
    await api.as_(ada).post("/tasks", TASK)
    await with_key(api, ada, "one").post("/tasks", TASK)
    await with_key(api, ada, "two").post("/tasks", TASK)

    assert await titles(api, ada) == ["Once"] * 4


async def test_what_was_refused_may_be_sent_again(api: ApiClient, make: Factory) -> None:
    ada = await make.user()
    team = await make.team(member=ada)
    body = TASK | {"organization_id": str(team)}
    await with_key(api, ada).post("/tasks", body, expect=403)
    await make.db.fetch("UPDATE organization_members SET role = 'admin' WHERE user_id = $1", [ada.id])

    assert "idempotency-replayed" not in (await with_key(api, ada).post("/tasks", body)).headers


@pytest.mark.parametrize(
    ("lost", "status"),
    [
        ("UPDATE organization_members SET role = 'member' WHERE user_id = $1", 403),
        ("DELETE FROM organization_members WHERE user_id = $1", 404),
        ("UPDATE sessions SET revoked_at = now(), revoke_reason = 'logout' WHERE user_id = $1", 401),
        ("UPDATE users SET is_active = false WHERE id = $1", 401),
    ],
)
async def test_who_may_not_do_it_any_more_is_not_told_what_was_answered(
    api: ApiClient, make: Factory, lost: str, status: int
) -> None:
    ada = await make.user()
    body = TASK | {"organization_id": str(await make.team(admin=ada))}
    await with_key(api, ada).post("/tasks", body)
    await make.db.fetch(lost, [ada.id])

    await with_key(api, ada).post("/tasks", body, expect=status)


@pytest.mark.parametrize(
    "over",
    [
        "UPDATE sessions SET revoked_at = now(), revoke_reason = 'logout' WHERE user_id = $1",
        "UPDATE sessions SET expires_at = now() - interval '1 minute' WHERE user_id = $1",
        "UPDATE users SET is_active = false WHERE id = $1",
    ],
)
async def test_whose_session_is_over_is_not_told_which_keys_were_used(api: ApiClient, make: Factory, over: str) -> None:
    ada = await make.user()
    await with_key(api, ada).post("/tasks", TASK)
    await make.db.fetch(over, [ada.id])

    for key in ("the-key", "another"):
        problem = await with_key(api, ada, key).post("/tasks", {"title": "Another"}, expect=401)
        assert problem["code"] == "token_revoked"


async def test_after_a_day_a_key_is_new(api: ApiClient, make: Factory, db: Bench) -> None:
    ada = await make.user()
    await with_key(api, ada).post("/tasks", TASK)
    await db.fetch("UPDATE idempotency_keys SET created_at = created_at - $1::interval", [timedelta(hours=24)])

    later = await with_key(api, ada).post("/tasks", {"title": "Twice"})
    again = await with_key(api, ada).post("/tasks", {"title": "Twice"})

    assert "idempotency-replayed" not in later.headers
    assert again.content == later.content
    assert sorted(await titles(api, ada)) == ["Once", "Twice"]


@pytest.mark.parametrize("key", ["", "a b", "x" * 129, "ü"])
async def test_a_key_has_a_form(api: ApiClient, make: Factory, key: str) -> None:
    problem = await with_key(api, await make.user(), key).post("/tasks", TASK, expect=400)

    assert problem["code"] == "invalid_header"


@pytest.mark.usefixtures("patient")
async def test_of_many_at_once_with_one_key_one_is_done(
    pair: tuple[ApiClient, ApiClient], commit: Factory, fresh: Pool
) -> None:
    ada = await commit.user()

    async def create(number: int) -> Answer:
        return await with_key(pair[number % 2], ada).post("/tasks", TASK)

    answers = await asyncio.gather(*[create(number) for number in range(20)])

    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 19
    assert [record["count"] for record in await fresh.fetch("SELECT count(*) FROM tasks", [])] == [1]


async def test_who_waits_too_long_for_the_first_is_told_to_come_again(
    pair: tuple[ApiClient, ApiClient], commit: Factory, fresh: Pool
) -> None:
    ada = await commit.user()
    async with fresh.transaction() as first:
        await first.fetch(RESERVED, [ada.id])
        problems = await asyncio.gather(*[with_key(api, ada).post("/tasks", TASK, expect=409) for api in pair])

    for problem in problems:
        assert (problem["code"], problem.headers["retry-after"]) == ("idempotency_in_progress", "1")


async def test_whose_session_is_over_does_not_wait_for_the_first(
    pair: tuple[ApiClient, ApiClient], commit: Factory, fresh: Pool
) -> None:
    ada = await commit.user()
    await fresh.fetch("UPDATE sessions SET revoked_at = now(), revoke_reason = 'logout'", [])
    async with fresh.transaction() as first:
        await first.fetch(RESERVED, [ada.id])
        await with_key(pair[0], ada).post("/tasks", TASK, expect=401)


async def test_who_waits_too_long_for_the_same_answer_again_is_told_to_come_again(
    pair: tuple[ApiClient, ApiClient], commit: Factory, fresh: Pool
) -> None:
    ada = await commit.user()
    await with_key(pair[0], ada).post("/tasks", TASK)
    async with fresh.transaction() as another:
        await another.fetch("SELECT FROM idempotency_keys FOR UPDATE", [])
        problem = await with_key(pair[0], ada).post("/tasks", TASK, expect=409)

    assert problem["code"] == "idempotency_in_progress"


async def test_who_waits_too_long_for_the_account_is_not_told_that_the_request_is_in_progress(
    pair: tuple[ApiClient, ApiClient], commit: Factory, fresh: Pool
) -> None:
    ada = await commit.user()
    async with fresh.transaction() as changing:
        await changing.fetch("SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE", [ada.id])
        problem = await with_key(pair[0], ada).post("/tasks", TASK, expect=503)

    assert (problem["code"], problem.headers["retry-after"]) == ("service_unavailable", "1")


async def test_what_is_kept_is_pruned_after_a_day(fresh_url: str, fresh: Pool, settings: Settings) -> None:
    ada = await Factory(fresh).user()
    for key, age in (("old", "25 hours"), ("new", "23 hours")):
        await fresh.fetch(
            """
            INSERT INTO idempotency_keys (user_id, key, fingerprint, created_at)
            VALUES ($1, $2, '', now() - $3::text::interval)
            """,
            [ada.id, key, age],
        )

    async for _ in prune(fresh_url, retention_rules(settings)):
        pass

    assert [record["key"] for record in await fresh.fetch("SELECT key FROM idempotency_keys", [])] == ["new"]


async def test_an_answer_goes_with_the_user_that_it_names(db: Bench, make: Factory) -> None:
    ada, bob = await make.user(), await make.user()
    for key, named in (("of bob", bob.id), ("of a task", None)):
        await db.fetch(
            """
            INSERT INTO idempotency_keys (user_id, key, fingerprint, named_user_id, created_at)
            VALUES ($1, $2, '', $3, now())
            """,
            [ada.id, key, named],
        )

    await db.fetch("DELETE FROM users WHERE id = $1", [bob.id])

    assert [record["key"] for record in await db.fetch("SELECT key FROM idempotency_keys", [])] == ["of a task"]
