"""A password that is lost: a link sets another one, once, within half an hour."""

import asyncio
from collections import Counter
from datetime import timedelta
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from persistence.engine.pool import Pool
from persistence.tables import ExternalIdentity
from security.one_time_tokens import hash_token
from server.settings.settings import Settings
from tests.api.conftest import SECRET, serving
from tests.client import Answer, ApiClient
from tests.conftest import Bench
from tests.factories import PASSWORD, Factory, SignedIn

ADA = "ada@example.com"
NEW, OTHER = "a heron counts the tram stops", "nine lives of a lighthouse"
ROUNDS = 10


async def sign_in(api: ApiClient, password: str, *, expect: int = 200) -> Answer:
    return await api.post("/auth/login", {"email": ADA, "password": password}, expect=expect)


async def reset(api: ApiClient, token: str, password: str = NEW, *, expect: int = 204) -> Answer:
    return await api.post("/auth/password-reset/confirm", {"token": token, "password": password}, expect=expect)


async def link_for(api: ApiClient, make: Factory, user: SignedIn, *, expect: int = 201) -> Answer:
    superuser = await make.user(is_superuser=True)
    return await api.as_(superuser).post(f"/users/{user.id}/password-reset", None, expect=expect)


@pytest.mark.proves("ASVS 5.0 6.4.3", "Who lost the password sets another by a link, which leaves nothing of before")
async def test_a_link_sets_a_password_and_ends_what_was(api: ApiClient, make: Factory, db: Bench) -> None:
    ada = await make.user(email=ADA)
    before = api.as_(ada)
    for _ in range(5):
        await sign_in(api, "not the password at all", expect=401)
    other = await make.one_time_token(ada.id)

    link = await link_for(api, make, ada)
    url = urlsplit(link["url"])
    assert (url.path, url.query, url.fragment) == ("/reset-password", "", f"token={link['token']}")
    assert link.headers["cache-control"] == "no-store"
    answer = await reset(api, link["token"])

    assert (answer.content, "set-cookie" in answer.headers) == (b"", False)
    await before.get("/auth/me", expect=401)
    await sign_in(api, PASSWORD, expect=401)
    await sign_in(api, NEW)
    assert (await reset(api, other, expect=400))["code"] == "invalid_link"
    [account] = await db.fetch("SELECT tokens_valid_from FROM users WHERE id = $1", [ada.id])
    assert account["tokens_valid_from"] is not None


@pytest.mark.proves("", "A link that sets a password works once")
async def test_a_link_works_once(api: ApiClient, make: Factory) -> None:
    token = await make.one_time_token((await make.user(email=ADA)).id)
    await reset(api, token)

    again = await reset(api, token, OTHER, expect=400)

    assert again["code"] == "invalid_link"
    await sign_in(api, NEW)


@pytest.mark.proves("", "Of two who use a link at once one wins, in every round")
async def test_of_two_at_once_one_wins(pair: tuple[ApiClient, ApiClient], commit: Factory) -> None:
    outcomes: Counter[tuple[int, ...]] = Counter()
    ada, won = await commit.user(email=ADA), PASSWORD
    for _ in range(ROUNDS):
        token = await commit.one_time_token(ada.id)
        bodies = [{"token": token, "password": password} for password in (NEW, OTHER)]

        sent = [
            one.http.post("/api/v1/auth/password-reset/confirm", json=body)
            for one, body in zip(pair, bodies, strict=True)
        ]
        answers = await asyncio.gather(*sent)

        outcomes[tuple(sorted(answer.status_code for answer in answers))] += 1
        won = NEW if answers[0].status_code == 204 else OTHER
    await sign_in(pair[0], won)
    assert outcomes == {(204, 400): ROUNDS}


@pytest.mark.proves("", "Two links of one account used at once do not block each other, and one wins")
async def test_of_two_links_at_once_one_wins(pair: tuple[ApiClient, ApiClient], commit: Factory) -> None:
    outcomes: Counter[tuple[int, ...]] = Counter()
    ada = await commit.user(email=ADA)
    for _ in range(ROUNDS):
        bodies = [{"token": await commit.one_time_token(ada.id), "password": password} for password in (NEW, OTHER)]

        sent = [
            one.http.post("/api/v1/auth/password-reset/confirm", json=body)
            for one, body in zip(pair, bodies, strict=True)
        ]
        answers = await asyncio.gather(*sent)

        outcomes[tuple(sorted(answer.status_code for answer in answers))] += 1
    assert outcomes == {(204, 400): ROUNDS}


@pytest.mark.proves("", "A link that sets a password works for 30 minutes")
@pytest.mark.parametrize(("minutes", "expect"), [(29, 204), (31, 400)])
async def test_a_link_works_for_half_an_hour(
    api: ApiClient, make: Factory, clock: SimpleNamespace, minutes: int, expect: int
) -> None:
    link = await link_for(api, make, await make.user(email=ADA))
    clock.now += timedelta(minutes=minutes)

    await reset(api, link["token"], expect=expect)


