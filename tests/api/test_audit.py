"""Audit logs: who reads them, what narrows them, and that whatever a user is forbidden is among them."""

import re
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from itertools import chain, product
from typing import Any
from uuid import UUID, uuid4

import pytest

from generated.models import AuditAction, AuditOutcome, AuditTargetType
from generated.operations import OPERATIONS
from persistence.engine.pool import Pool
from server.settings.loading import load
from server.settings.settings import Settings
from server.terms import TERMS
from tests.api.conftest import SECRET, client_of, serving, start_app
from tests.client import ApiClient
from tests.conftest import Bench
from tests.factories import NOW, PASSWORD, Factory

NEXT = re.compile(r'<(/api/v1/audit-logs\?[^>]+)>; rel="next"')
USERS, THINGS = [UUID(int=1), UUID(int=2)], [UUID(int=3), UUID(int=4), None]
NO_ONE = UUID(int=0)
MOMENTS = [NOW + timedelta(microseconds=number) for number in range(3)]
FILTERS: dict[str, list[Any]] = {
    "action": [None, "auth.login", "auth.", "user."],
    "actor_id": [None, str(USERS[0])],
    "target_id": [None, str(THINGS[0])],
    "outcome": [None, "denied"],
    "occurred_after": [None, MOMENTS[1].isoformat()],
    "occurred_before": [None, MOMENTS[2].isoformat()],
}
NOTHING: dict[str, Any] = {"action": "weather.", "actor_id": str(NO_ONE), "target_id": str(NO_ONE)}


def plainly(entries: list[dict[str, Any]], given: Mapping[str, str]) -> list[str]:
    """The ids that a list with these filters has, as anybody would write it."""
    kept = [
        entry
        for entry in entries
        if given.get("action") in (None, entry["action"], f"{entry['action'].partition('.')[0]}.")
        and given.get("actor_id") in (None, str(entry["actor_id"]))
        and given.get("target_id") in (None, str(entry["target_id"]))
        and given.get("outcome") in (None, entry["outcome"])
        and ("occurred_after" not in given or entry["occurred_at"] >= datetime.fromisoformat(given["occurred_after"]))
        and ("occurred_before" not in given or entry["occurred_at"] < datetime.fromisoformat(given["occurred_before"]))
    ]
    return [str(entry["id"]) for entry in sorted(kept, key=lambda e: (e["occurred_at"], e["id"].bytes), reverse=True)]


def ids(page: Any) -> list[str]:
    return [entry["id"] for entry in page["items"]]


async def pages(root: ApiClient, first: str) -> AsyncIterator[Any]:
    """The pages from this one on, as `Link` tells: its URL is sent as it is."""
    url = first
    while url:
        page = await root.send("GET", f"/{url}", expect=200)
        yield page
        following = NEXT.fullmatch(page.headers.get("link", ""))
        assert (following is not None) == page["has_more"] == (page["next_cursor"] is not None)
        url = following[1] if following else ""


async def read_entries(db: Bench) -> list[dict[str, Any]]:
    """What is in the table."""
    return [dict(record) for record in await db.fetch("SELECT * FROM audit_logs ORDER BY occurred_at", [])]


@pytest.fixture
async def root(api: ApiClient, make: Factory) -> ApiClient:
    """A superuser."""
    return api.as_(await make.user(is_superuser=True))


@pytest.fixture
async def entries(make: Factory) -> list[dict[str, Any]]:
    """What users did to things, in every way that filters tell apart, three times at a moment."""
    made: list[dict[str, Any]] = []
    actions = ["auth.login", "auth.logout", "user.created_superuser"]
    for action, actor, target, outcome in product(actions, USERS, THINGS, AuditOutcome):
        values = {
            "occurred_at": MOMENTS[len(made) % 3],
            "action": action,
            "actor_id": actor,
            "target_type": target and "user",
            "target_id": target,
            "outcome": outcome.value,
        }
        made.append(values | {"id": await make.audit_log(**values)})
    return made


