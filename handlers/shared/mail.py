"""Mails that handlers ask for: rows of the outbox, in the transaction of what causes them."""

from uuid import UUID

from uuid_utils.compat import uuid7

from generated.operations import TooManyRequests
from handlers.shared.call import Call, PublicCall
from persistence.engine.pool import Database
from persistence.queries import outbox
from persistence.queries.accounts.users import key
from persistence.queries.outbox import NewMail
from security.networks import SITE, network_of


async def count_mail(call: PublicCall, recipient: str) -> None:
    """Count a mail by its recipient and who asks for it. Raises TooManyRequests.

    Who has no account is told by the network. What others ask for does not count, so that none can keep mails from
    somebody else, and whether there is an account for the recipient neither.
    """
    if not call.process.mail.is_written:
        return
    asker = call.caller.id if isinstance(call, Call) else network_of(call.client.address, SITE)
    wait = await call.process.mail.admit(f"{key(recipient)} {asker}")
    if wait > 0:
        detail = f"There were many mails for this recipient already. Try again in {wait} seconds."
        raise TooManyRequests("rate_limit_exceeded", detail, retry_after=wait)


async def post(db: Database, call: PublicCall, kind: str, recipient: str, *, subject_id: UUID | None = None) -> None:
    """Have a mail sent once the transaction is committed, where mails are written.

    It is written when it is sent, by what is known then: the links in it are made then, and so is the choice what to
    say of an address that has an account or none. To ask for it is the same for both.
    """
    if call.process.mail.is_written:
        await outbox.insert(db, NewMail(uuid7(), kind, recipient, subject_id))
        call.process.mail.wake()
