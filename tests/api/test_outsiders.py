"""Callers with a token of another issuer: who they are here, and what they may not do."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from asyncpg import Record
from typing_extensions import override
from uuid_utils.compat import uuid7

from handlers.accounts.provisioning import graves_of
from persistence.engine.pool import Pool, Transaction
from persistence.queries.accounts import identities
from persistence.queries.accounts.identities import Arrival
from security.keys import Keys
from server.dispatch import authentication
from server.settings.loading import load
from server.settings.settings import Settings
from tests import issuer
from tests.api.conftest import SECRET, serving
from tests.binding.conftest import Logged, logged
from tests.client import ApiClient
from tests.conftest import Bench
from tests.factories import PASSWORD, Factory
from tests.issuer import Issuer, publishing, sending, sign_shared

__all__ = ["logged"]  # a fixture
OPERATIONS_OF_SESSIONS = [
    ("POST", "/auth/logout"),
    ("POST", "/auth/logout-all"),
    ("GET", "/auth/sessions"),
    ("DELETE", "/auth/sessions/5d0c1b1e-3f60-4c55-9d5e-1f1c2d3e4f50"),
    ("PUT", "/users/me/password"),
]


def hybrid(other: Issuer, **changes: Any) -> Settings:
    """Our own tokens, those that the shared secret signs, and those of the other issuer."""
    given: dict[str, Any] = {
        "environment": "development",
        "secret_key": SECRET,
        "auth_mode": "hybrid",
        "better_auth_secret": issuer.SECRET,
        "external_jwt_jwks_url": other.url,
        "external_jwt_issuer": issuer.NAME,
        "external_jwt_audience": issuer.AUDIENCE,
        "rate_limits_enabled": False,
        "response_check_rate": 1,
        "log_level": "error",
    }
    return load(**given | changes)


def bearing(api: ApiClient, token: str) -> ApiClient:
    return api.with_headers(Authorization=f"Bearer {token}")


@pytest.fixture
async def other() -> AsyncIterator[Issuer]:
    async with publishing() as issuer:
        yield issuer


@pytest.fixture
async def api(other: Issuer, db: Bench) -> AsyncIterator[ApiClient]:
    async with serving(hybrid(other), db) as client:
        yield client


async def test_somebody_unknown_gets_an_account_at_first_sight(api: ApiClient, other: Issuer) -> None:
    grace = bearing(api, other.token("grace", email="Grace@example.com", email_verified=True))

    me = await grace.get("/auth/me")
    task = await grace.post("/tasks", {"title": "Find the moth"})

    assert (me["email"], me["username"], me["is_superuser"]) == ("Grace@example.com", None, False)
    assert task["organization_id"] == me["id"]
    assert (await bearing(api, other.token("grace")).get("/auth/me"))["id"] == me["id"]


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"name": "Grace Hopper"}, "Grace Hopper"),
        ({"name": " Grace\n\u202eHopper\u00a0"}, "Grace Hopper"),
        ({"name": "\ud800G\x00"}, "G"),
        ({"name": "x" * 300}, "x" * 255),
        ({"name": "\u200b \u2800"}, None),
        ({"name": "\U000e0041\U000e0100 \U0001d173"}, None),
        ({"name": "\U0001f600"}, "\U0001f600"),
        ({"name": ["Grace"]}, None),
        ({"user": {"name": "Grace"}}, "Grace"),
        ({}, None),
    ],
)
async def test_the_name_of_a_token_is_cleaned_and_never_refused(
    api: ApiClient, other: Issuer, claims: dict[str, Any], name: str | None
) -> None:
    grace = bearing(api, other.token("grace", **claims))

    assert (await grace.get("/auth/me"))["full_name"] == name
    [personal] = (await grace.get("/organizations"))["items"]
    assert personal["name"] == (name or "Personal")


async def test_the_shared_secret_of_better_auth_will_do(api: ApiClient) -> None:
    by_claim = bearing(api, sign_shared("grace", email="grace@example.com", emailVerified=True))
    by_cookie = bearing(api, sign_shared(None, user={"id": "grace", "email": "grace@example.com"}, session={"id": "1"}))

    assert (await by_claim.get("/auth/me"))["email"] == "grace@example.com"
    assert (await by_claim.get("/auth/me"))["id"] == (await by_cookie.get("/auth/me"))["id"]


async def test_our_own_tokens_go_on(api: ApiClient, make: Factory) -> None:
    ada = await make.user()

    mine = api.as_(ada)
    assert [(await mine.get("/auth/me"))["id"] for _ in range(2)] == [str(ada.id)] * 2


async def test_a_token_that_is_none_is_invalid(api: ApiClient) -> None:
    for token in ("nonsense", "a.b.c", "e30.e30.e30"):
        assert (await bearing(api, token).get("/auth/me", expect=401))["code"] == "invalid_token"


async def test_another_issuers_token_that_has_expired_says_so(api: ApiClient, other: Issuer) -> None:
    past = int(datetime.now(UTC).timestamp()) - 3600

    answer = await bearing(api, other.token("grace", iat=past - 60, exp=past)).get("/auth/me", expect=401)

    assert answer["code"] == "token_expired"


async def test_while_the_keys_cannot_be_fetched_nobody_is_told_to_sign_in_again(
    api: ApiClient, other: Issuer, logged: Logged
) -> None:
    other.reply = sending(b"", "500 Internal Server Error")

    answer = await bearing(api, other.token("grace")).get("/auth/me", expect=503)

    assert answer["code"] == "service_unavailable"
    assert answer.headers["retry-after"] == "60"
    assert [line["reason"] for line in logged() if line["event"] == "unavailable"] == ["KeysUnavailable"]


@pytest.mark.proves("", "The same subject of two issuers is two people")
async def test_the_same_subject_of_two_issuers_is_two_people(api: ApiClient, other: Issuer) -> None:
    one = await bearing(api, sign_shared("grace")).get("/auth/me")
    two = await bearing(api, other.token("grace")).get("/auth/me")

    assert one["id"] != two["id"]


@pytest.mark.proves("", "Accounts are never linked by e-mail")
@pytest.mark.parametrize("email", ["ada@example.com", "ADA@Example.com"])
async def test_an_email_that_an_account_has_links_nothing(
    api: ApiClient, other: Issuer, make: Factory, email: str
) -> None:
    ada = await make.user(email="ada@example.com")

    me = await bearing(api, other.token("ada", email=email, email_verified=True)).get("/auth/me")

    assert (me["id"] != str(ada.id), me["email"]) == (True, None)


@pytest.mark.parametrize(
    "said",
    [
        {"email": "grace@example.com"},
        {"email": "grace@example.com", "email_verified": False},
        {"email": "grace@example.com", "email_verified": "true"},
        {"email": "grace@example.com", "email_verified": 1},
        {"email": "no address", "email_verified": True},
        {"email": "g" * 250 + "@example.com", "email_verified": True},
        {"email": "\ud800@example.com", "email_verified": True},
        {"email": ["grace@example.com"], "email_verified": True},
        {"email": None, "email_verified": True},
    ],
    ids=str,
)
async def test_an_email_that_is_not_verified_or_none_is_left_out(
    api: ApiClient, other: Issuer, said: dict[str, Any]
) -> None:
    assert (await bearing(api, other.token("grace", **said)).get("/auth/me"))["email"] is None


@pytest.mark.proves("", "What a token of another issuer says of rights is not read")
async def test_what_a_token_says_of_rights_is_ignored(api: ApiClient, other: Issuer) -> None:
    said: dict[str, Any] = {
        "is_superuser": True,
        "role": "admin",
        "roles": ["superuser"],
        "scope": "superuser",
        "is_active": True,
    }
    mallory = bearing(api, other.token("mallory", **said))

    assert (await mallory.get("/auth/me"))["is_superuser"] is False
    assert (await mallory.get("/audit-logs", expect=403))["code"] == "permission_denied"


async def test_roles_and_deactivation_act_at_once(api: ApiClient, other: Issuer, db: Bench) -> None:
    grace = bearing(api, other.token("grace"))
    me = UUID((await grace.get("/auth/me"))["id"])
    await grace.get("/audit-logs", expect=403)

    await db.fetch("UPDATE users SET is_superuser = true WHERE id = $1", [me])
    await grace.get("/audit-logs")
    await db.fetch("UPDATE users SET is_superuser = false WHERE id = $1", [me])
    await grace.get("/audit-logs", expect=403)
    await db.fetch("UPDATE users SET is_active = false WHERE id = $1", [me])

    assert (await grace.get("/auth/me", expect=401))["code"] == "token_revoked"
    assert (await bearing(api, other.token("grace")).get("/auth/me", expect=401))["code"] == "token_revoked"


@pytest.mark.parametrize(("method", "path"), OPERATIONS_OF_SESSIONS)
async def test_sessions_and_passwords_are_not_theirs(api: ApiClient, other: Issuer, method: str, path: str) -> None:
    grace = bearing(api, other.token("grace"))

    problem = await grace.send(method, path, expect=404, json={"current_password": PASSWORD, "new_password": PASSWORD})

    assert problem["code"] == "feature_disabled"


@pytest.mark.proves("ASVS 5.0 7.5.1", "A token that does not say when its bearer signed in proves no recent sign-in")
async def test_a_recent_login_is_what_the_token_says(api: ApiClient, other: Issuer) -> None:
    now = int(datetime.now(UTC).timestamp())
    change = {"email": "grace@example.com"}

    silent = bearing(api, other.token("grace"))
    for late in (silent, bearing(api, other.token("grace", auth_time=now - 660)), bearing(api, sign_shared("grace"))):
        problem = await late.patch("/users/me", change, expect=401)
        assert problem["code"] == "reauthentication_required"
        assert (await late.delete("/users/me", expect=401))["code"] == "reauthentication_required"
    recent = bearing(api, other.token("grace", auth_time=now - 540))

    assert (await recent.patch("/users/me", change))["email"] == "grace@example.com"
    assert (await silent.patch("/users/me", {"full_name": "Grace"}))["full_name"] == "Grace"


async def test_the_operator_may_take_iat_for_the_sign_in(other: Issuer, db: Bench) -> None:
    now = int(datetime.now(UTC).timestamp())

    async with serving(hybrid(other, external_iat_is_auth_time=True), db) as api:
        lates: list[dict[str, Any]] = [{"iat": now - 660}, {"auth_time": now - 660}]
        for late in lates:
            old = bearing(api, other.token("grace", **late))
            await old.patch("/users/me", {"username": "grace"}, expect=401)
        recent = bearing(api, other.token("grace", iat=now - 540))
        assert (await recent.patch("/users/me", {"username": "grace"}))["username"] == "grace"


@pytest.mark.proves("ASVS 5.0 9.2.1", "A token of another issuer counts for 24 hours at most, whatever its exp says")
@pytest.mark.parametrize(("hours", "setting", "expect"), [(23, 24, 200), (25, 24, 401), (25, 48, 200), (2, 1, 401)])
async def test_a_token_counts_for_so_many_hours_after_its_iat(
    other: Issuer, db: Bench, hours: int, setting: int, expect: int
) -> None:
    now = int(datetime.now(UTC).timestamp())
    said: dict[str, Any] = {"iat": now - hours * 3600, "exp": now + 86_400 * 365}

    async with serving(hybrid(other, external_token_hours=setting), db) as api:
        for token in (other.token("grace", **said), sign_shared("grace", **said)):
            answer = await bearing(api, token).get("/auth/me", expect=expect)
            assert expect == 200 or answer["code"] == "token_expired"


@pytest.mark.proves("ASVS 5.0 7.4.2", "Deactivation ends the tokens of another issuer for good")
@pytest.mark.parametrize("in_bulk", [False, True])
async def test_who_is_activated_again_has_no_token_of_before(
    api: ApiClient, other: Issuer, make: Factory, *, in_bulk: bool
) -> None:
    root, now = api.as_(await make.user(is_superuser=True)), int(datetime.now(UTC).timestamp())
    grace = bearing(api, other.token("grace"))
    me = (await grace.get("/auth/me"))["id"]

    for action, is_active in (("deactivate", False), ("activate", True)):
        if in_bulk:
            await root.post("/users/bulk", {"action": action, "user_ids": [me]}, expect=200)
        else:
            await root.patch(f"/users/{me}", {"is_active": is_active})
        assert (await grace.get("/auth/me", expect=401))["code"] == "token_revoked"

    unseen = bearing(api, other.token("grace", iat=now - 60, jti="unseen"))
    assert (await unseen.get("/auth/me", expect=401))["code"] == "token_revoked"
    assert (await bearing(api, other.token("grace", iat=now + 10)).get("/auth/me"))["id"] == me


@pytest.mark.proves("ASVS 5.0 7.4.5", "Superusers end what another issuer's tokens open, at once and for good")
async def test_superusers_revoke_tokens_of_other_issuers(api: ApiClient, other: Issuer, make: Factory) -> None:
    root = api.as_(await make.user(is_superuser=True))
    now = int(datetime.now(UTC).timestamp())
    grace, heidi = bearing(api, other.token("grace")), bearing(api, other.token("heidi"))
    me, task = (await grace.get("/auth/me"))["id"], {"title": "Find the moth"}
    await heidi.get("/auth/me")

    await root.delete(f"/users/{me}/sessions")

    for token in (other.token("grace"), other.token("grace", iat=now - 60, jti="unseen")):
        for refused in (
            await bearing(api, token).get("/auth/me", expect=401),
            await bearing(api, token).post("/tasks", task, expect=401),
        ):
            assert refused["code"] == "token_revoked"
    assert (await bearing(api, other.token("grace", iat=now + 10)).get("/auth/me"))["id"] == me
    await heidi.get("/auth/me")


async def test_where_there_are_no_accounts_of_ours_tokens_are_revoked_too(other: Issuer, db: Bench) -> None:
    async with serving(hybrid(other, auth_mode="external"), db) as api:
        signed_in = int(datetime.now(UTC).timestamp())
        root, grace = bearing(api, other.token("root", auth_time=signed_in)), bearing(api, other.token("grace"))
        administrator, me = (await root.get("/auth/me"))["id"], (await grace.get("/auth/me"))["id"]
        await db.fetch("UPDATE users SET is_superuser = true WHERE id = $1", [UUID(administrator)])

        await root.delete(f"/users/{me}/sessions")

        assert (await grace.get("/auth/me", expect=401))["code"] == "token_revoked"
        await root.delete(f"/users/{UUID(int=1)}/sessions", expect=404)


@pytest.mark.usefixtures("patient")
@pytest.mark.proves("", "A person of another issuer is made exactly once")
async def test_fifty_first_requests_at_once_make_one_account(other: Issuer, fresh: Pool) -> None:
    async with serving(hybrid(other), fresh) as api:
        tokens = [other.token("grace", jti=str(i), email="grace@example.com", email_verified=True) for i in range(50)]
        seen = await asyncio.gather(*[bearing(api, token).get("/auth/me") for token in tokens])

    counts = (
        "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM organizations), (SELECT count(*) FROM audit_logs)"
    )
    [record] = await fresh.fetch(counts, [])
    assert len({me["id"] for me in seen}) == 1
    assert {me["email"] for me in seen} == {"grace@example.com"}
    assert tuple(record) == (1, 1, 1)


@pytest.mark.usefixtures("patient")
async def test_of_fifty_people_with_one_email_one_has_it(other: Issuer, fresh: Pool) -> None:
    async with serving(hybrid(other), fresh) as api:
        tokens = [other.token(f"person {i}", email="grace@example.com", email_verified=True) for i in range(50)]
        seen = await asyncio.gather(*[bearing(api, token).get("/auth/me") for token in tokens])

    assert len({me["id"] for me in seen}) == 50
    assert [me["email"] for me in seen if me["email"]] == ["grace@example.com"]
    assert len(await fresh.fetch("SELECT FROM users WHERE words <> ''", [])) == 1  # no other account is found by it


class Burying(Bench):
    """The database of the test, in which an account is deleted between being looked for and being made."""

    def __init__(self, db: Bench, grave: bytes) -> None:
        super().__init__(db.connection)
        self.graves = [grave]

    @override
    async def fetch(self, sql: str, values: Sequence[object]) -> list[Record]:
        records = await super().fetch(sql, values)
        while self.graves:
            await identities.bury(self, self.graves.pop(), now=datetime.now(UTC))
        return records


async def test_an_account_that_is_deleted_while_it_is_looked_for_is_not_made_again(
    other: Issuer, db: Bench, settings: Settings
) -> None:
    grave = graves_of(Keys(settings.signing_key), issuer.NAME, "grace")[0]

    async with serving(hybrid(other), Burying(db, grave)) as api:
        token = other.token("grace", iat=int(datetime.now(UTC).timestamp()) - 60)
        answer = await bearing(api, token).get("/auth/me", expect=401)

    assert answer["code"] == "token_revoked"
    assert await db.fetch("SELECT FROM users", []) == []


class Overtaking(Bench):
    """The database of the test, in which another request makes the account after it was looked for."""

    def __init__(self, db: Bench, arrival: Arrival) -> None:
        super().__init__(db.connection)
        self.arrivals = [arrival]

    @override
    async def fetch(self, sql: str, values: Sequence[object]) -> list[Record]:
        records = await super().fetch(sql, values)
        while self.arrivals and "external_identities" in sql:
            await identities.insert(self, self.arrivals.pop())
        return records

    @override
    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction, None]:
        async with super().transaction() as transaction:
            yield transaction if self.arrivals else Deleting(transaction.connection)


class Deleting(Transaction):
    """A transaction in which all accounts are deleted when a statement had nothing to do."""

    @override
    async def fetch(self, sql: str, values: Sequence[object]) -> list[Record]:
        records = await super().fetch(sql, values)
        if not records:
            await super().fetch("DELETE FROM users", [])
        return records


async def test_an_account_that_another_request_makes_and_that_is_deleted_again_is_not_there(
    other: Issuer, db: Bench
) -> None:
    grace = Arrival(
        id=uuid7(),
        issuer=issuer.NAME,
        subject="grace",
        email=None,
        email_key=None,
        is_superuser=False,
        created_at=datetime.now(UTC),
        words="",
        organization_name="Personal",
    )

    async with serving(hybrid(other), Overtaking(db, grace)) as api:
        answer = await bearing(api, other.token("grace")).get("/auth/me", expect=401)

    assert answer["code"] == "token_revoked"


@pytest.mark.proves("", "A token does not bring back an account that was deleted after it was issued")
async def test_an_older_token_does_not_bring_a_deleted_account_back(
    api: ApiClient, other: Issuer, db: Bench, settings: Settings
) -> None:
    now = datetime.now(UTC)
    at = {
        "long before": now - timedelta(seconds=60),
        "before": now - timedelta(seconds=9),
        "after": now + timedelta(seconds=20),
    }
    old, unseen, new = (
        other.token("grace", iat=int(at[when].timestamp()), jti=jti)
        for when, jti in (("long before", "1"), ("before", "2"), ("after", "3"))
    )
    me = await bearing(api, old).get("/auth/me")

    await db.fetch("DELETE FROM users WHERE id = $1", [UUID(me["id"])])
    grave = graves_of(Keys(settings.signing_key), issuer.NAME, "grace")[0]
    await identities.bury(db, grave, now=now)

    assert (await bearing(api, old).get("/auth/me", expect=401))["code"] == "token_revoked"
    assert (await bearing(api, unseen).get("/auth/me", expect=401))["code"] == "token_revoked"
    assert (await bearing(api, new).get("/auth/me"))["id"] != me["id"]
    assert (await bearing(api, unseen).get("/auth/me", expect=401))["code"] == "token_revoked"


@pytest.mark.usefixtures("still_window")
async def test_who_is_limited_is_the_person(other: Issuer, db: Bench) -> None:
    async with serving(hybrid(other, rate_limits_enabled=True), db) as api:
        grace = [bearing(api, other.token("grace", jti=str(i))) for i in range(2)]
        left = [(await one.get("/auth/me")).headers["ratelimit"].split(";")[1] for one in grace]
        heidi = (await bearing(api, other.token("heidi")).get("/auth/me")).headers["ratelimit"].split(";")[1]

    assert (left, heidi) == (["r=999", "r=998"], "r=999")


async def test_of_whom_is_forgotten_the_account_is_found_again(
    api: ApiClient, other: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "REMEMBERED", 1)
    grace, heidi = (bearing(api, other.token(name)) for name in ("grace", "heidi"))

    seen = [(await one.get("/auth/me"))["id"] for one in (grace, heidi, grace, heidi)]

    assert seen[:2] == seen[2:]
    assert len(set(seen)) == 2
