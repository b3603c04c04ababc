"""Invitations: no one gets into a team without saying yes, or by an address that is only claimed."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr

from persistence.engine.pool import Pool
from server.delivery.delivery import Delivery, carrier_of
from server.settings.settings import Settings
from tests.api.conftest import serving
from tests.client import Answer, ApiClient
from tests.conftest import Bench
from tests.factories import NOW, Factory, SignedIn
from tests.mail import Mailbox, new_mailbox

EMAIL = "grace@example.com"


class Team:
    """A team, and who asks."""

    def __init__(self, api: ApiClient, make: Factory, team_id: UUID, people: dict[str, SignedIn]) -> None:
        self.api, self.make, self.id, self.people = api, make, team_id, people

    @property
    def path(self) -> str:
        return f"/organizations/{self.id}/invitations"

    def as_(self, who: str) -> ApiClient:
        return self.api.as_(self.people[who])

    async def invite(self, who: str = "owner", *, expect: int = 201, **body: Any) -> Answer:
        return await self.as_(who).post(self.path, body, expect=expect)

    async def is_member(self, user_id: UUID) -> bool:
        found = await self.make.db.fetch(
            "SELECT FROM organization_members WHERE organization_id = $1 AND user_id = $2", [self.id, user_id]
        )
        return bool(found)


@pytest.fixture
async def team(api: ApiClient, make: Factory) -> Team:
    team_id, people = await make.organization({"owner": "owner", "admin": "admin", "member": "member"})
    return Team(api, make, team_id, people)


def token_of(answer: Answer) -> str:
    return str(answer["url"]).partition("#token=")[2]


async def answer(api: ApiClient, invitation: Any, how: str = "accept", expect: int = 201) -> Answer:
    return await api.send("POST", f"/invitations/{invitation}/{how}", expect=expect)


async def redeem(api: ApiClient, token: str, expect: int = 201) -> Answer:
    return await api.post("/invitations/redeem", {"token": token}, expect=expect)


async def list_received(api: ApiClient) -> list[str]:
    return [item["id"] for item in (await api.get("/invitations"))["items"]]


async def actions(db: Bench) -> list[str]:
    found = await db.fetch("SELECT action FROM audit_logs WHERE outcome = 'success' ORDER BY id", [])
    return [str(record["action"]) for record in found]


class TestInviting:
    @pytest.mark.parametrize("who", ["owner", "admin"])
    @pytest.mark.parametrize("role", ["admin", "member"])
    async def test_the_invited_is_no_member_before_saying_yes(
        self, team: Team, make: Factory, db: Bench, who: str, role: str
    ) -> None:
        grace = await make.user(email=EMAIL, email_verified=True)

        invitation = await team.invite(who, email="Grace@example.com", role=role)

        assert (invitation["email"], invitation["user_id"], invitation["role"]) == ("Grace@example.com", None, role)
        assert invitation["invited_by"]["id"] == str(team.people[who].id)
        life = datetime.fromisoformat(invitation["expires_at"]) - datetime.fromisoformat(invitation["created_at"])
        assert life == timedelta(days=14)
        assert not await team.is_member(grace.id)
        [item] = (await team.api.as_(grace).get("/invitations"))["items"]
        assert item["organization"] == {"id": str(team.id), "name": "Team"}
        assert item["invited_by"]["full_name"] == who

        joined = await answer(team.api.as_(grace), invitation["id"])

        assert (joined["role"], joined["user"]["id"]) == (role, str(grace.id))
        assert joined.headers["location"] == f"/api/v1/organizations/{team.id}/members/{grace.id}"
        found = await team.as_(who).get(joined.headers["location"].removeprefix("/api/v1"))
        assert (found.body, found.headers["etag"]) == (joined.body, joined.headers["etag"])
        assert await list_received(team.api.as_(grace)) == []
        assert await actions(db) == ["invitation.created", "organization.member_added", "invitation.accepted"]

    async def test_who_may_not_manage_members_invites_nobody(self, team: Team, make: Factory) -> None:
        await team.invite("member", email=EMAIL, expect=403)
        team.people["stranger"] = await make.user()
        await team.invite("stranger", email=EMAIL, expect=404)
        await team.as_("member").get(team.path, expect=403)
        assert (await team.as_("owner").get(team.path))["items"] == []

    @pytest.mark.parametrize(
        "body",
        [{}, {"role": "member"}, {"email": EMAIL, "user_id": str(uuid4())}, {"email": EMAIL, "role": "owner"}],
    )
    async def test_whom_and_as_what_must_be_said(self, team: Team, body: dict[str, str]) -> None:
        await team.as_("owner").post(team.path, body, expect=422)

    @pytest.mark.proves("", "The inviter's answer is the same whether an address, or an id, has an account")
    async def test_the_answer_is_the_same_whether_there_is_an_account(self, team: Team, make: Factory) -> None:
        known = await make.user(email=EMAIL, email_verified=True)
        await make.user(email="gone@example.com", is_active=False)
        addresses = [EMAIL, "gone@example.com", "unknown@example.com"]
        answers = [await team.invite(email=email) for email in addresses]
        answers += [await team.invite(user_id=str(user_id)) for user_id in (known.id, uuid4())]
        changing = {"id", "email", "user_id", "url", "created_at", "expires_at"}

        assert len({str({k: v for k, v in each.body.items() if k not in changing}) for each in answers}) == 1
        assert [each["url"] is None for each in answers] == [False] * 3 + [True] * 2
        assert len({frozenset(each.headers) for each in answers}) == 1
        listed = (await team.as_("owner").get(team.path))["items"]
        assert len({frozenset(item) for item in listed}) == 1

    async def test_nobody_is_invited_twice_until_the_first_ends(self, team: Team, make: Factory) -> None:
        grace = await make.user()
        either: tuple[dict[str, Any], ...] = {"email": EMAIL}, {"user_id": str(grace.id)}
        for invited in either:
            first = await team.invite(**invited)
            assert (await team.invite("admin", expect=409, **invited))["code"] == "already_invited"
            await team.as_("admin").delete(f"{team.path}/{first['id']}")
            again = await team.invite(**invited)
            await make.db.fetch("UPDATE invitations SET expires_at = now() WHERE id = $1", [UUID(again["id"])])
            await team.invite(**invited)

    async def test_a_member_is_not_invited(self, team: Team) -> None:
        email = (await team.as_("owner").get(f"/organizations/{team.id}/members/{team.people['member'].id}"))["user"]
        either: tuple[dict[str, Any], ...] = {"email": email["email"].upper()}, {"user_id": email["id"]}
        for invited in either:
            assert (await team.invite(expect=409, **invited))["code"] == "already_member"

    async def test_they_are_listed_for_who_manages_members_and_revoked(
        self, team: Team, make: Factory, db: Bench
    ) -> None:
        made = [(await team.invite(email=f"{number}@example.com"))["id"] for number in range(3)]
        await make.invitation(await make.team(owner=team.people["owner"]))
        first = await team.as_("admin").get(team.path, limit=2)
        rest = await team.as_("admin").get(team.path, limit=2, cursor=first["next_cursor"])

        assert [item["id"] for item in [*first["items"], *rest["items"]]] == made[::-1]
        assert "url" not in first["items"][0]
        await team.as_("admin").delete(f"{team.path}/{made[0]}")
        await team.as_("admin").delete(f"{team.path}/{made[0]}", expect=404)
        await team.as_("member").delete(f"{team.path}/{made[1]}", expect=403)
        assert [item["id"] for item in (await team.as_("owner").get(team.path))["items"]] == [made[2], made[1]]
        assert (await actions(db)).count("invitation.revoked") == 1

    @pytest.mark.parametrize("how", ["removed", "demoted"])
    async def test_who_is_no_admin_any_more_leaves_no_open_invitation(
        self, team: Team, make: Factory, how: str
    ) -> None:
        second = await make.user()
        invitation = await team.invite("admin", user_id=str(second.id))
        kept = await team.invite(email=EMAIL)
        member = f"/organizations/{team.id}/members/{team.people['admin'].id}"
        if how == "removed":
            await team.as_("owner").delete(member)
        else:
            await team.as_("owner").patch(member, {"role": "member"})

        await answer(team.api.as_(second), invitation["id"], expect=404)
        assert [item["id"] for item in (await team.as_("owner").get(team.path))["items"]] == [kept["id"]]

    @pytest.mark.parametrize("how", ["deactivated", "deleted", "gone"])
    async def test_whose_account_ends_leaves_no_open_invitation(self, team: Team, make: Factory, how: str) -> None:
        second, root = await make.user(), team.api.as_(await make.user(is_superuser=True))
        invitation = await team.invite("admin", user_id=str(second.id), role="admin")
        kept = await team.invite(email=EMAIL)
        account = f"/users/{team.people['admin'].id}"
        if how == "deactivated":
            await root.patch(account, {"is_active": False})
        elif how == "deleted":
            await root.delete(account)
        else:
            await team.as_("admin").delete("/users/me")

        await answer(team.api.as_(second), invitation["id"], expect=404)
        assert [item["id"] for item in (await team.as_("owner").get(team.path))["items"]] == [kept["id"]]

    async def test_an_invitation_that_a_deactivation_has_not_seen_opens_nothing(
        self, team: Team, make: Factory, db: Bench
    ) -> None:
        """Of two at the same moment the one may commit before the other can see it."""
        second = await make.user()
        invitation = await team.invite("admin", user_id=str(second.id), role="admin")
        linked = await team.invite("admin", email=EMAIL)
        await db.fetch("UPDATE users SET is_active = false WHERE id = $1", [team.people["admin"].id])

        api = team.api.as_(second)
        assert await list_received(api) == []
        await answer(api, invitation["id"], expect=404)
        await redeem(api, token_of(linked), expect=400)


class TestAnswering:
    @pytest.mark.proves("", "An invitation by address shows only to an account whose address is verified")
    async def test_an_address_that_is_only_claimed_opens_nothing(self, team: Team, make: Factory) -> None:
        claimed = await make.user(email=EMAIL)
        invitation = await team.invite(email=EMAIL)
        who = team.api.as_(claimed)

        assert await list_received(who) == []
        await answer(who, invitation["id"], expect=404)
        await answer(who, invitation["id"], "decline", expect=404)
        root = team.api.as_(await make.user(is_superuser=True))
        await root.patch(f"/users/{claimed.id}", {"email_verified": True})
        assert await list_received(who) == [invitation["id"]]
        await root.patch(f"/users/{claimed.id}", {"email": "other@example.com"})
        await root.patch(f"/users/{claimed.id}", {"email": EMAIL})
        assert (await root.get(f"/users/{claimed.id}"))["email_verified"] is False

    async def test_an_address_that_folds_alike_is_another(self, team: Team, make: Factory) -> None:
        other = await make.user(email="ada@straße.example", email_verified=True)
        await team.invite(email="ada@strasse.example")

        assert await list_received(team.api.as_(other)) == []

    @pytest.mark.proves("", "An invitation of another cannot be seen, accepted or declined")
    async def test_an_invitation_of_another_is_not_found(self, team: Team, make: Factory) -> None:
        grace, eve = await make.user(), await make.user(is_superuser=True)
        invitation = await team.invite(user_id=str(grace.id))

        for how in ("accept", "decline"):
            await answer(team.api.as_(eve), invitation["id"], how, expect=404)
            await answer(team.api.as_(eve), uuid4(), how, expect=404)
        assert await list_received(team.api.as_(eve)) == []
        assert await list_received(team.api.as_(grace)) == [invitation["id"]]

    async def test_who_declines_is_no_member_and_may_be_asked_again(self, team: Team, make: Factory, db: Bench) -> None:
        grace = await make.user()
        invitation = await team.invite(user_id=str(grace.id))

        await answer(team.api.as_(grace), invitation["id"], "decline", expect=204)

        await answer(team.api.as_(grace), invitation["id"], expect=404)
        assert not await team.is_member(grace.id)
        assert await actions(db) == ["invitation.created", "invitation.declined"]
        await team.invite(user_id=str(grace.id))

    async def test_what_has_expired_or_whose_team_is_gone_is_not_found(self, team: Team, make: Factory) -> None:
        grace = await make.user()
        old = await make.invitation(team.id, user_id=grace.id, expires_at=NOW - timedelta(seconds=1), token="old")
        who = team.api.as_(grace)

        assert await list_received(who) == []
        await answer(who, old, expect=404)
        assert (await redeem(who, "old", expect=400))["code"] == "invalid_link"
        assert (await team.as_("owner").get(team.path))["items"] == []
        invitation = await team.invite(user_id=str(grace.id))
        await team.as_("owner").delete(f"/organizations/{team.id}")
        await answer(who, invitation["id"], expect=404)

    async def test_who_has_become_a_member_meanwhile_is_told_so(self, team: Team, make: Factory) -> None:
        grace = await make.user()
        invitation = await team.invite(user_id=str(grace.id))
        await make.member(team.id, grace.id, "member")

        assert (await answer(team.api.as_(grace), invitation["id"], expect=409))["code"] == "already_member"

    async def test_an_account_that_goes_takes_its_invitations_along(self, team: Team, make: Factory, db: Bench) -> None:
        grace = await make.user()
        await team.invite(user_id=str(grace.id))
        await team.api.as_(grace).delete("/users/me")

        assert await db.fetch("SELECT FROM invitations", []) == []


class TestLinks:
    async def test_a_link_is_told_once_and_lets_in_who_has_it(self, team: Team, make: Factory, db: Bench) -> None:
        grace = await make.user(email="other@example.com")
        invitation = await team.invite(email=EMAIL, role="admin")
        token = token_of(invitation)

        assert invitation["url"].startswith("http://localhost:8000/invitation#token=")
        assert len(token) >= 43
        assert token not in str(await db.fetch("SELECT invitations::text FROM invitations", []))
        joined = await redeem(team.api.as_(grace), token)
        assert (joined["role"], joined["user"]["id"]) == ("admin", str(grace.id))
        assert (await team.api.as_(grace).get("/auth/me"))["email_verified"] is False

    @pytest.mark.proves("", "A link that was only told verifies no address, though the account has claimed it")
    async def test_a_link_that_was_not_mailed_verifies_no_address(self, team: Team, make: Factory) -> None:
        grace = await make.user(email=EMAIL)
        await redeem(team.api.as_(grace), token_of(await team.invite(email=EMAIL)))

        assert (await team.api.as_(grace).get("/auth/me"))["email_verified"] is False

    async def test_a_link_works_once(self, team: Team, make: Factory) -> None:
        grace, eve = team.api.as_(await make.user()), team.api.as_(await make.user())
        token = token_of(await team.invite(email=EMAIL))
        await redeem(grace, token)

        for who in (grace, eve):
            assert (await redeem(who, token, expect=400))["code"] == "invalid_link"
        assert (await redeem(eve, "x" * 43, expect=400))["code"] == "invalid_link"

    async def test_a_link_that_was_revoked_is_none(self, team: Team, make: Factory) -> None:
        invitation = await team.invite(email=EMAIL)
        await team.as_("owner").delete(f"{team.path}/{invitation['id']}")

        await redeem(team.api.as_(await make.user()), token_of(invitation), expect=400)

    async def test_the_link_of_a_user_is_for_that_user(self, team: Team, make: Factory) -> None:
        grace, eve = await make.user(), await make.user()
        await make.invitation(team.id, user_id=grace.id, token="hers")

        await redeem(team.api.as_(eve), "hers", expect=400)
        await redeem(team.api.as_(grace), "hers")

    async def test_a_member_who_follows_a_link_leaves_it_as_it_is(self, team: Team, make: Factory) -> None:
        token = token_of(await team.invite(email=EMAIL))

        assert (await redeem(team.as_("member"), token, expect=409))["code"] == "already_member"
        await redeem(team.api.as_(await make.user()), token)

    async def test_nobody_redeems_without_a_session(self, team: Team) -> None:
        token = token_of(await team.invite(email=EMAIL))

        await redeem(team.api, token, expect=401)

    @pytest.mark.proves("", "Of two who redeem a link at once one gets in")
    async def test_of_many_who_redeem_it_at_once_one_gets_in(
        self, pair: tuple[ApiClient, ApiClient], commit: Factory, fresh: Pool
    ) -> None:
        team_id, _ = await commit.organization({"owner": "owner"})
        guests = [await commit.user() for _ in range(6)]
        for number in range(4):
            await commit.invitation(team_id, token=f"once-{number}")
            calls = [
                pair[at % 2].http.post(
                    "/api/v1/invitations/redeem",
                    json={"token": f"once-{number}"},
                    headers=dict(pair[0].as_(guest).headers),
                )
                for at, guest in enumerate(guests)
            ]
            seen = Counter(done.status_code for done in await asyncio.gather(*calls))
            guests = [guest for guest in guests if not await is_in(fresh, team_id, guest)]

            assert seen == {201: 1, 400: len(guests)}

    async def test_of_two_answers_at_once_one_counts(self, pair: tuple[ApiClient, ApiClient], commit: Factory) -> None:
        team_id, people = await commit.organization({"owner": "owner"})
        for _ in range(4):
            guest = await commit.user()
            path = f"/api/v1/invitations/{await commit.invitation(team_id, user_id=guest.id)}"
            headers = dict(pair[0].as_(guest).headers)
            sent = [pair[at].http.post(f"{path}/accept", headers=headers) for at in (0, 1)]
            revoked = pair[1].http.delete(
                f"/api/v1/organizations/{team_id}{path.removeprefix('/api/v1')}",
                headers=dict(pair[1].as_(people["owner"]).headers),
            )
            seen = [done.status_code for done in await asyncio.gather(*sent, revoked)]

            assert Counter(seen) in ({201: 1, 404: 2}, {404: 2, 204: 1})


async def is_in(db: Pool, team_id: UUID, who: SignedIn) -> bool:
    sql = "SELECT FROM organization_members WHERE organization_id = $1 AND user_id = $2"
    return bool(await db.fetch(sql, [team_id, who.id]))


class TestMail:
    @pytest.fixture
    def mailbox(self) -> Mailbox:
        return new_mailbox()

    @pytest.fixture
    async def mailed(self, settings: Settings, db: Bench, make: Factory, mailbox: Mailbox) -> AsyncIterator[Team]:
        """A team where there is mail, which is sent when a test says so."""
        chosen = settings.model_copy(update={"smtp_url": SecretStr(mailbox.url), "delivery": "off"})
        team_id, people = await make.organization({"owner": "owner", "admin": "admin"})
        async with serving(chosen, db) as api:
            yield Team(api, make, team_id, people)

    async def send(self, settings: Settings, db: Bench, mailbox: Mailbox) -> int:
        chosen = settings.model_copy(update={"smtp_url": SecretStr(mailbox.url)})
        carrier = carrier_of(chosen)
        assert carrier is not None
        async with mailbox.open():
            return await Delivery(db, carrier, "https://app.example.com", chosen.sender).send_some()

    async def test_where_there_is_mail_the_link_is_mailed_and_not_told(
        self, mailed: Team, settings: Settings, db: Bench, make: Factory, mailbox: Mailbox
    ) -> None:
        grace = await make.user(email=EMAIL)
        invitation = await mailed.invite(email=EMAIL)
        assert await self.send(settings, db, mailbox) == 1

        assert (invitation["url"], mailbox.recipients) == (None, [EMAIL])
        text = mailbox.text_to(EMAIL)
        assert 'owner invites you to the team "Team"' in text
        assert "https://app.example.com/invitation#token=" in text
        who = mailed.api.as_(grace)
        assert await list_received(who) == []
        await redeem(who, mailbox.token_to(EMAIL))
        assert (await who.get("/auth/me"))["email_verified"] is True
        assert await mailed.is_member(grace.id)

    async def test_a_mailed_link_verifies_no_other_address(
        self, mailed: Team, settings: Settings, db: Bench, make: Factory, mailbox: Mailbox
    ) -> None:
        other = await make.user(email="other@example.com")
        await mailed.invite(email=EMAIL)
        await self.send(settings, db, mailbox)
        await redeem(mailed.api.as_(other), mailbox.token_to(EMAIL))

        assert (await mailed.api.as_(other).get("/auth/me"))["email_verified"] is False

    async def test_a_user_is_written_to_at_an_address_that_is_verified(
        self, mailed: Team, settings: Settings, db: Bench, make: Factory, mailbox: Mailbox
    ) -> None:
        grace, claimed = await make.user(email=EMAIL, email_verified=True), await make.user(email="x@example.com")
        for invited in (grace.id, claimed.id, uuid4()):
            assert (await mailed.invite(user_id=str(invited)))["url"] is None
        await self.send(settings, db, mailbox)

        assert mailbox.recipients == [EMAIL]
        assert (await db.fetch("SELECT count(*) FROM outbox", []))[0][0] == 0

    async def test_what_was_revoked_is_not_mailed(
        self, mailed: Team, settings: Settings, db: Bench, mailbox: Mailbox
    ) -> None:
        invitation = await mailed.invite(email=EMAIL)
        await mailed.as_("owner").delete(f"{mailed.path}/{invitation['id']}")
        await self.send(settings, db, mailbox)

        assert mailbox.taken == []

    async def test_what_waits_has_no_token(self, mailed: Team, db: Bench) -> None:
        await mailed.invite(email=EMAIL)
        [row] = await db.fetch("SELECT outbox::text, (SELECT mailed_key FROM invitations) FROM outbox", [])

        assert "token" not in row[0]
        assert row[1] is None


async def test_the_address_of_who_is_made_by_a_superuser_is_verified(api: ApiClient, make: Factory) -> None:
    root = api.as_(await make.user(is_superuser=True))
    made = await root.post("/users", {"email": EMAIL, "password": "nine lives of a lighthouse"})

    assert made["email_verified"] is True
    assert (await root.patch(f"/users/{made['id']}", {"email_verified": False}))["email_verified"] is False
    changed = await root.patch(f"/users/{made['id']}", {"email": "g@example.com", "email_verified": True})
    assert (changed["email"], changed["email_verified"]) == ("g@example.com", True)


async def test_nobody_verifies_the_own_address_by_saying_so(api: ApiClient, make: Factory) -> None:
    ada = await make.user()

    await api.as_(ada).patch(f"/users/{ada.id}", {"email_verified": True}, expect=403)
    await api.as_(ada).patch("/users/me", {"email_verified": True}, expect=422)
    assert (await api.as_(ada).get("/auth/me"))["email_verified"] is False