class TestLists:
    async def test_filters_alone_and_together_keep_what_a_plain_filter_keeps(
        self, root: ApiClient, entries: list[dict[str, Any]]
    ) -> None:
        lengths = set()
        for values in product(*FILTERS.values()):
            given = {name: value for name, value in zip(FILTERS, values, strict=True) if value is not None}
            page = await root.get("/audit-logs", limit=200, **given)

            assert ids(page) == plainly(entries, given), given
            lengths.add(len(ids(page)))
        assert {0, len(entries)} < lengths

    @pytest.mark.parametrize("limit", [1, 7, 54, 55])
    async def test_pages_follow_to_the_end_newest_first(
        self, root: ApiClient, entries: list[dict[str, Any]], limit: int
    ) -> None:
        found = [ids(page) async for page in pages(root, f"/api/v1/audit-logs?limit={limit}")]

        assert [*chain(*found)] == plainly(entries, {})
        assert all(len(page) == limit for page in found[:-1])

    @pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=5, minutes=30))], ids=str)
    async def test_pages_carry_their_filters(
        self, root: ApiClient, entries: list[dict[str, Any]], zone: timezone
    ) -> None:
        given: dict[str, Any] = {
            "action": "auth.",
            "actor_id": str(USERS[0]),
            "outcome": "success",
            "occurred_after": MOMENTS[0].astimezone(zone).isoformat(),
            "occurred_before": MOMENTS[2].astimezone(zone).isoformat(),
        }
        first = await root.get("/audit-logs", limit=1, **given)
        following = NEXT.fullmatch(first.headers["link"])
        assert following
        found = [ids(page) async for page in pages(root, following[1])]

        assert [*ids(first), *chain(*found)] == plainly(entries, given)
        assert len(found) > 0

    @pytest.mark.parametrize("name", NOTHING)
    @pytest.mark.usefixtures("entries")
    async def test_what_nothing_has_gives_an_empty_page(self, root: ApiClient, name: str) -> None:
        page = await root.get("/audit-logs", **{name: NOTHING[name]})

        assert (page["items"], page["next_cursor"], page["has_more"]) == ([], None, False)

    @pytest.mark.parametrize("other", [{}, {"action": "auth."}, {"action": "auth.login", "outcome": "denied"}], ids=str)
    @pytest.mark.usefixtures("entries")
    async def test_a_cursor_of_another_list_is_refused(self, root: ApiClient, other: dict[str, Any]) -> None:
        first = await root.get("/audit-logs", limit=1, action="auth.login")

        problem = await root.get("/audit-logs", expect=400, cursor=first["next_cursor"], **other)

        assert problem["code"] == "invalid_cursor"

    @pytest.mark.parametrize(
        ("query", "pointer", "code"),
        [
            ({"action": "auth"}, "/action", "pattern"),
            ({"action": "."}, "/action", "pattern"),
            ({"action": "auth.%"}, "/action", "pattern"),
            ({"action": f"auth.{'x' * 60}"}, "/action", "max_length"),
            ({"actor_id": "ada"}, "/actor_id", "format"),
            ({"target_id": ""}, "/target_id", "format"),
            ({"outcome": "perhaps"}, "/outcome", "enum"),
            ({"occurred_after": "2026-01-31"}, "/occurred_after", "format"),
            ({"occurred_before": "1899-12-31T00:00:00Z"}, "/occurred_before", "pattern"),
            ({"limit": "201"}, "/limit", "maximum"),
            ({"sort": "id"}, "/sort", "unknown_parameter"),
        ],
        ids=str,
    )
    async def test_what_the_contract_does_not_take_is_named(
        self, root: ApiClient, query: dict[str, Any], pointer: str, code: str
    ) -> None:
        problem = await root.get("/audit-logs", expect=422, **query)

        assert (pointer, code) in [(fault["pointer"], fault["code"]) for fault in problem["errors"]]


