"""The second factor: turned on, asked for, recovered, reset; each code once, and guessed no better than a password."""

import asyncio
from collections import Counter
from datetime import timedelta
from types import SimpleNamespace

import pyotp
import pytest
from pydantic import SecretStr

from persistence.engine.pool import Pool
from security.codes import NEIGHBOURS, STEP
from security.one_time_tokens import hash_token
from server.settings.settings import Settings
from tests.api.conftest import SECRET, client_of, serving, start_app
from tests.client import Answer, ApiClient
from tests.conftest import Bench
from tests.factories import PASSWORD, SEED, Factory, SignedIn

ADA = "ada@example.com"
OTHER = "a heron counts the tram stops"
ROUNDS = 10


def code_at(clock: SimpleNamespace, seed: str = SEED, steps: int = 0) -> str:
    """What the app shows, so many steps later."""
    return pyotp.TOTP(seed).at(clock.now, counter_offset=steps)


def wrong_code(clock: SimpleNamespace) -> str:
    """Six digits that no step near now has."""
    near = {code_at(clock, steps=steps) for steps in range(-3, 4)}
    return next(
        code
        for code in ("000000", "111111", "222222", "333333", "444444", "555555", "666666", "777777")
        if code not in near
    )


async def sign_in(api: ApiClient, *, password: str = PASSWORD, expect: int = 401) -> Answer:
    return await api.post("/auth/login", {"email": ADA, "password": password}, expect=expect)


async def challenge(api: ApiClient) -> str:
    """The challenge that a right password is answered with."""
    answer = await sign_in(api)
    assert (answer["code"], answer["expires_in"]) == ("mfa_required", 300)
    token: str = answer["challenge"]
    return token


async def complete(api: ApiClient, challenge: str, code: str, *, expect: int = 200, **more: str) -> Answer:
    return await api.post("/auth/login/totp", {"challenge": challenge, "code": code, **more}, expect=expect)


def bearing(api: ApiClient, answer: Answer) -> ApiClient:
    return api.with_headers(Authorization=f"Bearer {answer['access_token']}")


@pytest.fixture
async def ada(make: Factory) -> SignedIn:
    """An account with a second factor of SEED."""
    ada = await make.user(email=ADA)
    await make.second_factor(ada.id, SECRET)
    return ada


@pytest.mark.proves("ASVS 5.0 6.3.3", "Who turns a second factor on signs in with it, recovers by a code, turns it off")
async def test_a_whole_journey(api: ApiClient, make: Factory, db: Bench, clock: SimpleNamespace) -> None:
    ada = await make.user(email=ADA)
    me, elsewhere = api.as_(ada), await make.session(ada.id)
    begun = await me.post("/users/me/totp", None)
    assert begun["url"].startswith("otpauth://totp/Docket:ada%40example.com?secret=" + begun["secret"])
    assert begun.headers["cache-control"] == "no-store"
    await sign_in(api, expect=200)

    on = await me.post("/users/me/totp/confirm", {"code": code_at(clock, begun["secret"])}, expect=200)
    assert len(set(on["recovery_codes"])) == 10
    assert on.headers["cache-control"] == "no-store"
    await me.get("/auth/me")
    [ended] = await db.fetch("SELECT revoke_reason FROM sessions WHERE id = $1", [elsewhere])
    assert ended["revoke_reason"] == "mfa_enabled"

    tokens = await complete(api, await challenge(api), code_at(clock, begun["secret"], 1), device_name="Ada's phone")
    assert tokens.headers["cache-control"] == "no-store"
    signed_in = bearing(api, tokens)
    [session] = [one for one in (await signed_in.get("/auth/sessions"))["items"] if one["is_current"]]
    assert session["device_name"] == "Ada's phone"

    typed = on["recovery_codes"][3].upper().replace("-", " ")
    by_cookie = await complete(api, await challenge(api), typed, token_transport="cookie")
    assert by_cookie["refresh_token"] is None
    assert "__Host-refresh=" in by_cookie.headers["set-cookie"]
    again = await complete(api, await challenge(api), on["recovery_codes"][3], expect=401)
    assert again["code"] == "invalid_code"

    new = await signed_in.post("/users/me/recovery-codes", None)
    assert (len(new["recovery_codes"]), set(new["recovery_codes"]) & set(on["recovery_codes"])) == (10, set())
    await complete(api, await challenge(api), on["recovery_codes"][4], expect=401)
    await complete(api, await challenge(api), new["recovery_codes"][4])

    await signed_in.delete("/users/me/totp")
    await sign_in(api, expect=200)
    assert (await signed_in.delete("/users/me/totp", expect=409))["code"] == "mfa_not_enabled"
    assert (await signed_in.post("/users/me/recovery-codes", None, expect=409))["code"] == "mfa_not_enabled"


