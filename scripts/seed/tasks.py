"""What there is to do in the demo data: tasks of persons and of teams, over the year before `now`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from generated import models
from generated.models import TaskPriority, TaskStatus
from scripts.seed.dice import Dice, uuid7
from scripts.seed.language import Kind, Language, any_language
from scripts.seed.people import Person, Team, later

TASK_AGE = 364.0  # days, of the oldest
HALF_CLOSED = timedelta(days=60)  # of the tasks of this age one half is completed or cancelled
DEMOS = 8  # every eighth task is in the personal organization of the first account
TEAMWORK = 0.35  # of the others are in a team
BUSY = 3  # the skew of Dice.early: a few teams and people have most of the tasks
WITHOUT_DUE_DATE: dict[Kind, float] = {"personal": 0.45, "work": 0.22}
PRIORITIES: dict[Kind, dict[TaskPriority, float]] = {
    "personal": {TaskPriority.low: 20, TaskPriority.medium: 62, TaskPriority.high: 14, TaskPriority.urgent: 4},
    "work": {TaskPriority.low: 18, TaskPriority.medium: 46, TaskPriority.high: 27, TaskPriority.urgent: 9},
}
CLOSED: dict[Kind, dict[TaskStatus, float]] = {
    "personal": {TaskStatus.completed: 90, TaskStatus.cancelled: 10},
    "work": {TaskStatus.completed: 83, TaskStatus.cancelled: 17},
}
OPEN: dict[Kind, dict[TaskStatus, float]] = {
    "personal": {TaskStatus.pending: 85, TaskStatus.in_progress: 15},
    "work": {TaskStatus.pending: 58, TaskStatus.in_progress: 42},
}
DUE_HOURS = (8, 9, 12, 12, 16, 17, 17, 18)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a task is, whose it is and how it is written."""

    organization_id: UUID
    author: UUID
    kind: Kind
    language: Language


@dataclass(frozen=True, slots=True)
class Course:
    """What has become of a task."""

    status: TaskStatus
    due_date: datetime | None
    completed_at: datetime | None
    version: int
    updated_at: datetime


def tasks(
    seed: int, now: datetime, count: int, everybody: Sequence[Person], teams: Sequence[Team]
) -> Iterator[models.Task]:
    """The first `count` tasks. The id of each depends on nothing but the seed, `now` and its number."""
    demo, others = everybody[:1], everybody[1:] or everybody
    largest_first = sorted(teams, key=lambda team: -len(team.members))
    for number in range(count):
        dice = Dice(seed, "task", number)
        tail = dice.tail()
        day = now - timedelta(days=1 + TASK_AGE * dice.between(0, 1) ** 2)
        created = day.replace(hour=dice.pick(range(6, 22)))
        place = place_of(dice, others, largest_first) if number % DEMOS else place_of(dice, demo, ())
        course = course_of(dice, place.kind, created, now)
        title = place.language.title(dice, place.kind)
        is_day = place.kind == "personal" and dice.chance(0.5)
        description = place.language.description(dice, place.kind) if number else place.language.longest(dice)
        yield models.Task(
            id=uuid7(created, tail),
            organization_id=place.organization_id,
            user_id=place.author,
            author=None,
            title=title,
            description=description,
            status=course.status,
            priority=dice.weigh(PRIORITIES[place.kind]),
            due_date=None if is_day else course.due_date,
            due_on=course.due_date.date() if is_day and course.due_date else None,
            completed=course.status is TaskStatus.completed,
            completed_at=course.completed_at,
            version=course.version,
            created_at=created,
            updated_at=course.updated_at,
        )


def place_of(dice: Dice, people: Sequence[Person], teams: Sequence[Team]) -> Place:
    """The personal organization of somebody, or a team; of both the first more than the last."""
    if teams and dice.chance(TEAMWORK):
        team = dice.early(teams, BUSY)
        return Place(team.id, dice.early(team.writers), "work", team.language or any_language(dice))
    person = dice.early(people, BUSY)
    kind: Kind = "work" if dice.chance(0.25) else "personal"
    return Place(person.user.id, person.user.id, kind, person.language or any_language(dice))


def course_of(dice: Dice, kind: Kind, created: datetime, now: datetime) -> Course:
    age = now - created
    closes = dice.chance(age / (age + HALF_CLOSED))
    status = dice.weigh(CLOSED[kind] if closes else OPEN[kind])
    if not closes:
        due = now + timedelta(days=dice.between(-20, 45))
        changes = 0 if status is TaskStatus.pending and dice.chance(0.75) else dice.pick((1, 1, 2, 3))
        changed = later(dice, created, now) if changes else created
        return Course(status, due_date(dice, kind, due, created), None, 1 + changes, changed)
    closed = created + age * dice.between(0, 1) ** 2
    due = closed + timedelta(days=dice.between(-4, 12))
    touched = dice.chance(0.12)
    changes = dice.pick((1, 1, 2, 3)) + touched
    changed = later(dice, closed, now) if touched else closed
    completed_at = closed if status is TaskStatus.completed else None
    return Course(status, due_date(dice, kind, due, created), completed_at, 1 + changes, changed)


def due_date(dice: Dice, kind: Kind, due: datetime, created: datetime) -> datetime | None:
    """None, or a full hour of that day, but none before the task was there."""
    if dice.chance(WITHOUT_DUE_DATE[kind]):
        return None
    hour = max(due, created).replace(hour=dice.pick(DUE_HOURS), minute=0, second=0, microsecond=0)
    return hour if hour > created else hour + timedelta(days=1)
