"""Accounts, their personal organizations, teams, memberships and audit logs as rows of the tables."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from generated.models import AuditAction
from persistence.queries.accounts.users import key, words
from scripts.seed.dice import Dice, uuid7
from scripts.seed.people import Membership, Person, Team

Rows = Iterator[dict[str, Any]]


def users(everybody: Sequence[Person], hashed_password: str) -> Rows:
    for person in everybody:
        user = person.user
        keys = {"email_key": user.email and key(user.email), "username_key": user.username and key(user.username)}
        found_by = words(user.email, user.username, user.full_name)
        keys["verified_email_key"] = keys["email_key"]
        stored = user.model_dump(exclude={"email_verified"})
        yield stored | keys | {"hashed_password": hashed_password, "words": found_by}


def personal(everybody: Sequence[Person]) -> Rows:
    for person in everybody:
        named = {"kind": "personal", "name": person.organization_name, "slug": None, "description": None}
        yield {"id": person.user.id, "version": 1} | named | since(person)


def owners(everybody: Sequence[Person]) -> Rows:
    for person in everybody:
        yield {"organization_id": person.user.id, "user_id": person.user.id, "role": "owner", "version": 1} | since(
            person
        )


def teams(together: Sequence[Team]) -> Rows:
    for team in together:
        names = ("id", "name", "slug", "description", "version", "created_at", "updated_at")
        yield {name: getattr(team, name) for name in names} | {"kind": "team"}


def members(together: Sequence[Team]) -> Rows:
    for team in together:
        for member in team.members:
            yield {"organization_id": team.id} | asdict(member)


def audit_logs(together: Sequence[Team]) -> Rows:
    """Who founded the teams, and the members that the founders added and promoted."""
    for team in together:
        founder = next(member for member in team.members if member.created_at == team.created_at)
        yield audit_row(AuditAction.organization_created, team, founder, founder, team.created_at)
        for member in team.members:
            if member is not founder:
                yield audit_row(AuditAction.organization_member_added, team, founder, member, member.created_at)
            if member.version > 1:
                yield audit_row(AuditAction.organization_member_updated, team, founder, member, member.updated_at)


def audit_row(
    action: AuditAction, team: Team, actor: Membership, member: Membership, moment: datetime
) -> dict[str, Any]:
    """What the actor did to the team, or to a member of it."""
    to_team = action == AuditAction.organization_created
    audit_log_id = uuid7(moment, Dice("audit", action.value, team.id, member.user_id).tail())
    return {
        "id": audit_log_id,
        "occurred_at": moment,
        "actor_type": "user",
        "actor_id": actor.user_id,
        "action": action.value,
        "outcome": "success",
        "target_type": "organization" if to_team else "user",
        "target_id": team.id if to_team else member.user_id,
        "organization_id": team.id,
        "request_id": audit_log_id.hex,
        "changes": [] if to_team else ["role"],
        **dict.fromkeys(("reason", "session_id", "ip_address", "user_agent")),
    }


def since(person: Person) -> dict[str, datetime]:
    return {"created_at": person.user.created_at, "updated_at": person.user.created_at}