async def test_a_front_end_sees_whether_it_is_on(api: ApiClient, make: Factory, clock: SimpleNamespace) -> None:
    ada, bob = await make.user(email=ADA), await make.user()
    root = api.as_(await make.user(is_superuser=True))
    me = api.as_(ada)

    async def look() -> tuple[bool, str]:
        """What everybody who sees the account is told, and its entity tag."""
        own = await me.get("/auth/me")
        answers = [await me.get("/users/me"), await me.get(f"/users/{ada.id}"), await root.get(f"/users/{ada.id}")]
        [listed] = [one for one in (await root.get("/users"))["items"] if one["id"] == own["id"]]
        assert [answer.body for answer in answers] == [own.body] * 3
        assert listed == own.body
        assert {answer.headers["etag"] for answer in answers} == {own.headers["etag"]}
        return own["mfa_enabled"], own.headers["etag"]

    assert await look() == (False, '"1"')
    begun = await me.post("/users/me/totp", None)
    assert await look() == (False, '"1"')  # it is not asked for yet
    await me.post("/users/me/totp/confirm", {"code": code_at(clock, begun["secret"])}, expect=200)
    assert await look() == (True, '"2"')
    tokens = await complete(api, await challenge(api), code_at(clock, begun["secret"], 1))
    assert tokens["user"]["mfa_enabled"] is True
    assert (await me.get("/users/me/export"))["profile"]["mfa_enabled"] is True
    await me.delete("/users/me/totp")
    assert await look() == (False, '"3"')

    await make.second_factor(ada.id, SECRET)
    assert await look() == (True, '"3"')
    await root.delete(f"/users/{ada.id}/totp")
    assert await look() == (False, '"4"')
    await api.as_(bob).get(f"/users/{ada.id}", expect=404)


async def test_it_is_not_set_by_hand(api: ApiClient, make: Factory) -> None:
    ada, root = api.as_(await make.user()), api.as_(await make.user(is_superuser=True))
    me = await ada.get("/auth/me")

    await ada.patch("/users/me", {"mfa_enabled": True}, expect=422)
    await root.patch(f"/users/{me['id']}", {"mfa_enabled": True}, expect=422)


@pytest.mark.proves("ASVS 5.0 6.5.1", "A time step is accepted once, and none before it afterwards")
async def test_a_time_step_is_accepted_once(api: ApiClient, ada: SignedIn, clock: SimpleNamespace) -> None:
    await complete(api, await challenge(api), code_at(clock))

    for steps in (0, -1):
        answer = await complete(api, await challenge(api), code_at(clock, steps=steps), expect=401)
        assert answer["code"] == "invalid_code"
    await complete(api, await challenge(api), code_at(clock, steps=1))


@pytest.mark.proves("ASVS 5.0 6.5.5", "A code of the app works for its 30 seconds, and those before and after")
async def test_a_code_works_for_three_steps(api: ApiClient, ada: SignedIn, clock: SimpleNamespace) -> None:
    for steps in (-2, 2):
        await complete(api, await challenge(api), code_at(clock, steps=steps), expect=401)
    for steps in NEIGHBOURS:
        await complete(api, await challenge(api), code_at(clock, steps=steps))
    clock.now += timedelta(seconds=2 * STEP)
    await complete(api, await challenge(api), code_at(clock, steps=-1), expect=401)


