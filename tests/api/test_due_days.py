"""A task is due at an instant or on a day; lists sort and keep both, days in a zone that people live in."""

from datetime import date, datetime, timedelta
from importlib import import_module
from typing import Any

import httpx
import pytest

from generated.models import TaskSort
from handlers.shared.time_zones import NAMES, read_zone
from tests.client import DOCUMENT, ApiClient, titles
from tests.factories import NOW, Factory

DAY = date(2026, 2, 6)
BOTH = {"due_date": "2026-02-06T18:00:00Z", "due_on": "2026-02-06"}


@pytest.fixture
async def ada(api: ApiClient, make: Factory) -> ApiClient:
    return api.as_(await make.user())


class TestTask:
    async def test_a_task_may_be_due_on_a_day(self, ada: ApiClient) -> None:
        task = await ada.post("/tasks", {"title": "a", "due_on": "2026-02-06"})

        assert (task["due_on"], task["due_date"]) == ("2026-02-06", None)
        assert (await ada.get(f"/tasks/{task['id']}")).body == task.body
        assert (await ada.get("/tasks"))["items"] == [task.body]
        [found] = (await ada.get("/tasks/search", q="a"))["items"]
        assert (found["due_on"], found["due_date"]) == ("2026-02-06", None)
        [exported] = (await ada.get("/users/me/export"))["tasks"]
        assert exported == task.body

    async def test_a_task_is_not_due_at_an_instant_and_on_a_day(self, ada: ApiClient) -> None:
        task = await ada.post("/tasks", {"title": "a"})
        path = f"/tasks/{task['id']}"

        refused = [
            await ada.post("/tasks", {"title": "b"} | BOTH, expect=422),
            await ada.put(path, {"title": "b"} | BOTH, expect=422),
            await ada.patch(path, BOTH, expect=422),
        ]

        for problem in refused:
            [fault] = problem["errors"]
            assert (fault["pointer"], fault["code"], fault["detail"]) == ("/due_date", "type", "Must be null")
        assert (await ada.get("/tasks"))["items"] == [task.body]

    @pytest.mark.parametrize("body", [{"due_date": BOTH["due_date"], "due_on": None}, {"due_date": BOTH["due_date"]}])
    async def test_an_instant_clears_the_day(self, ada: ApiClient, body: dict[str, Any]) -> None:
        task = await ada.post("/tasks", {"title": "a", "due_on": "2026-02-06"})

        changed = await ada.patch(f"/tasks/{task['id']}", body)

        assert (changed["due_on"], changed["due_date"], changed["version"]) == (None, BOTH["due_date"], 2)

    @pytest.mark.parametrize("body", [{"due_on": "2026-02-06", "due_date": None}, {"due_on": "2026-02-06"}])
    async def test_a_day_clears_the_instant(self, ada: ApiClient, body: dict[str, Any]) -> None:
        task = await ada.post("/tasks", {"title": "a", "due_date": BOTH["due_date"]})

        changed = await ada.patch(f"/tasks/{task['id']}", body)

        assert (changed["due_on"], changed["due_date"], changed["version"]) == ("2026-02-06", None, 2)

    @pytest.mark.parametrize(
        ("before", "body", "after"),
        [
            ({"due_on": "2026-02-06"}, {"due_on": None}, (None, None, 2)),
            ({"due_on": "2026-02-06"}, {"due_date": None}, ("2026-02-06", None, 1)),
            ({"due_on": "2026-02-06"}, {"due_date": None, "due_on": None}, (None, None, 2)),
            ({"due_on": "2026-02-06"}, {"due_on": "2026-02-06"}, ("2026-02-06", None, 1)),
            ({"due_on": "2026-02-06"}, {"due_on": "2026-02-07"}, ("2026-02-07", None, 2)),
            ({"due_on": "2026-02-06"}, {"title": "b"}, ("2026-02-06", None, 2)),
            (
                {"due_on": "2026-02-06"},
                {"due_date": "2026-02-06T23:59:59.999999Z"},
                (None, "2026-02-06T23:59:59.999999Z", 2),
            ),
            ({"due_date": BOTH["due_date"]}, {"due_on": None}, (None, BOTH["due_date"], 1)),
            ({"due_date": BOTH["due_date"]}, {"due_date": None}, (None, None, 2)),
            ({"due_date": BOTH["due_date"]}, {"due_date": None, "due_on": None}, (None, None, 2)),
            ({"due_date": "2026-02-06T23:59:59.999999Z"}, {"due_on": "2026-02-06"}, ("2026-02-06", None, 2)),
            ({}, {"due_date": None, "due_on": None}, (None, None, 1)),
            ({}, {"due_on": "9998-12-31"}, ("9998-12-31", None, 2)),
            ({}, {"due_on": "1900-01-01"}, ("1900-01-01", None, 2)),
        ],
    )
    async def test_null_clears_its_own_kind(
        self, ada: ApiClient, before: dict[str, Any], body: dict[str, Any], after: tuple[Any, ...]
    ) -> None:
        task = await ada.post("/tasks", {"title": "a"} | before)

        changed = await ada.patch(f"/tasks/{task['id']}", body)

        assert (changed["due_on"], changed["due_date"], changed["version"]) == after
        assert (await ada.get(f"/tasks/{task['id']}")).body == changed.body

    @pytest.mark.parametrize(
        ("body", "after"),
        [
            ({}, (None, None)),
            ({"due_on": "2026-02-07"}, ("2026-02-07", None)),
            ({"due_on": "2026-02-07", "due_date": None}, ("2026-02-07", None)),
            ({"due_date": BOTH["due_date"]}, (None, BOTH["due_date"])),
            ({"due_on": None, "due_date": BOTH["due_date"]}, (None, BOTH["due_date"])),
        ],
    )
    async def test_a_replacement_says_when_it_is_due(
        self, ada: ApiClient, body: dict[str, Any], after: tuple[Any, ...]
    ) -> None:
        task = await ada.post("/tasks", {"title": "a", "due_on": "2026-02-06"})

        replaced = await ada.put(f"/tasks/{task['id']}", {"title": "a"} | body)

        assert (replaced["due_on"], replaced["due_date"]) == after

    @pytest.mark.parametrize(
        ("day", "said"),
        [
            ("2026-02-06T00:00:00Z", "without a time"),
            ("06.02.2026", "without a time"),
            ("2026-02-30", "a day that there is"),
            ("2026-13-01", "a day that there is"),
            ("1899-12-31", "of a year from 1900 to 9998"),
            ("9999-01-01", "of a year from 1900 to 9998"),
        ],
    )
    async def test_what_is_wrong_with_a_day_is_named(self, ada: ApiClient, day: str, said: str) -> None:
        problem = await ada.post("/tasks", {"title": "a", "due_on": day}, expect=422)

        [fault] = problem["errors"]
        assert fault["pointer"] == "/due_on"
        assert said in fault["detail"]

    async def test_a_day_moves_with_its_task(self, api: ApiClient, make: Factory) -> None:
        owner = await make.user()
        team = await make.team(owner=owner)
        task = await api.as_(owner).post("/tasks", {"title": "a", "due_on": "2026-02-06"})

        moved = await api.as_(owner).patch(
            f"/tasks/{task['id']}", {"organization_id": str(team), "due_on": "2026-02-07"}
        )
        toggled = await api.as_(owner).patch(f"/tasks/{task['id']}/complete", {"completed": True})

        assert (moved["due_on"], moved["due_date"], moved["organization_id"]) == ("2026-02-07", None, str(team))
        assert (toggled["due_on"], toggled["due_date"], toggled["completed"]) == ("2026-02-07", None, True)


