"""Addresses: whose they are is known by a mailed link, and where there is mail no answer tells who has an account."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from time import monotonic
from typing import Any

import pytest
from pydantic import SecretStr

from persistence.engine.pool import Database, Pool
from persistence.queries import outbox
from persistence.queries.outbox import ClaimedMail
from server.delivery.delivery import AT_ONCE, LEASE, LONGEST, Delivery, carrier_of
from server.settings.settings import Settings
from tests.api.conftest import serving
from tests.client import Answer, ApiClient
from tests.conftest import Bench
from tests.factories import PASSWORD, Factory, SignedIn
from tests.mail import Mailbox, new_mailbox

NEW, KNOWN = "new@example.com", "known@example.com"


class Mailing:
    """An application where there is mail, which goes out when a test says so."""

    def __init__(self, api: ApiClient, settings: Settings, db: Database, mailbox: Mailbox) -> None:
        self.api, self.mailbox = api, mailbox
        carrier = carrier_of(settings)
        assert carrier is not None
        self.delivery = Delivery(db, carrier, "https://app.example.com", settings.sender)

    async def claim(self) -> list[ClaimedMail]:
        """Begin to send what waits: to the mail server it is a long way."""
        return await outbox.claim(self.delivery.db, AT_ONCE, lease=LEASE, longest=LONGEST)

    async def deliver(self, begun: Sequence[ClaimedMail] = ()) -> list[str]:
        """Send what was begun, and what waits. The recipients come back."""
        before = len(self.mailbox.taken)
        async with self.mailbox.open():
            for mail in begun:
                await self.delivery.send(mail, monotonic())
            while await self.delivery.send_some():
                pass
        return self.mailbox.recipients[before:]

    async def register(self, email: str = NEW, *, expect: int = 202, **more: Any) -> Answer:
        return await self.api.post("/auth/register", {"email": email, "password": PASSWORD, **more}, expect=expect)

    async def verify(self, email: str = NEW, *, expect: int = 204) -> Answer:
        return await follow(self.api, self.mailbox.token_to(email), expect=expect)

    async def sign_in(self, email: str, *, expect: int = 200) -> Answer:
        return await self.api.post("/auth/login", {"email": email, "password": PASSWORD}, expect=expect)


async def follow(api: ApiClient, token: str, *, expect: int = 204) -> Answer:
    return await api.post("/auth/email/verify", {"token": token}, expect=expect)


def with_mail(settings: Settings, mailbox: Mailbox) -> Settings:
    return settings.model_copy(update={"smtp_url": SecretStr(mailbox.url), "delivery": "off"})


@pytest.fixture
async def mailing(settings: Settings, db: Bench) -> AsyncIterator[Mailing]:
    mailbox = new_mailbox()
    async with serving(with_mail(settings, mailbox), db) as api:
        yield Mailing(api, with_mail(settings, mailbox), db, mailbox)


async def age_links(db: Bench) -> None:
    """Half an hour goes by for links that were mailed."""
    await db.fetch("UPDATE registrations SET expires_at = expires_at - interval '31 minutes'", [])
    await db.fetch("UPDATE one_time_tokens SET expires_at = expires_at - interval '31 minutes'", [])


class TestRegistration:
    async def test_the_account_begins_by_the_mailed_link(self, mailing: Mailing, db: Bench) -> None:
        answer = await mailing.register(username="newcomer", full_name="New Comer")
        await mailing.sign_in(NEW, expect=401)
        assert answer.content == b""
        assert await db.fetch("SELECT FROM users WHERE email = $1", [NEW]) == []
        assert await mailing.deliver() == [NEW]
        assert "https://app.example.com/verify-email#token=" in mailing.mailbox.text_to(NEW)

        assert (await mailing.verify()).content == b""

        user = (await mailing.sign_in(NEW))["user"]
        assert (user["username"], user["full_name"], user["email_verified"]) == ("newcomer", "New Comer", True)
        [entry] = await db.fetch("SELECT target_id FROM audit_logs WHERE action = 'auth.registered'", [])
        assert str(entry["target_id"]) == user["id"]

    @pytest.mark.proves("", "Registering answers the same, to the header, whether the address has an account")
    async def test_the_answer_is_the_same_for_a_known_address(self, mailing: Mailing, make: Factory, db: Bench) -> None:
        await make.user(email=KNOWN)
        answers = [await mailing.register(email) for email in (NEW, KNOWN, KNOWN.upper())]

        assert {(answer.status, answer.content, frozenset(answer.headers)) for answer in answers} == {
            (202, b"", frozenset(answers[0].headers))
        }
        assert sorted(await mailing.deliver()) == [KNOWN, KNOWN, NEW]
        assert "has one already" in mailing.mailbox.text_to(KNOWN)
        assert "#token=" not in mailing.mailbox.text_to(KNOWN)
        assert [row["email"] for row in await db.fetch("SELECT email FROM registrations", [])] == [NEW]

    async def test_a_username_that_is_taken_is_told(self, mailing: Mailing, make: Factory) -> None:
        await make.user(username="ada")
        for email in (NEW, KNOWN):
            assert (await mailing.register(email, expect=409, username="Ada"))["code"] == "username_taken"
        assert await mailing.deliver() == []

    async def test_a_username_that_is_taken_meanwhile_is_left_out(self, mailing: Mailing, make: Factory) -> None:
        await mailing.register(username="ada")
        await mailing.deliver()
        await make.user(username="ada")
        await mailing.verify()

        assert (await mailing.sign_in(NEW))["user"]["username"] is None

    async def test_a_link_works_once_and_not_late(self, mailing: Mailing, db: Bench) -> None:
        await mailing.register()
        await mailing.deliver()
        await mailing.verify()
        assert (await mailing.verify(expect=400))["code"] == "invalid_link"
        await mailing.register("late@example.com")
        await mailing.deliver()
        await age_links(db)

        assert (await mailing.verify("late@example.com", expect=400))["code"] == "invalid_link"
        assert (await follow(mailing.api, "x" * 43, expect=400))["code"] == "invalid_link"

    async def test_of_two_who_register_an_address_the_first_link_counts(self, mailing: Mailing) -> None:
        await mailing.register(full_name="First")
        await mailing.deliver()
        first = mailing.mailbox.token_to(NEW)
        await mailing.register(full_name="Second")
        await mailing.deliver()

        await follow(mailing.api, first)
        assert (await mailing.verify(expect=400))["code"] == "invalid_link"
        assert (await mailing.sign_in(NEW))["user"]["full_name"] == "First"

    async def test_an_address_that_has_an_account_by_now_gets_no_second(self, mailing: Mailing, make: Factory) -> None:
        await mailing.register()
        await mailing.deliver()
        await make.user(email=NEW)

        assert (await mailing.verify(expect=400))["code"] == "invalid_link"

    async def test_the_life_of_a_link_begins_when_it_is_mailed(self, mailing: Mailing, db: Bench) -> None:
        await mailing.register()
        await db.fetch("UPDATE registrations SET created_at = created_at - interval '1 day'", [])
        await mailing.deliver()

        await mailing.verify()

    async def test_what_nobody_mailed_for_days_is_dropped(self, mailing: Mailing, db: Bench) -> None:
        await mailing.register()
        await db.fetch("UPDATE registrations SET expires_at = now() - interval '1 minute'", [])

        assert await mailing.deliver() == []


class TestVerification:
    async def test_a_mailed_link_verifies_the_address(self, mailing: Mailing, make: Factory, db: Bench) -> None:
        ada = mailing.api.as_(await make.user(email=NEW))
        assert (await ada.get("/auth/me"))["email_verified"] is False
        assert (await ada.post("/users/me/email/verification", None, expect=202)).content == b""
        assert await mailing.deliver() == [NEW]
        await mailing.verify()

        me = await ada.get("/auth/me")
        assert (me["email_verified"], me["version"]) == (True, 2)
        assert (await mailing.verify(expect=400))["code"] == "invalid_link"
        [entry] = await db.fetch("SELECT action FROM audit_logs", [])
        assert entry["action"] == "user.email_verified"
        await ada.post("/users/me/email/verification", None, expect=202)
        assert await mailing.deliver() == []

    async def test_a_change_of_address_ends_open_links(self, mailing: Mailing, make: Factory) -> None:
        ada = await make.user(email=NEW)
        await mailing.api.as_(ada).post("/users/me/email/verification", None, expect=202)
        await mailing.deliver()
        root = mailing.api.as_(await make.user(is_superuser=True))
        await root.patch(f"/users/{ada.id}", {"email": "other@example.com"})

        assert (await mailing.verify(expect=400))["code"] == "invalid_link"
        assert (await root.get(f"/users/{ada.id}"))["email_verified"] is False

    async def test_what_was_asked_for_an_address_of_before_is_not_mailed(self, mailing: Mailing, make: Factory) -> None:
        ada = await make.user(email=NEW)
        await mailing.api.as_(ada).post("/users/me/email/verification", None, expect=202)
        root = mailing.api.as_(await make.user(is_superuser=True))
        await root.patch(f"/users/{ada.id}", {"email": "other@example.com"})

        assert await mailing.deliver() == []

    async def test_where_there_is_no_mail_there_is_no_link(self, api: ApiClient, make: Factory) -> None:
        problem = await api.as_(await make.user()).post("/users/me/email/verification", None, expect=404)

        assert problem["code"] == "feature_disabled"


class TestChange:
    async def test_another_address_is_the_own_by_its_mailed_link(self, mailing: Mailing, make: Factory) -> None:
        caller = await make.user(email="old@example.com", email_verified=True, full_name="Ada")
        ada = mailing.api.as_(caller)
        answer = await ada.patch("/users/me", {"email": NEW, "full_name": "Ada L."}, expect=202)
        assert answer.content == b""
        me = await ada.get("/auth/me")
        assert (me["email"], me["email_verified"], me["full_name"]) == ("old@example.com", True, "Ada L.")
        assert await mailing.deliver() == [NEW]
        await mailing.verify()

        await ada.get("/auth/me", expect=401)
        await mailing.sign_in("old@example.com", expect=401)
        user = (await mailing.sign_in(NEW))["user"]
        assert (user["email"], user["email_verified"], user["full_name"]) == (NEW, True, "Ada L.")
        assert await mailing.deliver() == ["old@example.com"]
        assert (await mailing.verify(expect=400))["code"] == "invalid_link"
        root = mailing.api.as_(await make.user(is_superuser=True))
        assert [item["id"] for item in (await root.get("/users", q="new@example.com"))["items"]] == [str(caller.id)]

    @pytest.mark.proves("", "A change of the own address answers the same, to the header, whether another has it")
    async def test_the_answer_is_the_same_for_a_known_address(self, mailing: Mailing, make: Factory) -> None:
        await make.user(email=KNOWN)
        ada = await make.user()
        paths = ["/users/me", f"/users/{ada.id}"]
        answers = [
            await mailing.api.as_(ada).patch(path, {"email": email}, expect=202)
            for path in paths
            for email in (NEW, KNOWN)
        ]
        answers.append(await mailing.api.as_(ada).put(f"/users/{ada.id}", {"email": KNOWN}, expect=202))

        assert {(answer.content, frozenset(answer.headers)) for answer in answers} == {
            (b"", frozenset(answers[0].headers))
        }
        await mailing.deliver()
        assert "has one already" in mailing.mailbox.text_to(KNOWN)
        assert "#token=" not in mailing.mailbox.text_to(KNOWN)

    async def test_an_account_has_five_links_mailed_in_half_an_hour(self, mailing: Mailing, make: Factory) -> None:
        ada = mailing.api.as_(await make.user(email="old@example.com"))
        for number in range(7):
            await ada.patch("/users/me", {"email": NEW if number % 2 else KNOWN}, expect=202)
            await mailing.deliver()
        await ada.post("/users/me/email/verification", None, expect=202)

        assert await mailing.deliver() == []
        assert len(mailing.mailbox.taken) == 5

    async def test_an_address_that_another_has_by_now_is_refused(self, mailing: Mailing, make: Factory) -> None:
        ada = mailing.api.as_(await make.user(email="old@example.com"))
        await ada.patch("/users/me", {"email": NEW}, expect=202)
        await mailing.deliver()
        await make.user(email=NEW)

        assert (await mailing.verify(expect=400))["code"] == "invalid_link"
        assert (await ada.get("/auth/me"))["email"] == "old@example.com"

    async def test_another_case_of_the_same_address_is_a_change(self, mailing: Mailing, make: Factory) -> None:
        ada = mailing.api.as_(await make.user(email=NEW))
        await ada.patch("/users/me", {"email": "New@example.com"}, expect=202)

        assert await mailing.deliver() == ["New@example.com"]
        await mailing.verify("New@example.com")
        assert (await mailing.sign_in(NEW))["user"]["email"] == "New@example.com"

    async def test_what_an_account_asked_for_that_is_gone_is_not_mailed(self, mailing: Mailing, make: Factory) -> None:
        ada = mailing.api.as_(await make.user())
        await ada.patch("/users/me", {"email": NEW}, expect=202)
        await ada.delete("/users/me")

        assert await mailing.deliver() == []

    @pytest.mark.proves("", "Who answers a theft of its session ends the change of address that the thief has begun")
    @pytest.mark.parametrize("state", ["mailed", "waiting", "under way"])
    @pytest.mark.parametrize("how", ["password", "logout_all", "superuser", "reset"])
    async def test_what_shuts_others_out_ends_a_change_that_waits(
        self, mailing: Mailing, make: Factory, how: str, state: str
    ) -> None:
        caller = await make.user(email="old@example.com", email_verified=True)
        root = mailing.api.as_(await make.user(is_superuser=True))
        ada = mailing.api.as_(caller)
        await ada.patch("/users/me", {"email": NEW}, expect=202)
        assert await mailing.deliver() == [NEW] if state == "mailed" else True
        begun = await mailing.claim() if state == "under way" else []
        other = "another horse battery 77"
        if how == "password":
            await ada.put("/users/me/password", {"current_password": PASSWORD, "new_password": other}, expect=204)
        elif how == "logout_all":
            await ada.send("POST", "/auth/logout-all", expect=204)
        elif how == "superuser":
            await root.delete(f"/users/{caller.id}/sessions")
        else:
            link = await root.post(f"/users/{caller.id}/password-reset", None)
            body = {"token": link["token"], "password": other}
            await mailing.api.post("/auth/password-reset/confirm", body, expect=204)

        assert await mailing.deliver(begun) == []
        if state == "mailed":
            assert (await mailing.verify(expect=400))["code"] == "invalid_link"
        assert (await root.get(f"/users/{caller.id}"))["email"] == "old@example.com"

    async def test_a_new_password_leaves_the_link_that_verifies_the_address(
        self, mailing: Mailing, make: Factory
    ) -> None:
        ada = mailing.api.as_(await make.user(email=NEW))
        await ada.post("/users/me/email/verification", None, expect=202)
        await mailing.deliver()
        body = {"current_password": PASSWORD, "new_password": "another horse battery 77"}
        await ada.put("/users/me/password", body, expect=204)
        await mailing.verify()

        assert (await ada.get("/auth/me"))["email_verified"] is True

    async def test_the_last_superuser_stays_one_with_another_address(self, mailing: Mailing, make: Factory) -> None:
        caller = await make.user(is_superuser=True)
        root = mailing.api.as_(caller)
        body = {"email": NEW, "is_superuser": False}

        assert (await root.patch(f"/users/{caller.id}", body, expect=409))["code"] == "last_superuser"
        assert (await root.get("/auth/me"))["is_superuser"] is True
        assert await mailing.deliver() == []

    async def test_a_superuser_changes_the_address_of_another_at_once(self, mailing: Mailing, make: Factory) -> None:
        ada, root = await make.user(), mailing.api.as_(await make.user(is_superuser=True))

        changed = await root.patch(f"/users/{ada.id}", {"email": NEW})
        assert (changed["email"], changed["email_verified"]) == (NEW, False)


@pytest.mark.proves("", "Of two who follow a link at once one is the first, and nothing is done twice")
async def test_of_many_who_follow_a_link_at_once_one_is_the_first(
    settings: Settings, fresh: Pool, commit: Factory
) -> None:
    mailbox = new_mailbox()
    wanted = with_mail(settings, mailbox)
    async with serving(wanted, fresh) as one, serving(wanted, fresh) as other:
        mailing = Mailing(one, wanted, fresh, mailbox)
        ada: SignedIn = await commit.user(email="old@example.com")
        for round_ in range(4):
            email = f"{round_}@example.com"
            if round_ % 2:
                await mailing.register(email)
            else:
                caller = SignedIn(ada.id, await commit.session(ada.id), ada.now)
                await one.as_(caller).patch("/users/me", {"email": email}, expect=202)
            await mailing.deliver()
            body = {"token": mailbox.token_to(email)}
            sent = [api.http.post("/api/v1/auth/email/verify", json=body) for api in (one, other) * 3]
            seen = Counter(answer.status_code for answer in await asyncio.gather(*sent))

            assert seen == {204: 1, 400: 5}
            assert (await fresh.fetch("SELECT count(*) FROM users WHERE email = $1", [email]))[0][0] == 1