@pytest.mark.proves("ASVS 5.0 6.5.1", "Of two sign-ins with one code at once one wins, in every round")
@pytest.mark.parametrize("kind", ["app", "recovery"])
async def test_of_two_with_one_code_at_once_one_wins(
    pair: tuple[ApiClient, ApiClient], commit: Factory, fresh: Pool, clock: SimpleNamespace, kind: str
) -> None:
    outcomes: Counter[tuple[int, ...]] = Counter()
    ada = await commit.user(email=ADA)
    await commit.second_factor(ada.id, SECRET)
    for turn in range(ROUNDS):
        clock.now += timedelta(seconds=2 * STEP)
        code = code_at(clock)
        if kind == "recovery":
            code = f"aaaaaa-aaaaaa-aaaaaa-{turn:06}"
            sql = "INSERT INTO recovery_codes (user_id, key, created_at) VALUES ($1, $2, now())"
            await fresh.fetch(sql, [ada.id, hash_token(code.replace("-", ""))])
        waiting = [await challenge(one) for one in pair]

        answers = await asyncio.gather(
            *[
                one.http.post("/api/v1/auth/login/totp", json={"challenge": each, "code": code})
                for one, each in zip(pair, waiting, strict=True)
            ]
        )

        outcomes[tuple(sorted(answer.status_code for answer in answers))] += 1
    assert outcomes == {(200, 401): ROUNDS}


async def test_a_challenge_ends_with_its_success(api: ApiClient, ada: SignedIn, clock: SimpleNamespace) -> None:
    waiting = await challenge(api)
    await complete(api, waiting, wrong_code(clock), expect=401)
    await complete(api, waiting, code_at(clock))

    assert (await complete(api, waiting, code_at(clock, steps=1), expect=401))["code"] == "invalid_challenge"


@pytest.mark.parametrize(("seconds", "expect"), [(299, 200), (301, 401)])
async def test_a_challenge_lasts_for_five_minutes(
    api: ApiClient, ada: SignedIn, clock: SimpleNamespace, seconds: int, expect: int
) -> None:
    waiting = await challenge(api)
    clock.now += timedelta(seconds=seconds)

    await complete(api, waiting, code_at(clock), expect=expect)


async def test_a_challenge_is_bound_to_the_password(
    api: ApiClient, ada: SignedIn, make: Factory, db: Bench, clock: SimpleNamespace
) -> None:
    changed, reset, another = [await challenge(api) for _ in range(3)]
    body = {"current_password": PASSWORD, "new_password": OTHER}
    await api.as_(ada).put("/users/me/password", body, expect=204)
    assert (await complete(api, changed, code_at(clock), expect=401))["code"] == "invalid_challenge"

    unbound = await make.one_time_token(ada.id, purpose="sign_in", bound_to=hash_token("another hash"))
    for waiting in (another, unbound):
        assert (await complete(api, waiting, code_at(clock), expect=401))["code"] == "invalid_challenge"
    assert (await complete(api, reset, code_at(clock), expect=401))["code"] == "invalid_challenge"


async def test_what_a_link_has_is_no_challenge(
    api: ApiClient, ada: SignedIn, make: Factory, clock: SimpleNamespace
) -> None:
    for token in (await make.one_time_token(ada.id), "nothing that was made here"):
        await complete(api, token, code_at(clock), expect=401)


async def test_an_account_that_is_deactivated_meanwhile_does_not_enter(
    api: ApiClient, ada: SignedIn, make: Factory, db: Bench, clock: SimpleNamespace
) -> None:
    waiting = await challenge(api)
    await db.fetch("UPDATE users SET is_active = false WHERE id = $1", [ada.id])

    assert (await complete(api, waiting, code_at(clock), expect=401))["code"] == "invalid_challenge"
    [factor] = await db.fetch("SELECT last_step FROM second_factors", [])
    assert factor["last_step"] is None


