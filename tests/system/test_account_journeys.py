"""What becomes of accounts, as people live it: a real server with and without mail, and every link followed."""

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any
from uuid import uuid4

import httpx
import pyotp
import pytest

from tests.mail import Mailbox, new_mailbox
from tests.system.conftest import serving
from tests.waiting import until

ROOT_USER = {"email": "root@example.com", "password": "a kestrel above the motorway"}
ADMINISTERED = {"FIRST_SUPERUSER_EMAIL": ROOT_USER["email"], "FIRST_SUPERUSER_PASSWORD": ROOT_USER["password"]}
PASSWORD, OTHER = "nine lives of a lighthouse", "a heron counts the tram stops"
CREATED, ACCEPTED, NO_CONTENT = 201, 202, 204
BAD_REQUEST, UNAUTHORIZED = 400, 401


class Person:
    """Somebody with an address, and a session once signed in."""

    def __init__(self, url: str, email: str | None = None, password: str = PASSWORD) -> None:
        self.email, self.password = email or f"{uuid4()}@example.com", password
        self.url = f"{url}/api/v1"
        self.headers: dict[str, str] = {}

    async def send(
        self, method: str, path: str, body: Mapping[str, object] | None = None, *, expect: int = 200
    ) -> dict[str, Any]:
        async with httpx.AsyncClient(base_url=self.url, headers=self.headers, timeout=60) as http:
            answer = await http.request(method, path, json=body)
        assert answer.status_code == expect, answer.text
        said: dict[str, Any] = answer.json() if answer.content else {}
        return said

    async def post(
        self, path: str, body: Mapping[str, object] | None = None, *, expect: int = CREATED
    ) -> dict[str, Any]:
        return await self.send("POST", path, body, expect=expect)

    async def register(self, mailbox: Mailbox | None = None) -> "Person":
        """Make the account, follow the mailed link where there is one, and sign in."""
        account = {"email": self.email, "password": self.password}
        await self.post("/auth/register", account, expect=CREATED if mailbox is None else ACCEPTED)
        if mailbox is not None:
            await self.follow(mailbox)
        return await self.sign_in()

    async def follow(self, mailbox: Mailbox) -> None:
        """Follow the link that verifies the address."""
        await self.post("/auth/email/verify", {"token": await read_token(mailbox, self.email)}, expect=NO_CONTENT)

    async def sign_in(self) -> "Person":
        account = {"email": self.email, "password": self.password}
        return self.bear(await self.post("/auth/login", account, expect=200))

    def bear(self, tokens: Mapping[str, Any]) -> "Person":
        self.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        return self

    async def make_team(self) -> str:
        team: str = (await self.post("/organizations", {"name": "Lighthouse", "slug": f"team-{uuid4()}"}))["id"]
        return team

    async def teams(self) -> set[str]:
        page = await self.send("GET", "/organizations")
        return {team["id"] for team in page["items"] if team["kind"] == "team"}


@pytest.fixture(scope="module")
async def mailbox() -> AsyncIterator[Mailbox]:
    mailbox = new_mailbox()
    async with mailbox.open():
        yield mailbox


@pytest.fixture(scope="module")
def mailing_url(mailbox: Mailbox) -> Iterator[str]:
    """The URL of a server that sends mail."""
    with serving({**ADMINISTERED, "SMTP_URL": mailbox.url}) as url:
        yield url


@pytest.fixture(scope="module")
def silent_url() -> Iterator[str]:
    """The URL of a server without mail."""
    with serving(ADMINISTERED) as url:
        yield url


async def read_token(mailbox: Mailbox, email: str) -> str:
    """The token of the link that is mailed to an address, which is thrown away then."""

    async def has_come() -> bool:
        return email in mailbox.recipients

    await until(has_come, True, seconds=60)
    token = mailbox.token_to(email)
    mailbox.taken = [(to, mail) for to, mail in mailbox.taken if to != email]
    return token


def token_in(link: str) -> str:
    return link.partition("#token=")[2]


