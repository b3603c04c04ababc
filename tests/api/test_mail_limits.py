"""How many mails one caller has sent to one recipient."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from pydantic import SecretStr

from handlers.shared.call import Mail
from server.rate_limiting import sliding_window
from server.rate_limiting.limiter import MAIL_SECONDS, MAILS
from server.settings.settings import Settings
from tests.api.conftest import BEGINNING_OF_AN_HOUR, client_of, serving, start_app
from tests.client import ApiClient
from tests.conftest import Bench
from tests.factories import PASSWORD, Factory

STRANGER, OTHER = "stranger@example.com", "other@example.com"
MINUTE = 61


@dataclass(frozen=True)
class Limited:
    """An application with mail and limits, and the clock of the limits."""

    api: ApiClient
    other_network: ApiClient
    db: Bench
    clock: SimpleNamespace

    def pass_(self, seconds: int) -> None:
        self.clock.now += seconds

    async def mails(self) -> list[str]:
        return [row["recipient"] for row in await self.db.fetch("SELECT recipient FROM outbox ORDER BY id", [])]

    async def register(self, email: str, *, expect: int = 202, elsewhere: bool = False) -> int:
        """Register once a minute, as the class of the operation lets everybody. What comes back is `Retry-After`."""
        self.pass_(MINUTE)
        api = self.other_network if elsewhere else self.api
        said = await api.post("/auth/register", {"email": email, "password": PASSWORD}, expect=expect)
        return int(said.headers.get("retry-after", "0"))


@pytest.fixture
async def limited(settings: Settings, db: Bench, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Limited]:
    clock = SimpleNamespace(now=BEGINNING_OF_AN_HOUR + 1)
    monkeypatch.setattr(sliding_window, "time", SimpleNamespace(time=lambda: clock.now))
    smtp_url = SecretStr("smtp://127.0.0.1:1")
    chosen = settings.model_copy(update={"rate_limits_enabled": True, "smtp_url": smtp_url, "delivery": "off"})
    async with (
        start_app(chosen, db) as app,
        client_of(app, chosen) as api,
        client_of(app, chosen, "192.0.2.7") as other,
    ):
        yield Limited(api, other, db, clock)


@pytest.mark.proves("", "No mailbox is filled: one network has five mails an hour sent to one address, known or not")
@pytest.mark.parametrize("is_known", [False, True])
async def test_a_network_registers_one_address_five_times_an_hour(
    limited: Limited, make: Factory, *, is_known: bool
) -> None:
    if is_known:
        await make.user(email=STRANGER)
    for _ in range(MAILS):
        await limited.register(STRANGER)

    wait = await limited.register(STRANGER.upper(), expect=429)

    assert MINUTE < wait <= MAIL_SECONDS
    assert await limited.mails() == [STRANGER] * MAILS
    await limited.register(OTHER)
    await limited.register(STRANGER, elsewhere=True)
    limited.pass_(2 * MAIL_SECONDS)
    await limited.register(STRANGER)


async def test_a_user_invites_one_address_five_times_an_hour(limited: Limited, make: Factory) -> None:
    team_id, people = await make.organization({"ada": "owner", "bob": "admin"})
    ada, bob = limited.api.as_(people["ada"]), limited.api.as_(people["bob"])
    path, body = f"/organizations/{team_id}/invitations", {"email": STRANGER, "role": "member"}
    for _ in range(MAILS):
        limited.pass_(MINUTE)
        made = await ada.post(path, body)
        await ada.delete(f"{path}/{made['id']}")

    limited.pass_(MINUTE)
    assert (await ada.post(path, body, expect=429))["code"] == "rate_limit_exceeded"
    assert (await ada.get(path))["items"] == []
    assert await limited.mails() == [STRANGER] * MAILS

    await ada.post(path, body | {"email": OTHER})
    await bob.post(path, body)  # one who asks keeps no other from it
    limited.pass_(MINUTE)
    for _ in range(MAILS + 1):
        people["grace"] = await make.user()
        await ada.post(path, {"user_id": str(people["grace"].id), "role": "member"})


async def test_a_user_has_one_address_verified_or_claimed_five_times_an_hour(limited: Limited, make: Factory) -> None:
    ada = limited.api.as_(await make.user(email=OTHER))
    for _ in range(MAILS - 1):
        limited.pass_(MINUTE)
        await ada.patch("/users/me", {"email": STRANGER, "full_name": "Ada"}, expect=202)
        await ada.post("/users/me/email/verification", None, expect=202)
    limited.pass_(MINUTE)
    await ada.patch("/users/me", {"email": STRANGER}, expect=202)

    limited.pass_(MINUTE)
    await ada.patch("/users/me", {"email": STRANGER, "full_name": "Eve"}, expect=429)

    assert (await ada.get("/users/me"))["full_name"] == "Ada"
    await ada.post("/users/me/email/verification", None, expect=202)
    assert (await ada.post("/users/me/email/verification", None, expect=429)).headers["retry-after"] > "0"
    assert await limited.mails() == [STRANGER, OTHER] * MAILS


async def test_where_nothing_is_mailed_nothing_is_counted(settings: Settings, db: Bench, make: Factory) -> None:
    team_id, people = await make.organization({"ada": "owner"})
    path, body = f"/organizations/{team_id}/invitations", {"email": STRANGER, "role": "member"}
    async with serving(settings.model_copy(update={"rate_limits_enabled": True}), db) as api:
        for _ in range(MAILS + 1):
            made = await api.as_(people["ada"]).post(path, body)
            await api.as_(people["ada"]).delete(f"{path}/{made['id']}")


async def test_without_limits_there_is_no_end_of_them() -> None:
    assert await Mail(is_on=True, is_written=True).admit("who") == 0
