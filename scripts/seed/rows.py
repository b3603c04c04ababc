"""Accounts, their personal organizations, teams and memberships as rows of the tables."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from persistence.users import key
from scripts.seed.people import Person, Team

Rows = Iterator[dict[str, Any]]


def users(everybody: Sequence[Person], hashed_password: str) -> Rows:
    for person in everybody:
        user = person.user
        keys = {"email_key": user.email and key(user.email), "username_key": user.username and key(user.username)}
        yield user.model_dump() | keys | {"hashed_password": hashed_password}


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


def since(person: Person) -> dict[str, datetime]:
    return {"created_at": person.user.created_at, "updated_at": person.user.created_at}
