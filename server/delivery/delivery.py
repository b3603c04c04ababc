"""The delivery loop: claims what is due, sends it, and tries again later what was not taken."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from datetime import timedelta
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TypeAlias

import structlog

from handlers.shared.call import Mail
from persistence.engine.pool import AWAY, Database
from persistence.queries import outbox
from persistence.queries.outbox import ClaimedMail
from server.delivery.carriers import Carrier, Failed, FolderCarrier, Refused
from server.delivery.letters import WRITERS, Desk
from server.delivery.rendering import render
from server.observability.shared_metrics import lock_file
from server.settings.settings import Settings

LOOK_SECONDS = 5.0  # between two looks when there is nothing to do
COMMIT_SECONDS = 0.1  # after which what woke us is committed, mostly
AT_ONCE = 5  # mails
SEND_SECONDS = 40.0  # for one mail
LEASE = timedelta(seconds=60)  # for which a claimed mail is ours; longer than it takes
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 3600.0  # seconds between two attempts
LONGEST = timedelta(days=5)  # for which a mail is tried (RFC 5321, 4.5.4.1)
DELETIONS = 10  # attempts to delete what was sent, with a second between two
GRACE_SECONDS = 5.0  # for mails under way when the process ends
log = structlog.get_logger("delivery")


Count: TypeAlias = Callable[[str], object]
"""Counts what became of a mail."""


class Delivery:
    """Sends mails from the outbox of a database.

    Of several processes with one `folder`, which an instance has for its workers, one sends at a time.
    """

    def __init__(
        self,
        db: Database,
        carrier: Carrier,
        public_url: str,
        sender: str,
        *,
        count: Count = lambda _: None,
        folder: Path | None = None,
    ) -> None:
        self.db, self.carrier, self.public_url, self.sender = db, carrier, public_url, sender
        self.count, self.folder = count, folder
        self.woken, self.is_ending = asyncio.Event(), asyncio.Event()

    def wake(self) -> None:
        """Look soon, for there may be a mail."""
        self.woken.set()

    async def run(self) -> None:
        """Send what comes, until told to end."""
        with ExitStack() as turn:
            while not self.is_ending.is_set() and not self.take_turn(turn):
                await self.rest()
            while not self.is_ending.is_set():
                if not await self.send_some():
                    await self.rest()

    def take_turn(self, turn: ExitStack) -> bool:
        """Whether it is the turn of this process, which then lasts as long as the process or `turn`."""
        if self.folder is None:
            return True
        file = self.folder / "delivery"
        try:
            file.touch()
            turn.enter_context(lock_file(file))
        except OSError:
            return False
        return True

    async def rest(self) -> None:
        """Wait until it is time to look again, or woken."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await self.woken.wait()
        if self.woken.is_set() and not self.is_ending.is_set():
            self.woken.clear()
            await asyncio.sleep(COMMIT_SECONDS)

    async def send_some(self) -> int:
        """Send what is due, as far as it is bounded. What comes back is how many were tried."""
        began = monotonic()
        try:
            claimed = await outbox.claim(self.db, AT_ONCE, lease=LEASE, longest=LONGEST)
        except AWAY as error:
            log.warning("outbox_unread", reason=type(error).__name__)
            return 0
        await asyncio.gather(*[self.send(mail, began) for mail in claimed])
        return len(claimed)

    async def send(self, mail: ClaimedMail, began: float) -> None:
        """Send a mail that was claimed at `began`, and write down what became of it."""
        try:
            async with asyncio.timeout(SEND_SECONDS):
                sent = await self.carrier.carry(partial(self.compose, mail, began))
        except Failed as error:
            await self.fail(mail, str(error), is_final=isinstance(error, Refused))
        except AWAY as error:  # a timeout, too: whether it was taken is not known
            await self.fail(mail, "it took too long" if isinstance(error, TimeoutError) else type(error).__name__)
        except Exception as error:
            log.exception("mail_failed", **about(mail))
            await self.fail(mail, type(error).__name__)
        else:
            await self.forget(mail)
            self.count("sent" if sent else "dropped")
            if sent:
                log.info("mail_sent", **about(mail))
            else:
                log.info("mail_dropped", **about(mail))

    async def forget(self, mail: ClaimedMail) -> None:
        """Delete a mail that was sent: it is tried hard, or the mail is sent again."""
        for _ in range(DELETIONS):
            with suppress(*AWAY):
                await outbox.delete(self.db, mail.id, attempts=mail.attempts)
                return
            await asyncio.sleep(1)

    async def compose(self, mail: ClaimedMail, began: float) -> EmailMessage | None:
        """The mail, as it is to be sent now. None: it says nothing any more, or is not ours any more."""
        if monotonic() - began > LEASE.seconds - SEND_SECONDS:
            raise Failed("the process stood still")
        async with self.db.transaction() as db:
            letter = await WRITERS[mail.kind](Desk(db, self.public_url), mail)
        if letter is None:
            return None
        domain = self.sender.rpartition("@")[2].rstrip(">")
        return render(
            letter.template,
            letter.values,
            mail_id=mail.id,
            sender=self.sender,
            recipient=letter.to or mail.recipient,
            domain=domain,
        )

    async def fail(self, mail: ClaimedMail, problem: str, *, is_final: bool = False) -> None:
        """Try a mail again later, or give it up, and tell. Where the database is away it is tried after its lease."""
        with suppress(*AWAY):
            if is_final or mail.is_old:
                await outbox.delete(self.db, mail.id, attempts=mail.attempts)
                self.count("given_up")
                log.error("mail_given_up", reason=problem, **about(mail))
                return
            await outbox.postpone(
                self.db, mail.id, attempts=mail.attempts, pause=pause_after(mail.attempts), problem=problem[:200]
            )
        self.count("postponed")
        log.warning("mail_postponed", reason=problem, **about(mail))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send beside all else, until the context ends; what is under way then has a moment to end."""
        task = asyncio.create_task(self.run())
        try:
            yield
        finally:
            self.is_ending.set()
            self.woken.set()
            await asyncio.wait([task], timeout=GRACE_SECONDS)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def about(mail: ClaimedMail) -> dict[str, str | int]:
    """What logs tell of a mail: not its recipient."""
    return {"kind": mail.kind, "mail_id": str(mail.id), "attempts": mail.attempts}


def pause_after(attempts: int) -> timedelta:
    """How long to wait after so many attempts: half as long again each time, and not for all mails the same."""
    seconds = min(FIRST_PAUSE * 1.5 ** min(attempts - 1, 20), LONGEST_PAUSE)
    return timedelta(seconds=seconds * random.uniform(0.8, 1.0))  # noqa: S311 - jitter, no secret


def carrier_of(settings: Settings) -> Carrier | None:
    """What takes mails away, where there is any."""
    if settings.mail_server is not None:
        from server.delivery.smtp import SmtpCarrier  # noqa: PLC0415 - most servers do without

        name = settings.base_of_links.partition("://")[2].partition("/")[0].partition(":")[0]
        return SmtpCarrier(settings.mail_server, settings.sender, name)
    return FolderCarrier(settings.data_dir / "mail") if settings.is_development else None


@asynccontextmanager
async def delivering(settings: Settings, db: Database, mail: Mail, count: Count) -> AsyncIterator[None]:
    """Send mails beside all else, where there is mail and it is ours to send."""
    carrier = carrier_of(settings)
    if carrier is None or settings.delivery == "off":
        yield
        return
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    place = Path(folder) if folder else None
    delivery = Delivery(db, carrier, settings.base_of_links, settings.sender, count=count, folder=place)
    mail.wake = delivery.wake
    async with delivery.running():
        yield
