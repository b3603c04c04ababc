"""The delivery loop: what waits is sent once, by whichever process, and nothing is lost while a mail server is away."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from email import message_from_bytes
from email.policy import SMTP
from io import StringIO
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from asyncpg import Record
from uuid_utils.compat import uuid7

from persistence.engine.pool import Database, Pool
from persistence.queries import outbox
from persistence.queries.outbox import ClaimedMail, NewMail, Waiting
from server.delivery import delivery, letters
from server.delivery.carriers import Carrier, FolderCarrier
from server.delivery.delivery import Delivery, carrier_of, pause_after
from server.delivery.letters import Desk, Letter
from server.delivery.rendering import quote_name, render
from server.observability import logs
from server.settings.loading import load
from tests.mail import Mailbox, new_mailbox
from tests.waiting import until

Logged: TypeAlias = Callable[[], list[dict[str, Any]]]
NONE_WAIT = Waiting(0, 0.0, None)


class Counted:
    """A database that counts its statements."""

    def __init__(self, db: Database) -> None:
        self.db, self.statements = db, 0

    async def fetch(self, sql: str, values: Sequence[object]) -> list[Record]:
        self.statements += 1
        return await self.db.fetch(sql, values)

    def transaction(self) -> Any:
        return self.db.transaction()


@pytest.fixture
def mailbox() -> Mailbox:
    return new_mailbox()


@pytest.fixture
def logged() -> Logged:
    """What is logged, line by line."""
    text = StringIO()
    logs.configure(level="info", form="json", out=text)
    return lambda: [json.loads(line) for line in text.getvalue().splitlines()]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses are short, for tests that wait for the attempt after."""
    monkeypatch.setattr(delivery, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(delivery, "FIRST_PAUSE", 0.01)


def carrier_to(mailbox: Mailbox) -> Carrier:
    carrier = carrier_of(load(environment="staging", secret_key="k" * 32, smtp_url=mailbox.url, public_url="https://a"))
    assert carrier is not None
    return carrier


def sender_of(
    db: Database, carrier: Carrier, counts: Counter[str] | None = None, folder: Path | None = None
) -> Delivery:
    counted = Counter[str]() if counts is None else counts

    def count(outcome: str) -> None:
        counted[outcome] += 1

    return Delivery(db, carrier, "https://app.example.com", "Docket <docket@example.com>", count=count, folder=folder)


async def put(db: Database, *recipients: str, kind: str = "test") -> None:
    for recipient in recipients:
        await outbox.insert(db, NewMail(uuid7(), kind, recipient, None))


async def is_empty(db: Database) -> bool:
    return (await outbox.measure(db)).mails == 0


async def test_a_mail_is_sent_as_text_and_html_and_is_gone(fresh: Pool, mailbox: Mailbox) -> None:
    counts = Counter[str]()
    await put(fresh, "ada@example.com")
    async with mailbox.open():
        assert await sender_of(fresh, carrier_to(mailbox), counts).send_some() == 1

    [(recipient, message)] = mailbox.taken
    assert (recipient, message["To"]) == ("ada@example.com", "ada@example.com")
    assert (message["From"], message["Subject"]) == ("Docket <docket@example.com>", "Docket can send mail")
    assert message["Auto-Submitted"] == "auto-generated"
    parts = {part.get_content_type(): part.get_content() for part in message.iter_parts()}
    assert set(parts) == {"text/plain", "text/html"}
    assert all("https://app.example.com" in content for content in parts.values())
    assert await outbox.measure(fresh) == NONE_WAIT
    assert counts == {"sent": 1}


@pytest.mark.usefixtures("quick")
async def test_a_mail_server_that_is_down_loses_nothing(fresh: Pool, mailbox: Mailbox) -> None:
    counts = Counter[str]()
    everybody = [f"user{number}@example.com" for number in range(12)]
    await put(fresh, *everybody)
    async with sender_of(fresh, carrier_to(mailbox), counts).running():

        async def have_failed() -> bool:
            return counts["postponed"] >= 2 * len(everybody)

        await until(have_failed, answer=True)
        waiting = await outbox.measure(fresh)
        async with mailbox.open():
            await until(lambda: is_empty(fresh), answer=True)

    assert (waiting.mails, waiting.problem) == (12, "SMTPConnectError")
    assert sorted(mailbox.recipients) == sorted(everybody)
    assert counts["sent"] == 12


@pytest.mark.usefixtures("quick")
async def test_several_processes_send_each_mail_once(fresh: Pool, mailbox: Mailbox) -> None:
    everybody = [f"user{number}@example.com" for number in range(40)]
    await put(fresh, *everybody)
    carrier = carrier_to(mailbox)
    async with (
        mailbox.open(),
        sender_of(fresh, carrier).running(),
        sender_of(fresh, carrier).running(),
        sender_of(fresh, carrier).running(),
    ):
        await until(lambda: is_empty(fresh), answer=True)

    assert Counter(mailbox.recipients) == Counter(everybody)


async def test_what_a_dead_process_claimed_is_sent_when_its_lease_is_over(fresh: Pool, mailbox: Mailbox) -> None:
    await put(fresh, "ada@example.com")
    [claimed] = await outbox.claim(fresh, 5, lease=timedelta(0), longest=delivery.LONGEST)
    async with mailbox.open():
        assert await sender_of(fresh, carrier_to(mailbox)).send_some() == 1

    assert claimed.attempts == 1
    assert not await outbox.delete(fresh, claimed.id, attempts=1)  # which the dead one, were it alive, might try
    assert not await outbox.postpone(fresh, claimed.id, attempts=1, pause=timedelta(0), problem="late")
    assert mailbox.recipients == ["ada@example.com"]


async def test_what_is_claimed_no_one_else_claims(fresh: Pool) -> None:
    await put(fresh, *[f"user{number}@example.com" for number in range(7)])
    found = [await outbox.claim(fresh, 5, lease=delivery.LEASE, longest=delivery.LONGEST) for _ in range(3)]

    assert [len(claimed) for claimed in found] == [5, 2, 0]
    assert len({mail.id for claimed in found for mail in claimed}) == 7


async def test_a_refused_recipient_is_given_up_and_others_are_not(
    fresh: Pool, mailbox: Mailbox, logged: Logged
) -> None:
    counts = Counter[str]()
    sender = sender_of(fresh, carrier_to(mailbox), counts)
    async with mailbox.open():
        mailbox.refusal = "550 No such user ada@example.com"
        await put(fresh, "ada@example.com")
        await sender.send_some()
        assert await is_empty(fresh)
        mailbox.refusal = "450 Greylisted"
        await put(fresh, "bob@example.com")
        await sender.send_some()

    assert (await outbox.measure(fresh))[::2] == (1, "SMTPRecipientsRefused 450")
    assert counts == {"given_up": 1, "postponed": 1}
    told = [line for line in logged() if line["event"].startswith("mail_")]
    assert [line["event"] for line in told] == ["mail_given_up", "mail_postponed"]
    assert "@example.com" not in str(told)


async def test_a_mail_is_given_up_after_five_days(fresh: Pool, mailbox: Mailbox) -> None:
    counts = Counter[str]()
    sender = sender_of(fresh, carrier_to(mailbox), counts)
    await put(fresh, "ada@example.com", "bob@example.com")
    aged = "UPDATE outbox SET created_at = now() - interval '5 days' WHERE recipient = 'ada@example.com'"
    await fresh.fetch(aged, [])
    await sender.send_some()

    assert counts == {"given_up": 1, "postponed": 1}
    assert [row["recipient"] for row in await fresh.fetch("SELECT recipient FROM outbox", [])] == ["bob@example.com"]


async def test_a_mail_with_nothing_to_say_is_dropped(
    fresh: Pool, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def write_nothing(_desk: Desk, _mail: ClaimedMail) -> Letter | None:
        return None

    monkeypatch.setitem(letters.WRITERS, "nothing", write_nothing)
    counts = Counter[str]()
    await put(fresh, "ada@example.com", kind="nothing")
    async with mailbox.open():
        await sender_of(fresh, carrier_to(mailbox), counts).send_some()

    assert (counts, mailbox.taken, await is_empty(fresh)) == ({"dropped": 1}, [], True)


async def test_a_mail_that_cannot_be_written_stops_no_other(fresh: Pool, mailbox: Mailbox, logged: Logged) -> None:
    await put(fresh, "ada@example.com", kind="of_a_later_release")
    await put(fresh, "bob@example.com")
    async with mailbox.open():
        await sender_of(fresh, carrier_to(mailbox)).send_some()

    assert mailbox.recipients == ["bob@example.com"]
    assert (await outbox.measure(fresh))[::2] == (1, "KeyError")
    assert "mail_failed" in [line["event"] for line in logged()]


async def test_with_nothing_to_do_it_is_one_statement_each_time(
    fresh: Pool, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = asyncio.Semaphore(0)
    counted = Counted(fresh)
    sender = sender_of(counted, carrier_to(mailbox))

    async def rest() -> None:
        looks.release()
        await asyncio.sleep(0)

    monkeypatch.setattr(sender, "rest", rest)
    async with sender.running():
        for _ in range(20):
            await looks.acquire()
        looked = counted.statements

    assert delivery.LOOK_SECONDS == 5
    assert 20 <= looked <= 21


async def test_of_the_workers_of_an_instance_one_looks(fresh: Pool, mailbox: Mailbox, tmp_path: Path) -> None:
    first, second = Counted(fresh), Counted(fresh)
    one = sender_of(first, carrier_to(mailbox), folder=tmp_path)
    other = sender_of(second, carrier_to(mailbox), folder=tmp_path)

    async def looks(of: Counted) -> bool:
        return of.statements > 0

    async with one.running():
        await until(lambda: looks(first), answer=True)
        async with other.running():
            other.wake()
            await put(fresh, "ada@example.com")
            one.wake()
            async with mailbox.open():
                await mailbox.wait()
            assert second.statements == 0


@pytest.mark.usefixtures("quick")
async def test_another_worker_takes_over_when_the_one_is_gone(fresh: Pool, mailbox: Mailbox, tmp_path: Path) -> None:
    carrier = carrier_to(mailbox)
    async with mailbox.open(), sender_of(fresh, carrier, folder=tmp_path).running():
        await put(fresh, "ada@example.com")
        await until(lambda: is_empty(fresh), answer=True)
    async with mailbox.open(), sender_of(fresh, carrier, folder=tmp_path).running():
        await put(fresh, "bob@example.com")
        await until(lambda: is_empty(fresh), answer=True)

    assert mailbox.recipients == ["ada@example.com", "bob@example.com"]


async def test_who_is_woken_looks_at_once(fresh: Pool, mailbox: Mailbox) -> None:
    counted = Counted(fresh)
    sender = sender_of(counted, carrier_to(mailbox))

    async def has_looked() -> bool:
        return counted.statements > 0

    async with mailbox.open(), sender.running():
        await until(has_looked, answer=True)
        await put(fresh, "ada@example.com")
        sender.wake()
        async with asyncio.timeout(delivery.LOOK_SECONDS - 0.5):
            await mailbox.wait()


async def test_development_writes_mails_into_files(fresh: Pool, tmp_path: Path, logged: Logged) -> None:
    carrier = carrier_of(load(data_dir=tmp_path / "data"))
    assert isinstance(carrier, FolderCarrier)
    await put(fresh, "ada@example.com")
    await carrier.look()
    await sender_of(fresh, carrier).send_some()

    [file] = (tmp_path / "data" / "mail").iterdir()
    message = message_from_bytes(file.read_bytes(), policy=SMTP)
    assert (message["To"], file.stat().st_mode & 0o777) == ("ada@example.com", 0o600)
    assert await is_empty(fresh)
    assert {"event": "mail_written", "file": str(file)}.items() <= next(
        line for line in logged() if line["event"] == "mail_written"
    ).items()


def test_without_a_mail_server_there_is_no_carrier_but_in_development() -> None:
    assert carrier_of(load(environment="staging", secret_key="k" * 32)) is None


@pytest.mark.parametrize("attempts", [1, 2, 8, 400])
def test_pauses_grow_to_an_hour(attempts: int) -> None:
    longest = {1: 5, 2: 7.5, 8: 85.4, 400: 3600}[attempts]

    assert 0.8 * longest <= pause_after(attempts).total_seconds() <= longest + 0.1


def test_a_lease_is_longer_than_an_attempt() -> None:
    assert delivery.LEASE.total_seconds() > delivery.SEND_SECONDS


def test_what_is_filled_in_is_no_markup_and_no_header(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "greeting.txt").write_text("Subject: $name asks\n\nDear $name\n")
    (tmp_path / "greeting.html").write_text("<p>Dear $name</p>\n")
    monkeypatch.setattr("server.delivery.rendering.FOLDER", tmp_path)
    message = render(
        "greeting",
        {"name": "<b>Ada</b> & Zoë"},
        mail_id=uuid7(),
        sender="docket@example.com",
        recipient='"a, b"@example.com',
        domain="example.com",
    )

    html, text = message.get_body(("html",)), message.get_body(("plain",))
    assert html is not None
    assert text is not None
    assert html.get_content() == "<p>Dear &lt;b&gt;Ada&lt;/b&gt; &amp; Zoë</p>\n"
    assert text.get_content() == "Dear <b>Ada</b> & Zoë\n"
    assert [address.addr_spec for address in message["To"].addresses] == ['"a, b"@example.com']


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("Moth hunters", "Moth hunters"),
        ("Dr. No", "Dr. No"),
        ("You won at https://evil.example/now", "You won at https: evil example/now"),
        ("moths。example ➡.ws moths..example Inc.", "moths example ➡ ws moths. example Inc."),
        ("=?utf-8?q?evil=2Eexample?=", "= ?utf-8?q?evil=2Eexample?="),
        ("x" * 300, "x" * 100),
    ],
)
def test_what_people_name_is_no_link(name: str, quoted: str) -> None:
    assert quote_name(name) == quoted