@pytest.mark.parametrize("token", ["x", "x" * 128, "kanarienvogel \N{SNOWMAN}"])
async def test_what_is_no_link_is_one_problem(api: ApiClient, token: str) -> None:
    assert (await reset(api, token, expect=400))["code"] == "invalid_link"


async def test_a_token_for_something_else_sets_no_password(api: ApiClient, make: Factory) -> None:
    ada = await make.user(email=ADA)
    for purpose in ("email_verification", "sign_in"):
        await reset(api, await make.one_time_token(ada.id, purpose=purpose), expect=400)

    await sign_in(api, PASSWORD)


async def test_a_link_is_not_used_up_by_a_password_that_will_not_do(api: ApiClient, make: Factory) -> None:
    token = await make.one_time_token((await make.user(email=ADA, username="ada-lovelace")).id)

    assert (await reset(api, token, "password", expect=422))["code"] == "password_too_common"
    assert (await reset(api, token, "ada-lovelace1", expect=422))["code"] == "password_too_common"
    await reset(api, token)


async def test_what_a_link_is_kept_by_is_a_hash(api: ApiClient, make: Factory, db: Bench) -> None:
    link = await link_for(api, make, await make.user())

    [row] = await db.fetch("SELECT * FROM one_time_tokens", [])
    assert (link["token"] in str(row), row["key"]) == (False, hash_token(link["token"]))


@pytest.mark.parametrize("change", [{"email": "ada@example.org"}, {"is_active": False}], ids=str)
async def test_a_change_of_the_account_ends_its_links(api: ApiClient, make: Factory, change: dict[str, object]) -> None:
    ada, superuser = await make.user(email=ADA), api.as_(await make.user(is_superuser=True))
    token = await make.one_time_token(ada.id)
    await superuser.patch(f"/users/{ada.id}", change)

    await reset(api, token, expect=400)


async def test_a_change_of_the_password_ends_links_that_set_one(api: ApiClient, make: Factory) -> None:
    ada = await make.user(email=ADA)
    token = await make.one_time_token(ada.id)
    await api.as_(ada).put("/users/me/password", {"current_password": PASSWORD, "new_password": OTHER}, expect=204)

    await reset(api, token, expect=400)


@pytest.mark.proves("", "The links that a superuser has made end with its rights, and when its owner shuts others out")
@pytest.mark.parametrize("how", ["demoted", "deactivated", "deleted", "sessions", "logout_all", "password", "nothing"])
async def test_a_link_outlives_no_rights_of_who_made_it(api: ApiClient, make: Factory, how: str) -> None:
    """Who had a superuser's session for a moment would keep a way into each account."""
    rogue, root = await make.user(is_superuser=True), api.as_(await make.user(is_superuser=True))
    ada = await make.user(email=ADA)
    link = await api.as_(rogue).post(f"/users/{ada.id}/password-reset", None)
    account = f"/users/{rogue.id}"
    match how:
        case "demoted":
            await root.patch(account, {"is_superuser": False})
        case "deactivated":
            await root.patch(account, {"is_active": False})
        case "deleted":
            await root.delete(account)
        case "sessions":
            await root.delete(f"{account}/sessions")
        case "logout_all":
            await api.as_(rogue).send("POST", "/auth/logout-all", expect=204)
        case "password":
            body = {"current_password": PASSWORD, "new_password": OTHER}
            await api.as_(rogue).put("/users/me/password", body, expect=204)

    await reset(api, link["token"], expect=204 if how == "nothing" else 400)


async def test_an_account_that_is_gone_has_no_link(api: ApiClient, make: Factory) -> None:
    ada, superuser = await make.user(email=ADA), api.as_(await make.user(is_superuser=True))
    token = await make.one_time_token(ada.id)
    await superuser.delete(f"/users/{ada.id}")

    await reset(api, token, expect=400)


async def test_an_account_that_is_not_active_stays_so(api: ApiClient, make: Factory) -> None:
    link = await link_for(api, make, await make.user(email=ADA, is_active=False))

    await reset(api, link["token"])

    await sign_in(api, NEW, expect=403)


