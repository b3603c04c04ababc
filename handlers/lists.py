"""Lists as the contract answers them: a page, its cursor, the link to the next one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from pydantic import MISSING
from pydantic_core import to_json

from generated.operations import InvalidCursor
from persistence.pages import After, Page
from security import cursors
from security.cursors import Cursors


@dataclass(frozen=True, slots=True)
class Listing:
    """A list that somebody asked for: its path, its filters and its sort by parameter, and who asked."""

    path: str
    given: Mapping[str, Any]
    caller_id: UUID

    def after(self, cursor: str | MISSING, sealer: Cursors) -> After | MISSING:
        """Where a cursor says that the page begins. Raises InvalidCursor when it belongs to another list."""
        if cursor is MISSING:
            return MISSING
        try:
            position = sealer.open(cursor, self.scope)
        except cursors.InvalidCursor:
            raise InvalidCursor from None
        return After(*position)

    def cursor(self, page: Page, sealer: Cursors) -> str | None:
        """The cursor of the page that follows, if one does."""
        after = page.following
        return None if after is None else sealer.seal((after.key, after.id), self.scope)

    def link(self, cursor: str | None, limit: int) -> str | None:
        """The value of `Link` (RFC 8288)."""
        if cursor is None:
            return None
        again = [("cursor", cursor), ("limit", str(limit))]
        for name, value in self.given.items():
            if value is not MISSING:
                again += [(name, written(one)) for one in (value if isinstance(value, list) else [value])]
        return f'<{self.path}?{urlencode(again)}>; rel="next"'

    @property
    def scope(self) -> bytes:
        """What its cursors are bound to."""
        given = [(name, value) for name, value in self.given.items() if value is not MISSING]
        return to_json([self.path, self.caller_id, given])


def written(value: Any) -> str:
    """The value of a parameter as the contract takes it."""
    return value.isoformat() if isinstance(value, datetime) else str(value)


def body(page: Page, cursor: str | None) -> bytes:
    """A page as JSON."""
    more = b"true" if cursor else b"false"
    return b'{"items":%b,"next_cursor":%b,"has_more":%b}' % (page.items, to_json(cursor), more)
