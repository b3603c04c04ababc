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
FOUNDED = timedelta(days=380)  # ago; no member joined later than 400 days ago, no task is older than a year
ACTIVE = 15  # the first accounts, among them who found the teams, are all active
STAFF = 240  # only the first accounts are in teams, each in one or a few
SIZES = {0.015: 45, 0.05: 40, 0.2: 15}  # the share of the staff that a team has: most are small
FIRMS = 8  # every eighth of the accounts after them founds a small one with some of the next
FIRM_SIZES = {1: 15, 2: 30, 3: 25, 4: 15, 6: 10, 8: 5}
ROLES = {"member": 76, "admin": 20, "owner": 4}


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
    ("Werkstatt Nord", "werkstatt-nord", "Fahrräder, Lastenräder, Ersatzteile.", "german"),
    ("Clínica del Parque", "clinica-del-parque", "Tres consultas y una recepción.", "spanish"),
    ("Estúdio Maré", "estudio-mare", None, "portuguese"),
    ("Pracownia Wisła", "pracownia-wisla", "Meble na wymiar.", "polish"),
    ("Kuzey Lojistik", "kuzey-lojistik", None, "turkish"),
    ("Riverside School", "riverside-school", "Teachers, caretakers and the office.", "english"),
    ("Data Without Borders", "data-without-borders", "Volunteers in four time zones.", None),
    ("Chorale des Deux Rives", "chorale-des-deux-rives", None, "french"),
    ("Night Shift", "night-shift", "The people on call.", "english"),
)
FIRST = 3  # teams that DEMO is in


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
        email_verified=True,
        username=name.handle,
        full_name=name.full,
        is_active=True,
        is_superuser=False,
        mfa_enabled=False,
        time_zone=None,
        version=1,
        created_at=joined,
        updated_at=joined,
    )


def teams(seed: int, now: datetime, everybody: Sequence[Person]) -> list[Team]:
    """The teams whose founders are among these. DEMO is owner of the first, admin and member of the next two."""
    founders = [number for number in range(STAFF, len(everybody), FIRMS) if everybody[number].user.is_active]
    return name_teams(seed, now - FOUNDED, everybody) + [
        firm(seed, now - FOUNDED, everybody, each) for each in founders
    ]


def name_teams(seed: int, founded: datetime, everybody: Sequence[Person]) -> list[Team]:
    made = []
    for number, (name, slug, description, language) in enumerate(TEAMS[: len(everybody)]):
        dice = Dice(seed, "team", number)
        team_id, share = uuid7(founded, dice.tail()), dice.weigh(SIZES)
        staff = [
            membership(person, role, founded + timedelta(hours=0 if index == number else 3 + index / 2))
            for index, person in enumerate(everybody[:STAFF])
            if (role := role_of(Dice(seed, "member", number, index), person, index, number, share)) is not None
        ]
        made.append(Team(team_id, name, slug, description, languages().get(language or ""), staff, founded))
    return made


def firm(seed: int, founded: datetime, everybody: Sequence[Person], founder: int) -> Team:
    """A small team that is named after two people, as firms are."""
    dice = Dice(seed, "firm", founder)
    team_id, language = uuid7(founded, dice.tail()), everybody[founder].language or any_language(dice)
    one, other = dice.pick(language.family), dice.pick(language.family)
    staff = [membership(everybody[founder], "owner", founded)]
    for hours, person in enumerate(everybody[founder + 1 : founder + dice.weigh(FIRM_SIZES)], start=3):
        role = dice.weigh(ROLES) if person.user.is_active else "member"
        staff.append(membership(person, role, founded + timedelta(hours=hours)))
    slug = f"{one.handle}-{other.handle}-{founder}"
    return Team(team_id, f"{one.full} & {other.full}", slug, None, language, staff, founded)


def role_of(dice: Dice, person: Person, index: int, team: int, share: float) -> str | None:
    """What the account with this index is in a team. Who is not active any more was a member at most."""
    if index == team:
        return "owner"
    if index == 0:
        return ("owner", "admin", "member")[team] if team < FIRST else None
    if not dice.chance(share):
        return None
    return dice.weigh(ROLES) if person.user.is_active else "member"


def membership(person: Person, role: str, joined: datetime) -> Membership:
    """Who administers a team was a member first."""
    promoted = role == "admin"
    updated = joined + timedelta(days=7) if promoted else joined
    return Membership(person.user.id, role, 2 if promoted else 1, joined, updated)


def later(dice: Dice, moment: datetime, now: datetime) -> datetime:
    """A moment between the two."""
    return moment + (now - moment) * dice.between(0, 1)
