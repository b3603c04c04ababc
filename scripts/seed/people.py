"""Who is in the demo data: the accounts, and the teams that the first of them make up."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from generated import models
from scripts.seed.dice import Dice, uuid7
from scripts.seed.language import Language, Name, any_language, languages

DOMAIN = "docket.example"
DEMO = f"demo@{DOMAIN}"
PASSWORD = "seven lanterns over the harbour"  # noqa: S105 - everybody is told it
AGE = timedelta(days=900)  # of the first account
FOUNDED = timedelta(days=380)  # ago; nobody joined later than 400 days ago, no task is older than a year
ACTIVE = 9  # the first accounts, who own and administer the teams, are all active
STAFF = 24  # as many accounts are in a team


@dataclass(frozen=True, slots=True)
class Person:
    """An account, and the language it writes in; None: now one, now another."""

    user: models.User
    language: Language | None

    @property
    def organization_name(self) -> str:
        return self.user.full_name or self.user.username or str(self.user.email).partition("@")[0]


@dataclass(frozen=True, slots=True)
class Membership:
    """Somebody's role in a team."""

    user_id: UUID
    role: str
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Team:
    """A team, and the language it writes in; None: now one, now another."""

    id: UUID
    name: str
    slug: str
    description: str | None
    language: Language | None
    members: Sequence[Membership]
    created_at: datetime

    @property
    def version(self) -> int:
        """It grows with every change of the members but the first, who founded the team."""
        return sum(member.version for member in self.members)

    @property
    def updated_at(self) -> datetime:
        return max(member.updated_at for member in self.members)

    @property
    def writers(self) -> list[UUID]:
        return [member.user_id for member in self.members if member.role != "member"]


TEAMS = (
    ("Harbour Street Bakery", "harbour-street-bakery", "Two shops, one oven, eleven people.", "english"),
    ("Atelier Lumière", "atelier-lumiere", "Photographie, mise en page, impression.", "french"),
    ("Open Atlas", "open-atlas", None, None),
)


def people(seed: int, now: datetime, count: int) -> list[Person]:
    """The first `count` accounts. The very first is DEMO, whose age tells later runs what `now` was."""
    taken: Counter[str] = Counter()
    return [somebody(seed, now, number, taken) if number else demo(seed, now) for number in range(count)]


def demo_id(seed: int, now: datetime) -> UUID:
    return uuid7(now - AGE, Dice(seed, "user", 0).tail())


def demo(seed: int, now: datetime) -> Person:
    user = account(demo_id(seed, now), Name("Demo Account", "demo"), now - AGE)
    return Person(user, None)


def somebody(seed: int, now: datetime, number: int, taken: Counter[str]) -> Person:
    dice = Dice(seed, "user", number)
    tail = dice.tail()
    joined = now - timedelta(days=dice.between(400, AGE.days))
    language = any_language(dice)
    name = language.name(dice)
    taken[name.handle] += 1
    if (namesakes := taken[name.handle]) > 1:
        name = Name(name.full, f"{name.handle}{namesakes}")
    changes = dice.weigh({0: 70, 1: 20, 2: 10})
    user = account(uuid7(joined, tail), name, joined).model_copy(
        update={
            "username": None if dice.chance(0.06) else name.handle,
            "full_name": None if dice.chance(0.04) else name.full,
            "is_active": number < ACTIVE or not dice.chance(0.04),
            "version": 1 + changes,
            "updated_at": later(dice, joined, now) if changes else joined,
        }
    )
    return Person(user, language)


def account(user_id: UUID, name: Name, joined: datetime) -> models.User:
    return models.User(
        id=user_id,
        email=f"{name.handle}@{DOMAIN}",
        username=name.handle,
        full_name=name.full,
        is_active=True,
        is_superuser=False,
        version=1,
        created_at=joined,
        updated_at=joined,
    )


def teams(seed: int, now: datetime, everybody: Sequence[Person]) -> list[Team]:
    """The teams whose founders are among these. DEMO is owner of the first, admin and member of the others."""
    founded = now - FOUNDED
    made = []
    for number, (name, slug, description, language) in enumerate(TEAMS[: len(everybody)]):
        team_id = uuid7(founded, Dice(seed, "team", number).tail())
        staff = [
            membership(person, role, founded + timedelta(hours=0 if role == "owner" else 3 + index))
            for index, person in enumerate(everybody[:STAFF])
            if (role := role_of(index, number)) is not None
        ]
        made.append(Team(team_id, name, slug, description, languages().get(language or ""), staff, founded))
    return made


def role_of(index: int, team: int) -> str | None:
    """What the account with this index is in a team: the first three own one each, the others are in one of them."""
    if index == team:
        return "owner"
    if index == 0:
        return ("owner", "admin", "member")[team]
    if index < len(TEAMS) or index % len(TEAMS) != team:
        return None
    return "admin" if index < ACTIVE else "member"


def membership(person: Person, role: str, joined: datetime) -> Membership:
    """Who administers a team was a member first."""
    promoted = role == "admin"
    updated = joined + timedelta(days=7) if promoted else joined
    return Membership(person.user.id, role, 2 if promoted else 1, joined, updated)


def later(dice: Dice, moment: datetime, now: datetime) -> datetime:
    """A moment between the two."""
    return moment + (now - moment) * dice.between(0, 1)
