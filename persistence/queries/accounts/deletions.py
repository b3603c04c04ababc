"""Queries that delete an account, which is held, and take it out of its teams: what it wrote there stays."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import delete as delete_from
from sqlalchemy import exists, func, null, select, tuple_
from sqlalchemy import update as update_of
from sqlalchemy.orm import aliased

from persistence.engine.statements import Sql, one_of, query
from persistence.tables import Member, Organization, Task, User

BATCH = 2000  # tasks; to change one writes a dozen indexes


@query(lambda _: None)
def hold(user_id: UUID) -> Sql:
    """Nothing refers to the account anew before the transaction ends: no membership, no task."""
    return select(User.id).where(User.id == user_id).with_for_update()


@query(lambda records: [record["id"] for record in records])
def hold_teams(user_id: UUID) -> Sql:
    """The ids of the user's teams, locked: their members stay as they are until the transaction ends."""
    teams = select(Organization.id).join(Member).where(Member.user_id == user_id, Organization.kind == "team")
    return teams.order_by(Organization.id).with_for_update(of=Organization, key_share=True)


@query(bool)
def is_sole_owner(user_id: UUID) -> Sql:
    """Whether a team has no other owner."""
    other = aliased(Member)
    another = exists().where(
        other.organization_id == Member.organization_id, other.role == "owner", other.user_id != user_id
    )
    teams = select(Organization.id).join(Member).where(Organization.kind == "team")
    return teams.where(Member.user_id == user_id, Member.role == "owner", ~another).limit(1)


@query(lambda records: [record["id"] for record in records])
def leave_teams(user_id: UUID, teams: Sequence[UUID]) -> Sql:
    """Those of the teams, which are held, that have a member less. Waits for what the user writes there just now."""
    theirs = Member.user_id == user_id, one_of(Member.organization_id, teams)
    left = delete_from(Member).where(*theirs).returning(Member.organization_id).cte("left")
    here = Organization.id.in_(select(left.c.organization_id))
    return update_of(Organization).where(here).values(next_version(Organization)).returning(Organization.id)


@query(len)
def leave_tasks(user_id: UUID) -> Sql:
    """How many tasks in teams have no author any more, which changes them: some of those that are left."""
    some = select(Task.organization_id, Task.id).where(Task.user_id == user_id, Task.organization_id != user_id)
    here = tuple_(Task.organization_id, Task.id).in_(some.limit(BATCH))
    return update_of(Task).where(here).values(next_version(Task) | {"user_id": null()}).returning(Task.id)


def next_version(table: type[Organization | Task]) -> dict[str, Any]:
    """The next version, as of when the row is written; it never goes back."""
    return {"version": table.version + 1, "updated_at": func.greatest(table.updated_at, func.clock_timestamp())}


@query(lambda _: None)
def delete(user_id: UUID) -> Sql:
    """The account, with its sessions, identities and memberships."""
    return delete_from(User).where(User.id == user_id)
