"""The pages in a real browser, on a real server."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, ConsoleMessage, Locator, Page, Request, Response, ViewportSize, expect

CONTRACT: dict[str, Any] = json.loads((Path(__file__).parents[2] / "generated/openapi.json").read_bytes())
METHODS = {"get", "post", "put", "patch", "delete"}
OPERATIONS = [
    {"path": path, "method": method.upper(), **operation}
    for path, methods in CONTRACT["paths"].items()
    for method, operation in methods.items()
    if method in METHODS
]
SCREENS = {
    "desktop": ViewportSize(width=1280, height=900),
    "phone": ViewportSize(width=390, height=844),
}
PAGES = ["/docs", "/redoc", "/problems/validation_error"]
PASSWORD = "nine lives of a lighthouse"
NUMBERS = count(1)
# Not every violation of the policy comes to the console by itself: a script may catch the refusal.
TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.effectiveDirective} ${event.blockedURI}`));
"""


@dataclass
class Window:
    """A window of the browser, and everything that should not happen in it."""

    page: Page
    url: str
    faults: list[str] = field(default_factory=list)

    async def watch(self) -> None:
        await self.page.add_init_script(TELL_VIOLATIONS)
        self.page.on("console", self.on_console)
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("request", self.on_request)
        self.page.on("requestfailed", lambda request: self.faults.append(f"{request.url}: {request.failure}"))
        self.page.on("response", self.on_response)

    def on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.faults.append(f"console: {message.text}")

    def on_request(self, request: Request) -> None:
        if not request.url.startswith((f"{self.url}/", "data:")):
            self.faults.append(f"another host: {request.url}")

    def on_response(self, response: Response) -> None:
        if response.status >= httpx.codes.BAD_REQUEST:
            self.faults.append(f"{response.status}: {response.url}")

    async def open(self, path: str) -> None:
        """Go there, and wait until there is something to see: a slow browser is idle before."""
        await self.page.goto(self.url + path, wait_until="networkidle")
        await expect(self.page.get_by_role("heading").first).to_be_visible()

    async def fits(self) -> bool:
        """Whether nothing is to the right of the window."""
        fits: bool = await self.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        return fits


@pytest.fixture(params=list(SCREENS))
async def window(request: pytest.FixtureRequest, chromium: Browser, server_url: str) -> AsyncIterator[Window]:
    context = await chromium.new_context(viewport=SCREENS[request.param])
    opened = Window(await context.new_page(), server_url.replace("127.0.0.1", "docket.test"))
    await opened.watch()
    yield opened
    await context.close()


@pytest.fixture
async def email(server_url: str) -> str:
    """The address of a new account, whose password is PASSWORD."""
    address = f"reader-{next(NUMBERS)}@example.com"
    async with httpx.AsyncClient(base_url=server_url, timeout=60) as client:
        answer = await client.post("/api/v1/auth/register", json={"email": address, "password": PASSWORD})
    assert answer.status_code == httpx.codes.CREATED, answer.text
    return address


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_opens_without_a_fault_and_asks_no_other_host(window: Window, path: str) -> None:
    await window.open(path)

    assert window.faults == []


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_is_as_wide_as_its_window(window: Window, path: str) -> None:
    await window.open(path)

    assert await window.fits()


async def test_swagger_ui_shows_every_operation_of_the_contract(window: Window) -> None:
    await window.open("/docs")
    await expect(window.page.locator(".opblock")).to_have_count(len(OPERATIONS))

    methods = await window.page.locator(".opblock-summary-method").all_inner_texts()
    paths = await window.page.locator(".opblock-summary-path").evaluate_all("found => found.map(e => e.dataset.path)")

    assert set(zip(methods, paths, strict=True)) == {(each["method"], each["path"]) for each in OPERATIONS}


