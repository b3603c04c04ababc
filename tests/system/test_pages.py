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
PAGES = ["/", "/docs", "/redoc", "/problems", "/problems/validation_error"]
PASSWORD = "nine lives of a lighthouse"
NUMBERS = count(1)
# Not every violation of the policy comes to the console by itself: a script may catch the refusal.
TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.effectiveDirective} ${event.blockedURI}`));
"""


FILLED = """rows => rows.map((row) => {
  const field = row.querySelector("input, select, textarea");
  return [row.dataset.paramName, field ? field.value : ""];
})"""


def parameters_of(operation: dict[str, Any]) -> list[dict[str, Any]]:
    """The parameters of an operation, those of its path too, with their schemas."""
    shared = CONTRACT["paths"][operation["path"]].get("parameters", [])
    return [resolve_reference(one) for one in (*shared, *operation.get("parameters", []))]


def resolve_reference(node: dict[str, Any]) -> dict[str, Any]:
    """What a reference leads to."""
    found: dict[str, Any] = CONTRACT
    for step in node["$ref"].split("/")[1:] if "$ref" in node else ():
        found = found[step]
    return found if "$ref" in node else node


def parameters_in(operation: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The names of the parameters of an operation, and their schemas."""
    found = [(one["name"], one["schema"]) for one in parameters_of(operation)]
    return [(name, resolve_reference(schema) | schema) for name, schema in found]


SCHEMAS_OF_PARAMETERS = dict(pair for operation in OPERATIONS for pair in parameters_in(operation))


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
    await open_all_tags(window.page)

    methods = await window.page.locator(".opblock-summary-method").all_inner_texts()
    paths = await window.page.locator(".opblock-summary-path").evaluate_all("found => found.map(e => e.dataset.path)")
    tags = await window.page.locator(".opblock-tag").evaluate_all("found => found.map(e => e.dataset.tag)")

    assert set(zip(methods, paths, strict=True)) == {(each["method"], each["path"]) for each in OPERATIONS}
    assert tags == [tag["name"] for tag in CONTRACT["tags"]]


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
async def test_the_first_operation_is_within_the_first_screen(window: Window, path: str) -> None:
    await window.open(path)

    await expect(window.page.get_by_text("/api/v1/auth/register").first).to_be_in_viewport()


@pytest.mark.parametrize("window", ["desktop"], indirect=True)
async def test_no_parameter_is_filled_in_but_with_its_default(window: Window) -> None:
    await window.open("/docs")

    unseen = dict(SCHEMAS_OF_PARAMETERS)
    filled: list[tuple[str, str]] = []
    for operation in OPERATIONS:
        if any(parameter["name"] in unseen for parameter in parameters_of(operation)):
            rows = (await open_operation(window.page, operation["operationId"])).locator("tr[data-param-name]")
            await expect(rows).to_have_count(len(parameters_of(operation)))
            filled += [(name, value) for name, value in await rows.evaluate_all(FILLED) if value]
            unseen = {name: schema for name, schema in unseen.items() if name not in dict(parameters_in(operation))}

    assert unseen == {}
    assert [(name, value) for name, value in filled if value != shown_default(SCHEMAS_OF_PARAMETERS[name])] == []


def shown_default(schema: dict[str, Any]) -> str | None:
    default = schema.get("default")
    return default if isinstance(default, str) else json.dumps(default)


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
    await expect(window.page.get_by_text(f"Signed in as {email}.")).to_be_visible()
    created = await execute(window.page, "createTask", body={"title": "Read the whole contract"})
    again = await execute(window.page, "createTask", body={"title": "Read it again", "status": "completed"})
    listed = await execute(window.page, "listTasks")

    assert (created["status"], again["status"], listed["status"]) == ("201", "201", "200")
    assert created["body"]["title"] == "Read the whole contract"
    assert listed["body"]["items"] == [again["body"], created["body"]]
    assert await window.fits()
    assert window.faults == []


async def test_a_password_manager_knows_the_form(window: Window) -> None:
    await window.open("/docs")
    fields = window.page.locator("form.sign-in input")

    asked = await fields.evaluate_all("found => found.map(e => [e.form !== null, e.type, e.autocomplete])")

    assert asked == [[True, "email", "username"], [True, "password", "current-password"]]


async def test_what_is_wrong_with_a_sign_in_is_told(window: Window, email: str) -> None:
    await window.open("/docs")

    await sign_in(window.page, email, "this is not it")

    await expect(window.page.locator("form.sign-in output")).to_contain_text("No account has this e-mail")


async def test_a_newcomer_makes_an_account_and_signs_out(window: Window) -> None:
    await window.open("/docs")
    page, email = window.page, f"newcomer-{next(NUMBERS)}@example.com"

    await page.get_by_label("E-mail").fill(email)
    await page.get_by_role("textbox", name="Password").fill(PASSWORD)
    await page.get_by_role("button", name="Create an account", exact=True).click()
    await expect(page.get_by_text(f"Signed in as {email}.")).to_be_visible()
    await expect(page.locator(".auth-wrapper > .authorize.locked")).to_be_visible()
    await page.get_by_role("button", name="Sign out").click()

    await expect(page.locator(".auth-wrapper > .authorize.unlocked")).to_be_visible()
    await expect(page.get_by_role("textbox", name="Password")).to_have_value("")
    assert window.faults == []


async def test_swagger_ui_forgets_who_was_signed_in(window: Window, email: str) -> None:
    await window.open("/docs")
    await sign_in(window.page, email)
    await expect(window.page.locator(".auth-wrapper > .authorize.locked")).to_be_visible()

    await window.page.reload(wait_until="networkidle")

    await expect(window.page.locator(".auth-wrapper > .authorize.unlocked")).to_be_visible()


async def test_a_browser_finds_its_way_from_the_root(window: Window) -> None:
    await window.open("/")
    page = window.page

    await expect(page.get_by_text(f"version {CONTRACT['info']['version']}")).to_be_visible()
    await page.get_by_role("link", name="Problems").click()
    await page.get_by_role("link", name="precondition_failed").click()
    await expect(page.get_by_role("heading", name="What to do")).to_be_visible()
    await page.get_by_role("link", name="Try the API").click()
    await expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert window.faults == []


async def sign_in(page: Page, email: str, password: str = PASSWORD) -> None:
    """Use the form above the operations, and Enter."""
    await page.get_by_label("E-mail").fill(email)
    await page.get_by_role("textbox", name="Password").fill(password)
    await page.keyboard.press("Enter")


async def open_all_tags(page: Page) -> None:
    await expect(page.locator(".opblock-tag")).to_have_count(len(CONTRACT["tags"]))
    closed = page.locator(".opblock-tag[data-is-open=false]")
    while await closed.count():
        await closed.first.click()
    await expect(page.locator(".opblock")).to_have_count(len(OPERATIONS))


async def open_operation(page: Page, operation_id: str) -> Locator:
    """An operation, with what can be sent."""
    operation = page.locator(f"[id$='-{operation_id}']")
    tag = next(one["tags"][0] for one in OPERATIONS if one["operationId"] == operation_id)
    heading = page.locator(f".opblock-tag[data-tag={tag}]")
    if await heading.get_attribute("data-is-open") == "false":
        await heading.click()
    if "is-open" not in (await operation.get_attribute("class") or ""):
        await operation.locator(".opblock-summary-control").click()
    return operation


async def execute(page: Page, operation_id: str, *, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Try an operation out as a reader does. What comes back is what the page shows."""
    operation = await open_operation(page, operation_id)
    answer = operation.locator(".live-responses-table")
    if await answer.count():  # of the time before
        await operation.get_by_role("button", name="Clear", exact=True).click()
        await expect(answer).to_have_count(0)
    if body is not None:
        await operation.locator("textarea.body-param__text").fill(json.dumps(body))
    await operation.get_by_role("button", name="Execute").click()
    await expect(answer).to_be_visible()
    return {"status": await shown_status(answer), "body": json.loads(await shown_body(answer))}


async def shown_status(answer: Locator) -> str:
    return (await answer.locator(".response .response-col_status").inner_text()).split()[0]


async def shown_body(answer: Locator) -> str:
    return await answer.locator(".highlight-code code").first.inner_text()
