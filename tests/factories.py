"""Rows for tests. Say only what the test is about; the rest is filled in."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID, uuid4

from passlib.hash import bcrypt_sha256
from sqlalchemy import bindparam, insert

from generated.models import AuditAction, AuditActorType, AuditOutcome, AuditTargetType
from persistence.authorization import Caller
from persistence.engine.pool import Database
from persistence.engine.statements import Dialect
from persistence.queries.accounts.users import key, words
from persistence.queries.audit import Entry
from persistence.queries.due import end_of_day
from persistence.search.sorting import write_sort_key
from persistence.search.vectors import write_tagged_vector
from persistence.tables import (
    AccessToken,
    AuditLog,
    Invitation,
    Member,
    OneTimeToken,
    Organization,
    Row,
    SecondFactor,
    Session,
    Task,
    User,
)
from security.encryption import Encryption
from security.keys import Keys
from security.one_time_tokens import hash_token, make_token

NOW = datetime.now(UTC)
SEED = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"  # of every second factor
PASSWORD = "a pelican reads the timetable"  # of every account
ROLES = ("owner", "admin", "member")
WRITERS = ("owner", "admin")


@cache
def hashed_password() -> str:
    """The hash of PASSWORD, made once in a run."""
    hashed: str = bcrypt_sha256.using(rounds=12).hash(PASSWORD)
    return hashed


@dataclass(slots=True, unsafe_hash=True)
class SignedIn(Caller):
    """A caller in a session."""

    session_id: UUID


def deletion(by: Caller, task_id: UUID) -> Entry:
    """The audit log of the deletion of a task, whose organization is written with it."""
    return Entry(
        id=uuid4(),
        occurred_at=NOW,
        actor_type=AuditActorType.user,
        actor_id=by.id,
        action=AuditAction.task_deleted,
        outcome=AuditOutcome.success,
        reason=None,
        target_type=AuditTargetType.task,
        target_id=task_id,
        organization_id=None,
        session_id=None,
        access_token_id=None,
        ip_address=None,
        user_agent=None,
        request_id="the-request",
        changes=(),
    )


@cache
def insertion(table: type[Row], names: frozenset[str]) -> tuple[str, list[str]]:
    """The SQL that inserts a row with these columns, and the order in which it wants their values."""
    given: dict[str, Any] = {name: bindparam(f"given_{name}") for name in names}
    compiled: Any = insert(table).values(given).compile(dialect=Dialect())  # type: ignore[no-untyped-call]
    return str(compiled), [name.removeprefix("given_") for name in compiled.positiontup]


class Factory:
    """Makes rows in a database. What comes back is what a test goes on with: a Caller, or an id."""

    def __init__(self, db: Database) -> None:
        self.db = db

    async def row(self, table: type[Row], values: Mapping[str, Any]) -> None:
        """Insert a row; its moments are NOW where not given."""
        moments: dict[str, Any] = {"created_at": NOW, "updated_at": NOW}
        filled = {name: moment for name, moment in moments.items() if name in table.__table__.c} | dict(values)
        sql, order = insertion(table, frozenset(filled))
        await self.db.fetch(sql, [filled[name] for name in order])

    async def user(self, **values: Any) -> SignedIn:
        """An account with a personal organization and a live session: ready to call."""
        user_id = values.get("id", uuid4())
        account = {
            "email": f"{user_id.hex}@example.com",
            "username": None,
            "hashed_password": hashed_password(),
        } | values
        keys = {f"{name}_key": account[name] and key(account[name]) for name in ("email", "username")}
        if account.pop("email_verified", False):
            keys["verified_email_key"] = keys["email_key"]
        found_by = words(account["email"], account["username"], account.get("full_name"))
        await self.row(User, {"id": user_id, "words": found_by} | account | keys)
        await self.row(Organization, {"id": user_id, "kind": "personal", "name": "Personal"})
        await self.member(user_id, user_id, "owner")
        return SignedIn(user_id, await self.session(user_id), NOW)

    async def session(self, user_id: UUID, **values: Any) -> UUID:
        """A session that lives for a week, of somebody who has just signed in, however long the tests have run."""
        session_id = uuid4()
        moments = dict.fromkeys(("rotated_at", "created_at", "last_used_at"), NOW)
        moments["authenticated_at"] = datetime.now(UTC)
        await self.row(
            Session, {"id": session_id, "user_id": user_id, "expires_at": NOW + timedelta(days=7)} | moments | values
        )
        return session_id

    async def invitation(self, organization_id: UUID, *, token: str | None = None, **values: Any) -> UUID:
        """An open invitation, to an address if nothing else is said; `token` is that of its link."""
        invitation_id = uuid4()
        email = None if "user_id" in values else values.get("email", f"{invitation_id.hex}@example.com")
        invited = {"email": email, "email_key": email and key(email), "key": token and hash_token(token)}
        plain = {"id": invitation_id, "role": "member", "expires_at": datetime.now(UTC) + timedelta(days=14)}
        await self.row(Invitation, {"organization_id": organization_id} | plain | invited | values)
        return UUID(str(values.get("id", invitation_id)))

    async def one_time_token(self, user_id: UUID, *, token: str | None = None, **values: Any) -> str:
        """What stands behind the `#` of a link that sets a password, or of another purpose."""
        token = token or make_token()
        plain = {
            "purpose": "password_reset",
            "created_at": NOW,
            "expires_at": datetime.now(UTC) + timedelta(minutes=30),
        }
        await self.row(OneTimeToken, {"key": hash_token(token), "user_id": user_id} | plain | values)
        return token

    async def second_factor(self, user_id: UUID, secret_key: str, **values: Any) -> None:
        """A second factor of the seed SEED, which is asked for unless `confirmed_at` is None."""
        factor_id = uuid4()
        seed = Encryption(Keys(secret_key), "totp").encrypt(SEED.encode(), bound_to=factor_id.bytes)
        plain = {"id": factor_id, "user_id": user_id, "seed": seed, "confirmed_at": NOW} | values
        await self.row(SecondFactor, {"created_at": NOW} | plain)
        if plain["confirmed_at"] is not None:
            await self.db.fetch("UPDATE users SET mfa_enabled = true WHERE id = $1", [user_id])

    async def access_token(self, user_id: UUID, *scopes: str, **values: Any) -> UUID:
        """An access token that lives for a month, which none knows: `tests/access_tokens.py` has one that calls."""
        token_id = values.get("id", uuid4())
        moments = {"created_at": NOW, "expires_at": NOW + timedelta(days=30)}
        plain = {"id": token_id, "user_id": user_id, "name": "A program", "scopes": list(scopes)} | moments
        await self.row(AccessToken, plain | {"secret_hash": b""} | values)
        return UUID(str(token_id))

    async def organization(self, members: Mapping[str, str]) -> tuple[UUID, dict[str, SignedIn]]:
        """A team and its members, made by name and role: `organization({"ada": "owner", "bob": "member"})`."""
        people = {name: await self.user(username=f"{name}-{uuid4().hex[:8]}", full_name=name) for name in members}
        team_id = await self.team()
        for name, role in members.items():
            await self.member(team_id, people[name].id, role)
        return team_id, people

    async def team(self, **members: Caller) -> UUID:
        """A team, with a member for each role: `team(owner=ada, member=bob)`."""
        team_id = uuid4()
        await self.row(Organization, {"id": team_id, "kind": "team", "name": "Team", "slug": team_id.hex})
        for role, who in members.items():
            await self.member(team_id, who.id, role)
        return team_id

    async def member(self, organization_id: UUID, user_id: UUID, role: str) -> None:
        await self.row(Member, {"organization_id": organization_id, "user_id": user_id, "role": role})

    async def task(self, organization_id: UUID, author: Caller, **values: Any) -> UUID:
        """A pending task; one that is completed was so at NOW. `search_vector=None`: one of the release before."""
        task_id = uuid4()
        plain: dict[str, Any] = {"title": "A task", "status": "pending", "priority": "medium"} | values
        if plain["status"] == "completed":
            plain = {"completed_at": NOW} | plain
        vector = write_tagged_vector(organization_id, plain["title"], plain.get("description"))
        if plain.get("due_on"):
            plain = {"due_date": end_of_day(plain["due_on"])} | plain
        plain = {"search_vector": vector, "title_key": write_sort_key(plain["title"])} | plain
        await self.row(Task, {"organization_id": organization_id, "id": task_id, "user_id": author.id} | plain)
        return task_id

    async def audit_log(self, **values: Any) -> UUID:
        """What the system did at NOW, or the user that `actor_id` names."""
        audit_log_id = uuid4()
        plain: dict[str, Any] = {
            "id": audit_log_id,
            "occurred_at": NOW,
            "actor_type": "user" if values.get("actor_id") else "system",
            "action": "auth.registered",
            "outcome": "success",
            "request_id": "the-request",
            "changes": [],
        }
        await self.row(AuditLog, plain | values)
        return audit_log_id