@pytest.mark.proves("ASVS 5.0 6.3.3", "The password grant refuses accounts that have a second factor")
async def test_the_password_grant_is_refused(api: ApiClient, ada: SignedIn) -> None:
    body = {"grant_type": "password", "username": ADA, "password": PASSWORD}
    answer = await api.send("POST", "/auth/token", expect=400, data=body)

    assert answer["error"] == "invalid_grant"
    assert "second factor" in answer["error_description"]


class TestBeginning:
    """A factor that is begun, and not asked for until it is confirmed."""

    async def test_beginning_again_makes_another_seed(
        self, api: ApiClient, make: Factory, clock: SimpleNamespace
    ) -> None:
        me = api.as_(await make.user())
        first, second = [(await me.post("/users/me/totp", None))["secret"] for _ in range(2)]

        body = {"code": code_at(clock, first)}
        assert (await me.post("/users/me/totp/confirm", body, expect=403))["code"] == "wrong_code"
        await me.post("/users/me/totp/confirm", {"code": code_at(clock, second)}, expect=200)
        assert (await me.post("/users/me/totp", None, expect=409))["code"] == "mfa_enabled"
        body = {"code": code_at(clock, second, 1)}
        assert (await me.post("/users/me/totp/confirm", body, expect=409))["code"] == "mfa_not_begun"

    async def test_the_code_that_confirms_does_not_sign_in(
        self, api: ApiClient, make: Factory, clock: SimpleNamespace
    ) -> None:
        me = api.as_(await make.user(email=ADA))
        seed = (await me.post("/users/me/totp", None))["secret"]
        await me.post("/users/me/totp/confirm", {"code": code_at(clock, seed)}, expect=200)

        await complete(api, await challenge(api), code_at(clock, seed), expect=401)

    async def test_without_one_there_is_nothing_to_confirm(self, api: ApiClient, make: Factory) -> None:
        me = api.as_(await make.user())

        assert (await me.post("/users/me/totp/confirm", {"code": "123456"}, expect=409))["code"] == "mfa_not_begun"

    async def test_one_that_was_begun_is_none_to_take_away(self, api: ApiClient, make: Factory) -> None:
        me = api.as_(await make.user())
        await me.post("/users/me/totp", None)

        await me.delete("/users/me/totp", expect=409)


@pytest.mark.proves("ASVS 5.0 7.5.1", "A stolen access token turns no factor on or off, and reads no recovery code")
async def test_everything_about_it_needs_a_recent_sign_in(
    api: ApiClient, ada: SignedIn, make: Factory, clock: SimpleNamespace
) -> None:
    bob, root = await make.user(), await make.user(is_superuser=True)
    await api.as_(bob).post("/users/me/totp", None)
    clock.now += timedelta(minutes=11)

    for answer in (
        await api.as_(ada).delete("/users/me/totp", expect=401),
        await api.as_(ada).post("/users/me/recovery-codes", None, expect=401),
        await api.as_(bob).post("/users/me/totp", None, expect=401),
        await api.as_(bob).post("/users/me/totp/confirm", {"code": "123456"}, expect=401),
        await api.as_(root).delete(f"/users/{ada.id}/totp", expect=401),
    ):
        assert answer["code"] == "reauthentication_required"