MIXED: dict[str, dict[str, Any]] = {
    "a": {"due_date": datetime.fromisoformat("2026-02-06T23:59:59Z")},
    "b": {"due_on": DAY},
    "c": {"due_date": datetime.fromisoformat("2026-02-07T00:00:00Z")},
    "d": {"due_on": DAY + timedelta(days=1)},
    "e": {},
}


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        (TaskSort.due_date_ascending, "abcde"),
        (TaskSort.due_date_descending, "dcbae"),
        (TaskSort.priority_descending_due_date_ascending, "abcde"),
        (TaskSort.due_date_ascending_priority_descending, "abcde"),
    ],
)
async def test_a_day_is_sorted_by_its_end_in_utc(api: ApiClient, make: Factory, sort: TaskSort, order: str) -> None:
    person = await make.user()
    for title in "dbeca":
        await make.task(person.id, person, title=title, **MIXED[title])
    found = ""
    more: dict[str, Any] = {}
    while more.get("cursor", "") is not None:
        page = await api.as_(person).get("/tasks", sort=sort.value, limit=1, **more)
        found += "".join(titles(page))
        more = {"cursor": page["next_cursor"]}

    assert found == order
    assert sorted(titles(await api.as_(person).get("/tasks", has_due_date="true"))) == list("abcd")
    assert titles(await api.as_(person).get("/tasks", has_due_date="false")) == ["e"]