class TestEntries:
    async def test_an_entry_is_all_that_was_written(self, root: ApiClient, make: Factory) -> None:
        values = {
            name: uuid4() for name in ("actor_id", "target_id", "organization_id", "session_id", "access_token_id")
        }
        more = {"reason": "because", "user_agent": "curl/8", "request_id": "r-1", "task_count": 7}
        more |= {"changes": ["email", "full_name"]}
        audit_log_id = await make.audit_log(
            action="auth.logout", outcome="failure", target_type="session", ip_address="2001:db8::7", **values, **more
        )

        entry = await root.get(f"/audit-logs/{audit_log_id}")

        assert (
            entry.body
            == {
                "id": str(audit_log_id),
                "occurred_at": NOW.isoformat().replace("+00:00", "Z"),
                "actor": {"type": "user", "id": str(values["actor_id"])},
                "action": "auth.logout",
                "outcome": "failure",
                "target": {"type": "session", "id": str(values["target_id"])},
                "organization_id": str(values["organization_id"]),
                "session_id": str(values["session_id"]),
                "access_token_id": str(values["access_token_id"]),
                "ip_address": "2001:db8::7",
            }
            | more
        )
        assert (await root.get("/audit-logs"))["items"] == [entry.body]
        assert entry.headers["cache-control"] == "no-store"

    async def test_what_is_empty_is_null(self, root: ApiClient, make: Factory) -> None:
        entry = await root.get(f"/audit-logs/{await make.audit_log()}")

        assert entry["actor"] == {"type": "system", "id": None}
        assert {name for name, value in entry.body.items() if value is None} == {
            "reason",
            "target",
            "organization_id",
            "session_id",
            "access_token_id",
            "ip_address",
            "user_agent",
            "task_count",
        }

    @pytest.mark.parametrize("audit_log_id", [str(NO_ONE), "none", "0", "%00"])
    async def test_what_is_not_there_is_not_found(self, root: ApiClient, audit_log_id: str) -> None:
        assert (await root.get(f"/audit-logs/{audit_log_id}", expect=404))["code"] == "not_found"

    @pytest.mark.parametrize("action", AuditAction)
    async def test_every_action_of_the_contract_can_be_written(
        self, root: ApiClient, make: Factory, action: AuditAction
    ) -> None:
        await make.audit_log(action=action)

        assert len((await root.get("/audit-logs", action=action.value))["items"]) == 1


class TestPermission:
    @pytest.mark.parametrize("path", ["/audit-logs", f"/audit-logs/{NO_ONE}"])
    async def test_who_is_not_signed_in_is_asked_to(self, api: ApiClient, db: Bench, path: str) -> None:
        assert (await api.get(path, expect=401))["code"] == "authentication_required"
        assert await read_entries(db) == []

    @pytest.mark.proves("ASVS 5.0 16.4.2", "Only superusers read the audit log")
    @pytest.mark.parametrize("path", ["/audit-logs", "/audit-logs/{known}", f"/audit-logs/{NO_ONE}"])
    async def test_nobody_but_a_superuser_reads_them_or_learns_which_there_are(
        self, api: ApiClient, make: Factory, path: str
    ) -> None:
        ada = await make.user()
        await make.team(owner=ada)
        known = await make.audit_log(actor_id=ada.id)

        problem = await api.as_(ada).get(path.format(known=known), expect=403)

        assert problem["code"] == "permission_denied"

    @pytest.mark.parametrize("path", ["/audit-logs", "/audit-logs/{known}"])
    async def test_a_superuser_who_is_none_any_more_feels_it_at_once(
        self, api: ApiClient, make: Factory, db: Bench, path: str
    ) -> None:
        ada = await make.user(is_superuser=True)
        path = path.format(known=await make.audit_log())
        await api.as_(ada).get(path)

        await db.fetch("UPDATE users SET is_superuser = false WHERE id = $1", [ada.id])
        await api.as_(ada).get(path, expect=403)
        await db.fetch("UPDATE sessions SET revoked_at = now(), revoke_reason = 'logout'", [])
        await api.as_(ada).get(path, expect=401)

    @pytest.mark.usefixtures("still_window")
    async def test_reading_is_limited_for_each_user_and_each_address(self, make: Factory, db: Bench) -> None:
        limited = load(environment="staging", secret_key=SECRET, log_level="error")
        ada, bob = await make.user(is_superuser=True), await make.user(is_superuser=True)
        async with start_app(limited, db) as app, client_of(app, limited) as api:
            for _ in range(30):
                await api.as_(ada).get("/audit-logs")
                await api.get("/audit-logs", expect=401)

            assert "retry-after" in (await api.as_(ada).get("/audit-logs", expect=429)).headers
            await api.get("/audit-logs", expect=429)
            await api.as_(bob).get("/audit-logs")
            await api.as_(ada).get("/tasks")