class TestCreation:
    """Who may make a link, and for which accounts."""

    async def test_nobody_but_a_superuser(self, api: ApiClient, make: Factory) -> None:
        ada, bob = await make.user(), await make.user()

        for user_id in (ada.id, bob.id):
            await api.as_(ada).post(f"/users/{user_id}/password-reset", None, expect=403)

    async def test_needs_a_recent_sign_in(self, api: ApiClient, make: Factory, clock: SimpleNamespace) -> None:
        ada, superuser = await make.user(), await make.user(is_superuser=True)
        clock.now += timedelta(minutes=11)

        refused = await api.as_(superuser).post(f"/users/{ada.id}/password-reset", None, expect=401)

        assert refused["code"] == "reauthentication_required"

    async def test_needs_an_email_to_sign_in_by(self, api: ApiClient, make: Factory) -> None:
        nameless = await make.user(email=None, hashed_password=None)

        assert (await link_for(api, make, nameless, expect=409))["code"] == "no_email"

    async def test_an_account_of_another_issuer_gets_a_password(self, api: ApiClient, make: Factory) -> None:
        link = await link_for(api, make, await make.user(email=ADA, hashed_password=None))

        await reset(api, link["token"])

        await sign_in(api, NEW)

    async def test_a_link_leads_where_the_setting_says_whatever_the_host(
        self, settings: Settings, db: Bench, make: Factory
    ) -> None:
        ada, superuser = await make.user(), await make.user(is_superuser=True)
        chosen = settings.model_copy(update={"public_url": "https://app.example.com/tasks"})
        async with serving(chosen, db) as api:
            asked = api.as_(superuser).with_headers(Host="evil.example", X_Forwarded_Host="evil.example")

            link = await asked.post(f"/users/{ada.id}/password-reset", None)

        assert link["url"] == f"https://app.example.com/tasks/reset-password#token={link['token']}"


@pytest.mark.proves("ASVS 5.0 16.3.1", "A link of a superuser for another is in the audit logs of both")
async def test_both_superusers_are_told_of_a_link(api: ApiClient, make: Factory) -> None:
    ada, root = await make.user(email=ADA, is_superuser=True), await make.user(is_superuser=True)
    link = await api.as_(root).post(f"/users/{ada.id}/password-reset", None)
    made = ("user.password_reset_created", "of_superuser", str(root.id), str(ada.id))

    for who in (root, ada):
        logs = (await api.as_(who).get("/users/me/export"))["audit_logs"]
        told = [
            (log["action"], log["reason"], log["actor"]["id"], log["target"]["id"]) for log in logs if log["target"]
        ]
        assert made in told
    await reset(api, link["token"])
    await api.as_(ada).get("/auth/me", expect=401)
    log = (await api.as_(root).get("/audit-logs", target_id=str(ada.id)))["items"][0]
    assert (log["action"], log["outcome"], log["actor"]["type"], log["changes"]) == (
        "auth.password_reset",
        "success",
        "anonymous",
        ["password"],
    )


async def test_a_sign_in_by_the_old_password_that_races_a_reset_opens_nothing(
    pair: tuple[ApiClient, ApiClient], commit: Factory, fresh: Pool
) -> None:
    ada = await commit.user(email=ADA)
    password = PASSWORD
    for turn in range(ROUNDS):
        token, following = await commit.one_time_token(ada.id), (NEW, OTHER)[turn % 2]
        reset_body, login_body = {"token": token, "password": following}, {"email": ADA, "password": password}

        done, signed_in = await asyncio.gather(
            pair[0].http.post("/api/v1/auth/password-reset/confirm", json=reset_body),
            pair[1].http.post("/api/v1/auth/login", json=login_body),
        )

        assert (done.status_code, signed_in.status_code in (200, 401)) == (204, True)
        [live] = await fresh.fetch("SELECT count(*) FROM sessions WHERE revoked_at IS NULL", [])
        assert live["count"] == 0
        password = following


@pytest.mark.proves("ASVS 5.0 6.4.3", "Who claimed an address first keeps nothing when its owner resets the password")
@pytest.mark.parametrize("known", [False, True], ids=["claimed", "verified"])
async def test_a_mailed_link_proves_the_address(api: ApiClient, make: Factory, db: Bench, *, known: bool) -> None:
    ada = await make.user(email=ADA, **({"verified_email_key": ADA} if known else {}))
    await make.second_factor(ada.id, SECRET)
    await make.row(ExternalIdentity, {"issuer": "https://issuer.example", "subject": "ada", "user_id": ada.id})

    await reset(api, await make.one_time_token(ada.id, email=ADA))

    [account] = await db.fetch("SELECT verified_email_key, mfa_enabled FROM users WHERE id = $1", [ada.id])
    assert tuple(account) == (ADA, known)
    left = [len(await db.fetch(f"SELECT FROM {table}", [])) for table in ("second_factors", "external_identities")]
    assert left == [known, known]
    await sign_in(api, NEW, expect=401 if known else 200)


async def test_a_link_that_was_handed_over_proves_no_address(api: ApiClient, make: Factory, db: Bench) -> None:
    ada = await make.user(email=ADA)
    await make.second_factor(ada.id, SECRET)

    await reset(api, await make.one_time_token(ada.id))

    [account] = await db.fetch("SELECT verified_email_key, mfa_enabled FROM users WHERE id = $1", [ada.id])
    assert tuple(account) == (None, True)
