"""When something was last used, written for many at once."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Update, column, func, type_coerce, update
from sqlalchemy.dialects.postgresql import ARRAY

from persistence.tables import AccessToken, Session


def note_latest(table: type[AccessToken | Session], ids: Sequence[UUID], moments: Sequence[datetime]) -> Update:
    """The rows with these ids, used at the moment at the same place, unless it is known that they were later."""
    kinds = {"id": table.id.type, "moment": table.created_at.type}
    given = [type_coerce(values, ARRAY(kind)) for values, kind in zip((ids, moments), kinds.values(), strict=True)]
    columns = [column(name, kind) for name, kind in kinds.items()]
    used = func.unnest(*given).table_valued(*columns, name="used").render_derived()
    latest = func.greatest(table.last_used_at, used.c.moment)
    return update(table).where(table.id == used.c.id).values(last_used_at=latest)
