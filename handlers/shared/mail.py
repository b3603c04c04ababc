"""Mails that handlers ask for: rows of the outbox, in the transaction of what causes them."""

from uuid import UUID

from uuid_utils.compat import uuid7

from handlers.shared.call import PublicCall
from persistence.engine.pool import Database
from persistence.queries import outbox
from persistence.queries.outbox import NewMail


async def post(db: Database, call: PublicCall, kind: str, recipient: str, *, subject_id: UUID | None = None) -> None:
    """Have a mail sent once the transaction is committed, where mails are written.

    It is written when it is sent, by what is known then: the links in it are made then, and so is the choice what to
    say of an address that has an account or none. To ask for it is the same for both.
    """
    if call.process.mail.is_written:
        await outbox.insert(db, NewMail(uuid7(), kind, recipient, subject_id))
        call.process.mail.wake()