async def test_an_invitation_is_mailed_to_an_account_and_to_none(mailing_url: str, mailbox: Mailbox) -> None:
    owner = await Person(mailing_url).register(mailbox)
    known = await Person(mailing_url).register(mailbox)
    team, unknown = await owner.make_team(), Person(mailing_url)
    answers = [await owner.post(f"/organizations/{team}/invitations", {"email": one.email}) for one in (known, unknown)]
    assert [sorted(answer) for answer in answers] == [sorted(answers[0])] * 2
    assert [answer["url"] for answer in answers] == [None, None]

    [open_one] = (await known.send("GET", "/invitations"))["items"]
    assert await known.teams() == set()
    await known.post(f"/invitations/{open_one['id']}/accept")
    assert await known.teams() == {team}

    token = await read_token(mailbox, unknown.email)
    await unknown.register(mailbox)
    await unknown.post("/invitations/redeem", {"token": token})
    assert await unknown.teams() == {team}
    await unknown.post("/invitations/redeem", {"token": token}, expect=BAD_REQUEST)


async def test_an_invitation_without_mail_is_a_link_that_is_passed_on(silent_url: str) -> None:
    owner = await Person(silent_url).register()
    team, invited = await owner.make_team(), Person(silent_url)
    made = await owner.post(f"/organizations/{team}/invitations", {"email": invited.email})

    await invited.register()
    assert (await invited.send("GET", "/invitations"))["items"] == []  # the address is only claimed
    await invited.post("/invitations/redeem", {"token": token_in(made["url"])})

    assert await invited.teams() == {team}


async def test_a_lost_password_comes_back_by_mail(mailing_url: str, mailbox: Mailbox) -> None:
    ada = await Person(mailing_url).register(mailbox)
    await ada.post("/auth/password-reset", {"email": ada.email}, expect=ACCEPTED)
    token = await read_token(mailbox, ada.email)

    await reset(ada, token)

    await ada.post("/auth/password-reset/confirm", {"token": token, "password": PASSWORD}, expect=BAD_REQUEST)


async def test_a_lost_password_comes_back_by_the_link_of_a_superuser(silent_url: str) -> None:
    ada = await Person(silent_url).register()
    root = await Person(silent_url, **ROOT_USER).sign_in()
    me = await ada.send("GET", "/auth/me")

    link = await root.post(f"/users/{me['id']}/password-reset")

    assert token_in(link["url"]) == link["token"]
    await reset(ada, link["token"])


async def reset(person: Person, token: str) -> None:
    """Set another password by a link: what was open ends, and the old password with it."""
    await person.post("/auth/password-reset/confirm", {"token": token, "password": OTHER}, expect=NO_CONTENT)
    await person.send("GET", "/auth/me", expect=UNAUTHORIZED)
    account = {"email": person.email, "password": person.password}
    await person.post("/auth/login", account, expect=UNAUTHORIZED)
    person.password = OTHER
    await person.sign_in()


async def test_a_second_factor_is_turned_on_asked_for_recovered_and_reset(silent_url: str) -> None:
    ada = await Person(silent_url).register()
    root = await Person(silent_url, **ROOT_USER).sign_in()
    app = pyotp.TOTP((await ada.post("/users/me/totp"))["secret"])
    codes = (await ada.post("/users/me/totp/confirm", {"code": app.now()}, expect=200))["recovery_codes"]
    assert (await ada.send("GET", "/auth/me"))["mfa_enabled"] is True

    await complete(ada, codes[0])
    await complete(ada, codes[0], expect=UNAUTHORIZED)
    assert len({*codes, *(await ada.post("/users/me/recovery-codes"))["recovery_codes"]}) == 2 * len(codes)

    me = await ada.send("GET", "/auth/me")
    await root.send("DELETE", f"/users/{me['id']}/totp", expect=NO_CONTENT)
    await ada.sign_in()
    assert (await ada.send("GET", "/auth/me"))["mfa_enabled"] is False


async def complete(person: Person, code: str, *, expect: int = 200) -> None:
    """Sign in by password and code."""
    account = {"email": person.email, "password": person.password}
    asked = await person.post("/auth/login", account, expect=UNAUTHORIZED)
    assert asked["code"] == "mfa_required"
    tokens = await person.post("/auth/login/totp", {"challenge": asked["challenge"], "code": code}, expect=expect)
    if expect == httpx.codes.OK:
        person.bear(tokens)
