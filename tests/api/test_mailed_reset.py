"""A lost password by mail: one answer for all, and a link to the address as the account has it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from persistence.engine.pool import Pool
from server.settings.loading import load
from server.settings.settings import Settings
from tests.api.conftest import SECRET, client_of, serving, start_app
from tests.api.test_password_reset import ADA, NEW, reset, sign_in
from tests.client import Answer, ApiClient
from tests.factories import Factory
from tests.mail import Mailbox, new_mailbox
from tests.waiting import until


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    mailbox = new_mailbox()
    async with mailbox.open():
        yield mailbox


@pytest.fixture
async def mailing(fresh: Pool, mailbox: Mailbox) -> AsyncIterator[ApiClient]:
    """A client of an application that has mail."""
    settings = load(
        environment="staging",
        secret_key=SECRET,
        rate_limits_enabled=False,
        response_check_rate=1,
        log_level="error",
        smtp_url=mailbox.url,
        public_url="https://app.example.com",
    )
    async with serving(settings, fresh) as api:
        yield api


async def ask(api: ApiClient, email: str = ADA, *, expect: int = 202) -> Answer:
    return await api.post("/auth/password-reset", {"email": email}, expect=expect)


async def wait_until_sent(fresh: Pool) -> None:
    async def is_empty() -> bool:
        return await fresh.fetch("SELECT FROM outbox", []) == []

    await until(is_empty, answer=True)


@pytest.mark.proves("ASVS 5.0 6.4.3", "Who lost the password has a link mailed, and sets another one by it")
async def test_a_link_comes_by_mail(mailing: ApiClient, mailbox: Mailbox, commit: Factory) -> None:
    await commit.user(email=ADA)

    answer = await ask(mailing)
    await mailbox.wait()

    assert answer.content == b""
    assert "https://app.example.com/reset-password#token=" in mailbox.text_to(ADA)
    await reset(mailing, mailbox.token_to(ADA))
    await sign_in(mailing, NEW)


@pytest.mark.proves("ASVS 5.0 6.3.8", "Whether an account has an address is told by no answer to a request for a link")
async def test_the_answer_is_the_same_whether_there_is_an_account(
    mailing: ApiClient, mailbox: Mailbox, commit: Factory, fresh: Pool
) -> None:
    await commit.user(email=ADA)
    await commit.user(email="eve@example.com", is_active=False)
    people = (ADA, "eve@example.com", "unknown@example.com")

    answers = [await ask(mailing, email) for email in people]
    await wait_until_sent(fresh)

    varying = {"x-request-id", "date"}
    told = [{name: value for name, value in one.headers.items() if name not in varying} for one in answers]
    assert told[0] == told[1] == told[2]
    assert mailbox.recipients == [ADA]


async def test_an_address_that_only_looks_like_it_gets_no_mail(
    mailing: ApiClient, mailbox: Mailbox, commit: Factory
) -> None:
    await commit.user(email=ADA)

    await ask(mailing, "ADA@Example.com")
    await mailbox.wait()

    assert mailbox.recipients == [ADA]


async def test_an_account_has_five_open_links(
    mailing: ApiClient, mailbox: Mailbox, commit: Factory, fresh: Pool
) -> None:
    ada = await commit.user(email=ADA)
    for _ in range(5):
        await commit.one_time_token(ada.id, email=ADA)
    await commit.one_time_token(ada.id)
    await ask(mailing)
    await wait_until_sent(fresh)
    assert mailbox.recipients == []

    await fresh.fetch("UPDATE one_time_tokens SET expires_at = $1", [datetime.now(UTC) - timedelta(seconds=1)])
    await ask(mailing)
    await mailbox.wait()
    assert mailbox.recipients == [ADA]


async def test_without_mail_nothing_is_kept(api: ApiClient, make: Factory) -> None:
    await make.user(email=ADA)

    await ask(api)

    assert await make.db.fetch("SELECT FROM outbox", []) == []


@pytest.mark.proves("ASVS 5.0 2.4.1", "An address is asked for five times an hour from a network")
@pytest.mark.usefixtures("still_window")
async def test_an_address_is_asked_for_five_times_an_hour_from_a_network(settings: Settings, fresh: Pool) -> None:
    chosen = settings.model_copy(update={"rate_limits_enabled": True})
    async with start_app(chosen, fresh) as app, client_of(app, chosen, "192.0.2.1") as one:
        for email in (ADA, ADA.upper(), ADA, ADA, ADA):
            await ask(one, email)
        assert (await ask(one, expect=429))["code"] == "rate_limit_exceeded"
        await ask(one, "eve@example.com")
        async with client_of(app, chosen, "198.51.100.7") as other:
            await ask(other)


async def test_an_account_that_a_superuser_makes_without_a_password_gets_a_link(
    mailing: ApiClient, mailbox: Mailbox, commit: Factory
) -> None:
    root = mailing.as_(await commit.user(is_superuser=True))
    await root.post("/users", {"email": ADA})
    await mailbox.wait()
    await sign_in(mailing, NEW, expect=401)

    await reset(mailing, mailbox.token_to(ADA))

    await sign_in(mailing, NEW)