@pytest.mark.parametrize("window", ["desktop"], indirect=True)
async def test_the_menu_of_redoc_names_every_operation_of_the_contract(window: Window) -> None:
    await window.open("/redoc")

    links: set[str | None] = set()
    for tag in CONTRACT["tags"]:
        await window.page.get_by_role("link", name=tag["name"], exact=True).click()
        operations = window.page.locator(f".menu-item-type-operation a[href^='#/{tag['name']}/']")
        await expect(operations.first).to_be_visible()
        links.update([await link.get_attribute("href") for link in await operations.all()])

    assert links == {f"#/{each['tags'][0]}/{each['operationId'].lower()}" for each in OPERATIONS}
    assert window.faults == []


async def test_redoc_opens_at_an_operation(window: Window) -> None:
    await window.open("/redoc#/tasks/createtask")

    await expect(window.page.locator("h2", has_text="Create a task")).to_be_in_viewport()
    assert window.faults == []


async def test_redoc_finds_an_operation_by_its_search(window: Window) -> None:
    await window.open("/redoc")
    await expect(window.page.get_by_text("Loading...", exact=True)).to_have_count(0)  # its index of words

    await window.page.keyboard.press("Control+k")
    await window.page.keyboard.type("Create a task")
    await window.page.locator("[data-component-name='Search/SearchItem']", has_text="POST").first.click()

    await expect(window.page.locator("h2", has_text="Create a task")).to_be_in_viewport()
    assert window.faults == []


async def test_redoc_reports_nothing_to_its_makers(window: Window) -> None:
    await window.page.clock.install()
    await window.open("/redoc")

    await window.page.clock.run_for(60_000)  # it would gather its reports for some seconds
    await window.page.evaluate("fetch('/livez').then((answer) => answer.text())")  # what it sent before is known then

    assert window.faults == []


async def test_a_reader_signs_in_creates_a_task_and_lists_it(window: Window, email: str) -> None:
    await window.open("/docs")

    await sign_in(window.page, email)
    created = await execute(window.page, "createTask", body={"title": "Read the whole contract"})
    listed = await execute(window.page, "listTasks")

    assert created["status"] == "201"
    assert created["body"]["title"] == "Read the whole contract"
    assert listed["status"] == "200"
    assert listed["body"]["items"] == [created["body"]]
    assert await window.fits()
    assert window.faults == []


async def test_swagger_ui_forgets_who_was_signed_in(window: Window, email: str) -> None:
    await window.open("/docs")
    await sign_in(window.page, email)

    await window.page.reload(wait_until="networkidle")

    await expect(window.page.locator(".auth-wrapper > .authorize.unlocked")).to_be_visible()


async def sign_in(page: Page, email: str) -> None:
    """Use the password form of the Authorize button, leaving the client empty."""
    await page.locator(".auth-wrapper > .authorize").click()
    await expect(page.locator("#oauth_username")).to_be_focused()
    await page.locator("#oauth_username").fill(email)
    await page.locator("#oauth_password").fill(PASSWORD)
    await page.get_by_role("button", name="Apply given OAuth2 credentials").click()
    await expect(page.get_by_role("button", name="Remove authorization")).to_be_visible()
    await page.locator(".modal-ux .close-modal").click()
    await expect(page.locator(".auth-wrapper > .authorize.locked")).to_be_visible()


async def execute(page: Page, operation_id: str, *, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Try an operation out as a reader does. What comes back is what the page shows."""
    operation = page.locator(f"[id$='-{operation_id}']")
    await operation.locator(".opblock-summary").click()
    if body is not None:
        await operation.locator("textarea.body-param__text").fill(json.dumps(body))
    await operation.get_by_role("button", name="Execute").click()
    answer = operation.locator(".live-responses-table")
    await expect(answer).to_be_visible()
    return {"status": await shown_status(answer), "body": json.loads(await shown_body(answer))}


async def shown_status(answer: Locator) -> str:
    return (await answer.locator(".response .response-col_status").inner_text()).split()[0]


async def shown_body(answer: Locator) -> str:
    return await answer.locator(".highlight-code code").first.inner_text()