class TestLockout:
    """Wrong codes are counted as wrong passwords are, and apart from them."""

    @pytest.mark.proves("ASVS 5.0 6.3.1", "Five wrong codes in a row lock, and a superuser unlocks")
    async def test_five_wrong_codes_lock(
        self, api: ApiClient, ada: SignedIn, make: Factory, db: Bench, clock: SimpleNamespace
    ) -> None:
        for _ in range(5):
            await complete(api, await challenge(api), wrong_code(clock), expect=401)

        locked = await complete(api, await challenge(api), code_at(clock), expect=429)
        assert (locked["code"], locked.headers["retry-after"]) == ("account_locked", "900")
        [entry] = await db.fetch("SELECT target_id FROM audit_logs WHERE action = 'auth.lockout'", [])
        assert entry["target_id"] == ada.id
        await api.as_(await make.user(is_superuser=True)).post(f"/users/{ada.id}/unlock", None, expect=204)
        await complete(api, await challenge(api), code_at(clock))

    async def test_a_reset_of_the_password_leaves_the_factor_and_its_lockout(
        self, api: ApiClient, ada: SignedIn, make: Factory, clock: SimpleNamespace
    ) -> None:
        for _ in range(5):
            await complete(api, await challenge(api), wrong_code(clock), expect=401)
        body = {"token": await make.one_time_token(ada.id), "password": OTHER}
        await api.post("/auth/password-reset/confirm", body, expect=204)

        waiting = (await sign_in(api, password=OTHER))["challenge"]
        await complete(api, waiting, code_at(clock), expect=429)
        clock.now += timedelta(minutes=15, seconds=1)
        waiting = (await sign_in(api, password=OTHER))["challenge"]
        await complete(api, waiting, code_at(clock))

    @pytest.mark.usefixtures("ada")
    async def test_a_right_code_is_not_counted(self, api: ApiClient, clock: SimpleNamespace) -> None:
        for _ in range(4):
            await complete(api, await challenge(api), wrong_code(clock), expect=401)
        await complete(api, await challenge(api), code_at(clock))
        for _ in range(4):
            await complete(api, await challenge(api), wrong_code(clock), expect=401)

        await complete(api, await challenge(api), code_at(clock, steps=1))

    async def test_a_challenge_that_is_none_is_not_counted(
        self, api: ApiClient, ada: SignedIn, clock: SimpleNamespace, db: Bench
    ) -> None:
        waiting = await challenge(api)
        await db.fetch("UPDATE users SET is_active = false WHERE id = $1", [ada.id])
        for _ in range(6):
            await complete(api, waiting, code_at(clock), expect=401)
        await db.fetch("UPDATE users SET is_active = true WHERE id = $1", [ada.id])

        await complete(api, waiting, code_at(clock))

    async def test_a_strangers_codes_lock_no_network_that_the_account_knows(
        self, settings: Settings, fresh: Pool, clock: SimpleNamespace
    ) -> None:
        make = Factory(fresh)
        ada = await make.user(email=ADA)
        await make.second_factor(ada.id, SECRET)
        await make.session(ada.id, ip_address="192.0.2.1")
        async with start_app(settings, fresh) as app:
            async with client_of(app, settings, "203.0.113.9") as stranger:
                for _ in range(5):
                    await complete(stranger, await challenge(stranger), wrong_code(clock), expect=401)
                await complete(stranger, await challenge(stranger), code_at(clock), expect=429)
            async with client_of(app, settings, "192.0.2.1") as home:
                await complete(home, await challenge(home), code_at(clock))


@pytest.mark.proves("ASVS 5.0 6.4.4", "A superuser takes a factor away that is lost, which is written down")
async def test_a_superuser_resets_it(
    api: ApiClient, ada: SignedIn, make: Factory, db: Bench, clock: SimpleNamespace
) -> None:
    root, waiting = api.as_(await make.user(is_superuser=True)), await challenge(api)
    await api.as_(ada).delete(f"/users/{ada.id}/totp", expect=403)

    await root.delete(f"/users/{ada.id}/totp")

    await sign_in(api, expect=200)
    assert (await complete(api, waiting, code_at(clock), expect=401))["code"] == "invalid_challenge"
    assert (await root.delete(f"/users/{ada.id}/totp", expect=409))["code"] == "mfa_not_enabled"
    log = (await root.get("/audit-logs", action="user.mfa_reset"))["items"][0]
    assert (log["target"]["id"], log["outcome"]) == (str(ada.id), "success")