@pytest.mark.parametrize(
    ("zone", "instant", "day"),
    [
        ("UTC", "2026-02-06T00:00:00Z", 6),
        ("UTC", "2026-02-06T23:59:59.999999Z", 6),
        ("UTC", "2026-02-07T00:00:00+01:00", 6),
        ("Europe/Berlin", "2026-02-06T23:00:00Z", 7),
        ("Europe/Berlin", "2026-02-06T22:59:59.999999Z", 6),
        ("Pacific/Kiritimati", "2026-02-06T10:00:00Z", 7),  # UTC+14
        ("Pacific/Kiritimati", "2026-02-06T09:59:59Z", 6),
        ("Etc/GMT+12", "2026-02-06T12:00:00Z", 6),  # UTC-12
        ("Etc/GMT+12", "2026-02-06T11:59:59Z", 5),
        ("Asia/Kathmandu", "2026-02-06T18:15:00Z", 7),  # UTC+5:45
        ("America/Argentina/Buenos_Aires", "2026-02-06T02:59:59Z", 5),
    ],
)
async def test_filters_compare_days_in_the_zone(
    api: ApiClient, make: Factory, zone: str, instant: str, day: int
) -> None:
    person = await make.user()
    for number in range(4, 9):
        await make.task(person.id, person, title=f"{number}", due_on=date(2026, 2, number))
    await make.task(person.id, person, title="at", due_date=datetime.fromisoformat(instant))
    who = api.as_(person)

    for given, own in ((zone, None), (None, zone), (zone, "America/New_York")):
        await who.patch("/users/me", {"time_zone": own})
        for sort in ("due_date", "-due_date", "title", "-priority,due_date"):
            asked: dict[str, Any] = {"sort": sort} | ({"time_zone": given} if given else {})
            before = titles(await who.get("/tasks", due_before=instant, **asked))
            after = titles(await who.get("/tasks", due_after=instant, **asked))

            assert sorted(before) == [f"{number}" for number in range(4, day)]
            assert sorted(after) == [*[f"{number}" for number in range(day, 9)], "at"]
    found = titles(await who.get("/tasks/search", q="5 or 6 or 7", due_before=instant, time_zone=zone))
    assert sorted(found) == [f"{number}" for number in range(5, min(day, 8))]


@pytest.mark.parametrize(
    ("zone", "window", "day"),
    [
        ("Europe/Berlin", ("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"), date(2026, 3, 29)),  # 23 hours
        ("Europe/Berlin", ("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"), date(2026, 10, 25)),  # 25 hours
        ("America/New_York", ("2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"), date(2026, 3, 8)),
        ("Australia/Lord_Howe", ("2026-04-04T13:00:00Z", "2026-04-05T13:30:00Z"), date(2026, 4, 5)),
        ("America/Santiago", ("2026-09-06T04:00:00Z", "2026-09-07T03:00:00Z"), date(2026, 9, 6)),  # no midnight
    ],
)
async def test_a_day_that_is_shorter_or_longer_is_a_day(
    api: ApiClient, make: Factory, zone: str, window: tuple[str, str], day: date
) -> None:
    person = await make.user()
    for off in (-1, 0, 1):
        await make.task(person.id, person, title=f"{off}", due_on=day + timedelta(days=off))

    page = await api.as_(person).get("/tasks", due_after=window[0], due_before=window[1], time_zone=zone)

    assert titles(page) == ["0"]


async def test_a_cursor_goes_on_in_its_zone_alone(api: ApiClient, make: Factory) -> None:
    person = await make.user()
    for number in range(4):
        await make.task(person.id, person, title=f"{number}", due_on=DAY + timedelta(days=number))
    who = api.as_(person)
    await who.patch("/users/me", {"time_zone": "Europe/Berlin"})
    asked: dict[str, Any] = {"due_after": "2026-02-06T00:00:00Z", "sort": "due_date", "limit": 1}
    cursor = (await who.get("/tasks", **asked))["next_cursor"]

    for zone in (None, "Europe/Berlin"):
        named: dict[str, Any] = {"time_zone": zone} if zone else {}
        assert titles(await who.get("/tasks", cursor=cursor, **asked, **named)) == ["1"]
    refused = await who.get("/tasks", cursor=cursor, time_zone="Asia/Tokyo", expect=400, **asked)
    assert refused["code"] == "invalid_cursor"
    await who.patch("/users/me", {"time_zone": "Asia/Tokyo"})
    assert (await who.get("/tasks", cursor=cursor, expect=400, **asked))["code"] == "invalid_cursor"
    assert titles(await who.get("/tasks", cursor=cursor, time_zone="Europe/Berlin", **asked)) == ["1"]