class TestDenials:
    @pytest.mark.proves("ASVS 5.0 16.3.2", "What a signed-in user is forbidden is written down")
    async def test_what_a_user_is_forbidden_is_written_down(self, api: ApiClient, make: Factory, db: Bench) -> None:
        ada, bob = await make.user(), await make.user()
        team = await make.team(owner=ada, member=bob)
        task_id = await make.task(team, ada)
        client = api.as_(bob).with_headers(User_Agent="x" * 501, X_Request_ID="the-denied-one")
        before = datetime.now(UTC)

        await client.delete(f"/tasks/{task_id}", expect=403)

        [entry] = await read_entries(db)
        assert entry.pop("id").version == 7
        assert before <= entry.pop("occurred_at") <= datetime.now(UTC)
        assert entry == {
            "actor_type": "user",
            "actor_id": bob.id,
            "action": "access.denied",
            "outcome": "denied",
            "reason": "deleteTask",
            "target_type": "task",
            "target_id": task_id,
            "organization_id": team,
            "session_id": bob.session_id,
            "access_token_id": None,
            "ip_address": "127.0.0.1",
            "user_agent": "x" * 500,
            "request_id": "the-denied-one",
            "changes": [],
            "task_count": None,
        }

    async def test_a_superuser_reads_who_tried_to_read(self, api: ApiClient, make: Factory, root: ApiClient) -> None:
        ada = await make.user()
        await api.as_(ada).get("/audit-logs", expect=403)
        await api.as_(ada).get(f"/audit-logs/{UUID(int=7)}", expect=403)

        page = await root.get("/audit-logs", action="access.denied", actor_id=str(ada.id))

        target = {"type": "audit_log", "id": str(UUID(int=7))}
        assert [(e["reason"], e["target"]) for e in page["items"]] == [("getAuditLog", target), ("listAuditLogs", None)]

    async def test_nothing_but_what_a_user_is_forbidden_is_written_down(
        self, api: ApiClient, make: Factory, db: Bench
    ) -> None:
        ada = await make.user(email="ada@example.com", is_active=False)
        bob = api.as_(await make.user())

        await api.post("/auth/login", {"email": "ada@example.com", "password": PASSWORD}, expect=403)
        await api.as_(ada).get("/auth/me", expect=401)
        await bob.get("/tasks", expect=404, organization_id=str(ada.id))
        await bob.get("/tasks", expect=422, limit="0")

        assert [entry for entry in await read_entries(db) if entry["action"] == "access.denied"] == []

    async def test_a_denial_is_committed_at_once(self, fresh: Pool, settings: Settings) -> None:
        ada = await Factory(fresh).user()
        async with serving(settings, fresh) as api:
            await api.as_(ada).get("/audit-logs", expect=403)

        assert len(await fresh.fetch("SELECT FROM audit_logs", [])) == 1

    def test_whatever_a_path_names_can_be_a_target(self) -> None:
        signed_in = [operation for operation in OPERATIONS if TERMS[operation.id].roles is not None]
        names = {p.argument for operation in signed_in for p in operation.parameters if p.where == "path"}

        assert {name.removesuffix("_id") for name in names} <= set(AuditTargetType)
