"""The front end of examples/web, built and driven in a real browser beside a real server."""

import json
import os
import re
import shutil
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pyotp
import pytest
from playwright.async_api import Browser, Page, Request, Route, ViewportSize, expect

from tests.api.test_real_server import Running, running
from tests.conftest import Server
from tests.ports import free_port
from tests.system.conftest import ROOT
from tests.system.services import INSTALLATION, install_packages, process, program
from tests.system.test_pages import PASSWORD, SCREENS, Window

EXAMPLE = ROOT / "examples/web"
SOURCES = shutil.ignore_patterns("node_modules", "dist", "docket.d.ts")
PEOPLE = count(1)
MANY, PAGE = 70, 30  # tasks: in all, and at once
DESKTOP = SCREENS["desktop"]


@pytest.fixture(scope="module")
async def docket(server: Server, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with server.copy(template) as url, running(tmp_path_factory.mktemp("served"), url) as started:
        yield started


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example with its packages, as far from its contract as in the repository."""
    root = tmp_path_factory.mktemp("repository")
    shutil.copyfile(ROOT / "openapi.yaml", root / "openapi.yaml")
    folder = root / "examples/web"
    shutil.copytree(EXAMPLE, folder, ignore=SOURCES)
    install_packages(folder)
    return folder


@contextmanager
def vite(folder: Path, docket: Running, command: list[str]) -> Iterator[str]:
    port = free_port()
    environment = {"DOCKET": f"http://{docket.host}:{docket.port}", "HOME": str(folder)}
    options = ["--port", str(port), "--strictPort"]
    with process([*command, *options], folder / "log", listens=("127.0.0.1", port), environment=environment):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def site(packed: Path, docket: Running) -> Iterator[str]:
    """The address of the built page."""
    with process([program("npm"), "run", "build"], packed / "build", environment={"HOME": str(packed)}) as build:
        assert build.wait(INSTALLATION) == 0, (packed / "build").read_text(encoding="utf-8")
    with vite(packed, docket, [program("node"), "node_modules/vite/bin/vite.js", "preview"]) as url:
        yield url


class Person:
    """An account, and the API as it sees it without a page."""

    def __init__(self, docket: Running) -> None:
        self.email = f"person-{next(PEOPLE)}@example.com"
        self.account = {"email": self.email, "password": PASSWORD}
        self.http = httpx.AsyncClient(base_url=f"http://{docket.host}:{docket.port}/api/v1", timeout=60)

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self.http.request(method, path, json=body)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    async def arrive(self) -> None:
        await self.call("POST", "/auth/register", self.account)
        token = (await self.call("POST", "/auth/login", self.account))["access_token"]
        self.http.headers["Authorization"] = f"Bearer {token}"


@pytest.fixture
async def person(docket: Running) -> AsyncIterator[Person]:
    one = Person(docket)
    async with one.http:
        await one.arrive()
        yield one


@asynccontextmanager
async def looking(chromium: Browser, site: str, screen: ViewportSize = DESKTOP, **more: Any) -> AsyncIterator[Window]:
    """A window of a browser of its own."""
    context = await chromium.new_context(viewport=screen, **more)
    window = Window(await context.new_page(), site)
    await window.watch()
    await window.page.goto(site)
    yield window
    await context.close()


def faults_of(window: Window) -> list[str]:
    """What should not happen. A request that is not needed any more is given up, as it should be."""
    return [fault for fault in window.faults if not fault.endswith("net::ERR_ABORTED")]


async def give_password(page: Page, email: str, button: str = "Sign in") -> None:
    await page.get_by_label("E-mail").fill(email)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name=button).click()


async def sign_in(page: Page, email: str, button: str = "Sign in") -> None:
    await give_password(page, email, button)
    await expect(page.get_by_label("New task")).to_be_visible()


async def add(page: Page, title: str) -> None:
    await page.get_by_label("New task").fill(title)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name=title, exact=True)).to_be_visible()


async def rename(page: Page, title: str, other: str) -> None:
    await page.get_by_role("button", name=title, exact=True).click()
    await page.get_by_label("Title").fill(other)
    await page.keyboard.press("Enter")


@pytest.mark.parametrize("screen", SCREENS)
async def test_somebody_new_works_from_sign_in_to_sign_out(
    chromium: Browser, site: str, docket: Running, screen: str
) -> None:
    email = Person(docket).email
    async with looking(chromium, site, SCREENS[screen]) as window:
        page = window.page
        await page.get_by_role("button", name="I am new here").click()
        await sign_in(page, email, "Create the account")
        await add(page, "Find the moth")
        await add(page, "Feed the pelican")
        await page.get_by_label("Done: Find the moth").click()
        await page.get_by_role("button", name="Done", exact=True).click()
        await expect(page.get_by_label("Done: Find the moth")).to_be_checked()
        await expect(page.get_by_text("Feed the pelican")).to_have_count(0)
        await page.get_by_role("button", name="All").click()
        await page.get_by_label("Search").fill("peli")
        await expect(page.get_by_text("Find the moth")).to_have_count(0)
        await expect(page.get_by_text("Feed the pelican")).to_be_visible()
        assert await window.fits()

        await page.reload()
        await expect(page.get_by_text("Feed the pelican")).to_be_visible()
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_label("Password")).to_be_visible()
        await page.reload()
        await expect(page.get_by_label("Password")).to_be_visible()
        assert faults_of(window) == []


async def test_keys_alone_will_do(chromium: Browser, site: str, person: Person) -> None:
    async with looking(chromium, site) as window:
        page, keys = window.page, window.page.keyboard
        await expect(page.get_by_label("E-mail")).to_be_focused()
        await keys.type(person.email)
        await keys.press("Tab")
        await keys.type(PASSWORD)
        await keys.press("Enter")
        await page.get_by_label("New task").focus()
        await keys.type("Find the moth")
        await keys.press("Enter")
        await expect(page.get_by_text("Find the moth")).to_be_visible()
        while not await page.get_by_label("Done: Find the moth").evaluate("each => each === document.activeElement"):
            await keys.press("Tab")
        await keys.press("Tab")
        await keys.press("Enter")
        await expect(page.get_by_label("Title")).to_be_focused()
        await keys.press("End")
        await keys.type(" again")
        await keys.press("Enter")
        await expect(page.get_by_text("Find the moth again")).to_be_visible()
        assert faults_of(window) == []


async def test_what_two_windows_change_is_for_the_person_to_decide(
    chromium: Browser, site: str, person: Person
) -> None:
    await person.call("POST", "/tasks", {"title": "Find the moth"})
    async with looking(chromium, site) as first, looking(chromium, site) as second:
        for window in (first, second):
            await sign_in(window.page, person.email)
            await expect(window.page.get_by_text("Find the moth")).to_be_visible()

        await rename(first.page, "Find the moth", "Find both moths")
        await expect(first.page.get_by_label("Done: Find both moths")).to_be_enabled()
        await rename(second.page, "Find the moth", "Find the owl")
        alert = second.page.get_by_role("alert")
        await expect(alert).to_contain_text("It is “Find both moths” now")
        await expect(second.page.get_by_role("button", name="Find the moth", exact=True)).to_be_visible()
        await alert.get_by_role("button", name="Keep mine").click()
        await expect(second.page.get_by_label("Done: Find the owl")).to_be_enabled()
        await expect(alert).to_have_count(0)

        await rename(first.page, "Find both moths", "Find three moths")
        alert = first.page.get_by_role("alert")
        await alert.get_by_role("button", name="Take theirs").click()
        await expect(first.page.get_by_label("Done: Find the owl")).to_be_visible()
        await expect(alert).to_have_count(0)
    assert [task["title"] for task in (await person.call("GET", "/tasks"))["items"]] == ["Find the owl"]


async def test_a_server_that_is_frozen_is_told_of_and_tried_again(
    chromium: Browser, site: str, person: Person, docket: Running
) -> None:
    await person.call("POST", "/tasks", {"title": "Find the moth"})
    async with looking(chromium, site) as window:
        page = window.page
        await sign_in(page, person.email)
        box = page.get_by_label("Done: Find the moth")
        await expect(box).to_be_visible()
        os.killpg(docket.process.pid, signal.SIGSTOP)
        try:
            await box.click()
            await expect(box).to_be_checked()
            await expect(page.get_by_role("alert")).to_contain_text("The server does not answer.")
            await expect(box).not_to_be_checked()
        finally:
            os.killpg(docket.process.pid, signal.SIGCONT)
        await page.get_by_role("alert").get_by_role("button", name="Try again").click()
        await expect(box).to_be_checked()
        await expect(box).to_be_enabled()
        await expect(page.get_by_role("alert")).to_have_count(0)


async def test_a_session_that_is_over_leads_to_the_form(chromium: Browser, site: str, person: Person) -> None:
    async with looking(chromium, site) as window:
        await sign_in(window.page, person.email)
        await expect(window.page.get_by_text("Nothing here.")).to_be_visible()
        await person.call("POST", "/auth/logout-all")

        await window.page.get_by_role("button", name="All").click()

        await expect(window.page.get_by_text("Your session is over. Sign in again.")).to_be_visible()
        await sign_in(window.page, person.email)
        await expect(window.page.get_by_text("Nothing here.")).to_be_visible()


async def test_an_account_with_a_second_factor_is_asked_for_a_code(
    chromium: Browser, site: str, person: Person
) -> None:
    app = pyotp.TOTP((await person.call("POST", "/users/me/totp"))["secret"])
    spent = app.now()
    to_recover_by = (await person.call("POST", "/users/me/totp/confirm", {"code": spent}))["recovery_codes"][0]
    async with looking(chromium, site) as window:
        page, code = window.page, window.page.get_by_label("Code")
        await give_password(page, person.email)
        await expect(code).to_be_focused()
        await code.fill(spent)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_have_text("This is not the code of this moment. Each works once.")
        await code.fill(app.at(int(time.time()) + app.interval))
        await page.keyboard.press("Enter")
        await expect(page.get_by_label("New task")).to_be_visible()
        await page.reload()
        await page.get_by_role("button", name="Sign out").click()

        await give_password(page, person.email)
        await code.fill(to_recover_by)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_label("New task")).to_be_visible()


async def test_a_challenge_that_is_over_leads_to_the_password(chromium: Browser, site: str, person: Person) -> None:
    app = pyotp.TOTP((await person.call("POST", "/users/me/totp"))["secret"])
    await person.call("POST", "/users/me/totp/confirm", {"code": app.now()})
    async with looking(chromium, site) as window:
        await give_password(window.page, person.email)
        await window.page.get_by_label("Code").fill(app.at(int(time.time()) + app.interval))
        await person.call("DELETE", "/users/me/totp")

        await window.page.get_by_role("button", name="Sign in").click()

        await expect(window.page.get_by_role("alert")).to_have_text("That took too long. Type your password again.")
        await sign_in(window.page, person.email)


async def test_an_access_token_that_is_over_is_renewed_without_a_word(
    chromium: Browser, site: str, person: Person
) -> None:
    await person.call("POST", "/tasks", {"title": "Find the moth"})
    renewed: list[str] = []
    async with looking(chromium, site) as window:
        await sign_in(window.page, person.email)

        async def spoil(route: Route) -> None:
            await route.continue_(headers={**route.request.headers, "authorization": "Bearer e30.e30.e30"})

        await window.page.route("**/api/v1/tasks?*", spoil, times=1)
        window.page.on("request", lambda request: renewed.append(request.url) if "/refresh" in request.url else None)
        await window.page.get_by_role("button", name="All").click()

        await expect(window.page.get_by_text("Find the moth")).to_be_visible()
        await expect(window.page.get_by_role("button", name="All")).to_have_attribute("aria-pressed", "true")
        assert len(renewed) == 1


async def test_dates_are_those_of_the_reader_and_colours_too(chromium: Browser, site: str, person: Person) -> None:
    await person.call("POST", "/tasks", {"title": "Find the moth", "due_date": "2030-01-31T20:30:00Z"})
    zone: dict[str, Any] = {"timezone_id": "Asia/Tokyo", "locale": "en-GB", "color_scheme": "dark"}
    async with looking(chromium, site, **zone) as window:
        await sign_in(window.page, person.email)

        await expect(window.page.locator("time")).to_have_text("1 Feb 2030, 05:30")
        paper = await window.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert paper == "rgb(20, 24, 30)"


class Trips:
    """The requests to the API, by the screen that they were for."""

    def __init__(self, page: Page) -> None:
        self.since = 0
        self.counted: dict[str, int] = {}
        page.on("request", self.count)

    def count(self, request: Request) -> None:
        self.since += "/api/" in request.url

    def note(self, screen: str | None = None) -> None:
        if screen is not None:
            self.counted[screen] = self.since
        self.since = 0


async def test_a_screen_takes_as_many_round_trips_as_the_readme_says(
    chromium: Browser, site: str, person: Person
) -> None:
    team = await person.call("POST", "/organizations", {"name": "Difference Engines", "slug": "difference-engines"})
    for number in range(MANY):
        await person.call("POST", "/tasks", {"title": f"Task {number}"})
    told = re.findall(r"^\| (.+) \| (\d+) \|$", (EXAMPLE / "README.md").read_text(encoding="utf-8"), re.MULTILINE)

    async with looking(chromium, site) as window:
        trips = Trips(window.page)
        await arrive(window.page, trips, person.email)
        await look_around(window.page, trips)
        await work_in_a_team(window.page, trips, team["id"])
        assert faults_of(window) == []

    assert trips.counted == {screen: int(number) for screen, number in told}
    shared = (await person.call("GET", f"/tasks?organization_id={team['id']}"))["items"]
    assert [task["title"] for task in shared] == ["Oil the engine"]


async def arrive(page: Page, trips: Trips, email: str) -> None:
    """Sign in, and come again."""
    rows, team = page.get_by_role("listitem"), page.get_by_role("option", name="Difference Engines (owner)")
    await expect(page.get_by_label("Password")).to_be_visible()
    trips.note()  # what the first look took may be counted in part
    await page.reload()
    await expect(page.get_by_label("Password")).to_be_visible()
    trips.note("the form to sign in")
    await sign_in(page, email)
    await expect(rows).to_have_count(PAGE)
    await expect(team).to_be_attached()
    trips.note("from the form to the list")
    await page.reload()
    await expect(rows).to_have_count(PAGE)
    await expect(team).to_be_attached()
    trips.note("from a reload to the list")


async def look_around(page: Page, trips: Trips) -> None:
    """Change a task, and see others."""
    rows = page.get_by_role("listitem")
    await page.get_by_label("Done: Task 69").click()
    await expect(page.get_by_label("Done: Task 69")).to_be_enabled()
    trips.note("a change")
    await rows.nth(PAGE - 1).scroll_into_view_if_needed()
    await expect(rows).to_have_count(2 * PAGE)
    trips.note("the next page")
    await page.get_by_role("button", name="Done", exact=True).click()
    await expect(rows).to_have_count(1)
    trips.note("another filter")
    await page.get_by_role("button", name="All").click()
    await expect(rows).to_have_count(PAGE)
    trips.note()
    await page.get_by_label("Search").fill("69")
    await expect(rows).to_have_count(1)
    trips.note("a search")
    await page.get_by_label("Search").fill("")
    await expect(rows).to_have_count(PAGE)
    trips.note()


async def work_in_a_team(page: Page, trips: Trips, team_id: str) -> None:
    """Add a task to a team, and leave."""
    await page.get_by_label("Team").select_option(team_id)
    await expect(page.get_by_text("Nothing here.")).to_be_visible()
    trips.note("another team")
    await add(page, "Oil the engine")
    await expect(page.get_by_role("list")).to_have_attribute("aria-busy", "false")
    trips.note("a new task, and the list with it")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("Password")).to_be_visible()
    trips.note("signing out")


async def test_one_command_starts_it_beside_the_server(
    chromium: Browser, packed: Path, docket: Running, person: Person
) -> None:
    with vite(packed, docket, [str(packed / "run.sh")]) as url:
        async with looking(chromium, url) as window:
            await sign_in(window.page, person.email)
            await expect(window.page.get_by_text("Nothing here.")).to_be_visible()


def test_no_file_of_it_names_a_registry() -> None:
    lock = json.loads((EXAMPLE / "package-lock.json").read_bytes())

    assert "omit-lockfile-registry-resolved=true" in (EXAMPLE / ".npmrc").read_text(encoding="utf-8")
    assert [name for name, one in lock["packages"].items() if "resolved" in one] == []
