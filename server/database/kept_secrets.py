"""Which key each secret needs that is kept encrypted, and how all of them come to need SECRET_KEY alone."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.orm import InstrumentedAttribute

from persistence.engine.pool import Database
from persistence.queries import kept_secrets
from persistence.queries.kept_secrets import KeptSecret
from persistence.tables import SecondFactor
from security.encryption import Encryption, Unreadable
from security.keys import Keys, Label

KEPT: dict[Label, InstrumentedAttribute[bytes]] = {"totp": SecondFactor.seed}
"""The columns of what is encrypted, by its use; each secret is bound to the id of its row."""
FIRST = UUID(int=0)


@dataclass(slots=True)
class Tally:
    """How many secrets a table has, and which key they need."""

    table: str
    secrets: int = 0
    outdated: int = 0
    """What only the key before SECRET_KEY reads."""
    renewed: int = 0
    """How many of those were encrypted by SECRET_KEY."""
    unreadable: int = 0
    """What neither reads."""


async def examine(db: Database, keys: Keys, *, rewrites: bool = False) -> AsyncIterator[Tally]:
    """Look at every secret. `rewrites`: what only the key before reads is encrypted by the key of today."""
    for label, column in KEPT.items():
        encryption, tally = Encryption(keys, label), Tally(column.class_.__tablename__)
        batch = await kept_secrets.list_batch(db, column, after=FIRST)
        while batch:
            renewed = renew(encryption, batch, tally)
            if renewed and rewrites:
                before = [kept.encrypted for kept in batch if kept.id in renewed]
                ids, anew = list(renewed), list(renewed.values())
                tally.renewed += await kept_secrets.replace_batch(db, column, ids=ids, before=before, anew=anew)
            batch = await kept_secrets.list_batch(db, column, after=batch[-1].id)
        yield tally


def renew(encryption: Encryption, batch: list[KeptSecret], tally: Tally) -> dict[UUID, bytes]:
    """Those of the batch that the key before encrypted, as the key of today encrypts them. All are counted."""
    renewed: dict[UUID, bytes] = {}
    for kept in batch:
        tally.secrets += 1
        try:
            secret, is_outdated = encryption.decrypt(kept.encrypted, bound_to=kept.id.bytes)
        except Unreadable:
            tally.unreadable += 1
            continue
        if is_outdated:
            tally.outdated += 1
            renewed[kept.id] = encryption.encrypt(secret, bound_to=kept.id.bytes)
    return renewed
