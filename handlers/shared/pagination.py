"""Lists as the contract answers them: a page, its cursor, the link to the next one."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus
from uuid import UUID

from pydantic import MISSING
from pydantic_core import to_json

from generated.operations import InvalidCursor
from persistence.engine.keyset import After, Page
from security import cursors
from security.cursors import Cursors


class Listing:
    """A list that somebody asked for: its path, its filters and its sort by parameter, and who asked."""

    def __init__(
        self, path: str, given: Mapping[str, Any], caller_id: UUID, meaning: Mapping[str, Any] | None = None
    ) -> None:
        self.path = path
        self.given = present(given)
        meant = present(given if meaning is None else meaning)
        self.scope = to_json([path, caller_id, {name: as_meant(meant[name]) for name in sorted(meant)}])
        """What its cursors are bound to: what was asked, however spelt. `meaning` says it where `given` does not."""

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

    def link(self, cursor: str | None, limit: int, **more: Any) -> str | None:
        """The value of `Link` (RFC 8288). `more` are parameters that a cursor is not bound to."""
        if cursor is None:
            return None
        again = [f"cursor={cursor}&limit={limit}"]
        for name, value in (*self.given.items(), *present(more).items()):
            again += [
                f"{name}={quote_plus(format_parameter(one))}" for one in (value if isinstance(value, list) else [value])
            ]
        return f'<{self.path}?{"&".join(again)}>; rel="next"'


def as_meant(value: Any) -> Any:
    """The value of a filter, the same for all that mean the same."""
    if isinstance(value, list):
        return sorted({str(one) for one in value})
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def present(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those that are not MISSING."""
    return {name: value for name, value in values.items() if value is not MISSING}


def format_parameter(value: Any) -> str:
    """The value of a parameter as the contract takes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, datetime) else str(value)


def body(page: Page, cursor: str | None) -> bytes:
    """A page as JSON."""
    more = b"true" if cursor else b"false"
    return b'{"items":%b,"next_cursor":%b,"has_more":%b}' % (page.items, to_json(cursor), more)


def counted_body(page: Page, cursor: str | None) -> bytes:
    """A page as JSON, of a list that can say how many items it has in all."""
    return b'%b,"total_count":%b}' % (body(page, cursor)[:-1], to_json(page.total))