async def test_a_link_names_the_zone_that_was_asked_for(ada: ApiClient) -> None:
    for number in range(2):
        await ada.post("/tasks", {"title": f"{number}", "due_on": "2026-02-06"})

    page = await ada.get("/tasks", due_after="2026-02-06T00:00:00Z", time_zone="Etc/GMT+1", limit=1)
    [path] = [part.strip("<> ") for part in page.headers["link"].split(";")][:1]

    assert "time_zone=Etc%2FGMT%2B1" in path
    following: dict[str, Any] = dict(httpx.URL(path).params)
    assert len((await ada.get("/tasks", **following))["items"]) == 1


async def test_a_zone_says_nothing_where_no_day_is_compared(ada: ApiClient) -> None:
    for number in range(2):
        await ada.post("/tasks", {"title": f"{number}"})
    cursor = (await ada.get("/tasks", time_zone="Asia/Tokyo", limit=1))["next_cursor"]

    assert len((await ada.get("/tasks", cursor=cursor, limit=1))["items"]) == 1


class TestZone:
    def test_the_contract_names_the_release_of_the_data(self) -> None:
        said = DOCUMENT["components"]["schemas"]["TimeZone"]["description"]

        assert f"release {import_module('tzdata').IANA_VERSION} " in said

    def test_every_name_can_be_read(self) -> None:
        assert len(NAMES) > 500
        for name in NAMES:
            assert isinstance(NOW.astimezone(read_zone(name)).utcoffset(), timedelta), name

    async def test_a_profile_has_a_zone(self, ada: ApiClient) -> None:
        assert (await ada.get("/users/me"))["time_zone"] is None
        changed = await ada.patch("/users/me", {"time_zone": "America/Argentina/Buenos_Aires"})
        assert (changed["time_zone"], changed["version"]) == ("America/Argentina/Buenos_Aires", 2)
        assert (await ada.patch("/users/me", {"full_name": "Ada"}))["time_zone"] == "America/Argentina/Buenos_Aires"
        assert (await ada.get("/auth/me"))["time_zone"] == "America/Argentina/Buenos_Aires"
        assert (await ada.patch("/users/me", {"time_zone": None}))["time_zone"] is None

    async def test_a_replacement_says_where_its_bearer_lives(self, api: ApiClient, make: Factory) -> None:
        root = api.as_(await make.user(is_superuser=True))
        path = f"/users/{(await make.user()).id}"

        assert (await root.patch(path, {"time_zone": "Asia/Kolkata"}))["time_zone"] == "Asia/Kolkata"
        assert (await root.put(path, {"email": "a@example.com"}))["time_zone"] is None
        named = {"email": "a@example.com", "time_zone": "Asia/Calcutta"}
        assert (await root.put(path, named))["time_zone"] == "Asia/Calcutta"

    @pytest.mark.parametrize(
        "name",
        ["Europe/Atlantis", "europe/berlin", "CEST", "+01:00", "../../etc/passwd", "Europe", "zone.tab", "", "x" * 65],
    )
    async def test_a_name_that_no_zone_has_is_refused(self, ada: ApiClient, name: str) -> None:
        for refused in (
            await ada.patch("/users/me", {"time_zone": name}, expect=422),
            await ada.get("/tasks", time_zone=name, expect=422),
            await ada.get("/tasks/search", q="a", time_zone=name, due_after=NOW.isoformat(), expect=422),
        ):
            [fault] = refused["errors"][:1]
            assert fault["pointer"] == "/time_zone"
        assert (await ada.get("/users/me"))["time_zone"] is None

    async def test_a_zone_that_the_data_have_no_more_is_utc(self, api: ApiClient, make: Factory) -> None:
        person = await make.user(time_zone="Europe/Atlantis")
        await make.task(person.id, person, title="a", due_on=DAY)

        page = await api.as_(person).get("/tasks", due_after="2026-02-06T23:59:59Z")

        assert titles(page) == ["a"]