async def test_what_happens_is_written_down(api: ApiClient, make: Factory, db: Bench, clock: SimpleNamespace) -> None:
    ada = await make.user(email=ADA)
    me = api.as_(ada)
    seed = (await me.post("/users/me/totp", None))["secret"]
    await me.post("/users/me/totp/confirm", {"code": "000000"}, expect=403)
    await me.post("/users/me/totp/confirm", {"code": code_at(clock, seed)}, expect=200)
    await complete(api, await challenge(api), "aaaaaa", expect=401)
    await me.post("/users/me/recovery-codes", None)
    await me.delete("/users/me/totp")

    rows = await db.fetch("SELECT action, outcome, reason FROM audit_logs ORDER BY id", [])
    assert [tuple(row) for row in rows] == [
        ("auth.mfa_begun", "success", None),
        ("auth.mfa_enabled", "failure", "wrong_code"),
        ("auth.mfa_enabled", "success", None),
        ("auth.login", "failure", "wrong_code"),
        ("auth.recovery_codes_created", "success", None),
        ("auth.mfa_disabled", "success", None),
    ]


class TestSeeds:
    """What codes are made of is kept encrypted, bound to its row, and read while its key is accepted."""

    @pytest.mark.proves("ASVS 5.0 11.3.2", "Seeds are kept by AES-GCM, and are useless when copied to another row")
    async def test_a_seed_that_is_copied_to_another_row_is_none(
        self, api: ApiClient, ada: SignedIn, make: Factory, db: Bench, clock: SimpleNamespace
    ) -> None:
        eve = await make.user()
        await make.second_factor(eve.id, SECRET)
        sql = "UPDATE second_factors SET seed = (SELECT seed FROM second_factors WHERE user_id = $1) WHERE user_id = $2"
        await db.fetch(sql, [eve.id, ada.id])

        await complete(api, await challenge(api), code_at(clock), expect=401)

    async def test_neither_a_seed_nor_a_code_is_in_the_database(
        self, api: ApiClient, make: Factory, db: Bench, clock: SimpleNamespace
    ) -> None:
        me = api.as_(await make.user(email=ADA))
        seed = (await me.post("/users/me/totp", None))["secret"]
        on = await me.post("/users/me/totp/confirm", {"code": code_at(clock, seed)}, expect=200)

        kept = ""
        for table in ("second_factors", "recovery_codes", "users", "audit_logs", "one_time_tokens", "idempotency_keys"):
            kept += "".join(row[0] for row in await db.fetch(f"SELECT t::text FROM {table} t", []))  # noqa: S608
        secrets = [seed, *on["recovery_codes"], *[code.replace("-", "") for code in on["recovery_codes"]]]
        assert ADA in kept
        assert [one for one in secrets if one in kept or one.encode().hex() in kept] == []
        export = (await me.get("/users/me/export")).content.decode()
        assert [one for one in secrets if one in export] == []

    async def test_the_key_before_reads_and_the_key_of_today_writes(
        self, settings: Settings, db: Bench, make: Factory, clock: SimpleNamespace
    ) -> None:
        ada = await make.user(email=ADA)
        await make.second_factor(ada.id, SECRET)
        new = SecretStr("another-secret-of-the-tests-0123456789abcdef")
        both = settings.model_copy(update={"secret_key": new, "secret_key_previous": SecretStr(SECRET)})
        del both.__dict__["signing_key"]
        only = both.model_copy(update={"secret_key_previous": None})
        async with serving(only, db) as api:
            await complete(api, await challenge(api), code_at(clock), expect=401)
        async with serving(both, db) as api:
            await complete(api, await challenge(api), code_at(clock))
        async with serving(only, db) as api:
            await complete(api, await challenge(api), code_at(clock, steps=1))
