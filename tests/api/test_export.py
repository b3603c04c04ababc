"""The export of all that is stored about a user: everything, and nothing about others."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from persistence.tables import (
    AccessToken,
    AuditLog,
    DeletedIdentity,
    Event,
    EventLog,
    ExternalIdentity,
    IdempotencyKey,
    Invitation,
    Job,
    LoginThrottle,
    Member,
    OneTimeToken,
    Organization,
    OutboxMail,
    RecoveryCode,
    Registration,
    Row,
    SecondFactor,
    Session,
    Task,
    User,
)
from tests.client import DOCUMENT, ApiClient
from tests.conftest import Bench
from tests.factories import NOW, Factory

MORE = 2_001  # tasks, which are three batches
EXPORTED: dict[type[Row], str] = {
    User: "User",
    ExternalIdentity: "ExportedIdentity",
    Session: "ExportedSession",
    AccessToken: "ExportedAccessToken",
    Member: "ExportedMembership",
    IdempotencyKey: "ExportedRequest",
    Task: "Task",
    AuditLog: "AuditLog",
    Event: "Change",
}
"""The tables, and the schemas that their rows have in the export."""
LEFT_OUT: dict[type[Row], str] = {
    Organization: "a personal one is told with its membership, a team is not about one user",
    DeletedIdentity: "is kept of those who are gone, by a keyed hash",
    Invitation: "is a question of a team, and gone when it is answered",
    OutboxMail: "is gone when it is sent",
    Registration: "is of no account yet",
    EventLog: "is about the log, and no user",
    Job: "what operators do is about no user",
    OneTimeToken: "is kept for half an hour, by a hash",
    SecondFactor: "is a secret, and told as mfa_enabled",
    RecoveryCode: "is a secret, kept by a hash",
    LoginThrottle: "is kept by a keyed hash and says how often a password was wrong",
}
OF_THE_CALLER = "is the caller"
COLUMNS_LEFT_OUT = {
    "users.hashed_password": "a secret",
    "users.verified_email_key": "told as email_verified",
    "users.email_key": "made of what is exported",
    "users.username_key": "made of what is exported",
    "users.words": "made of what is exported",
    "users.tokens_valid_from": "how tokens are judged, which are not exported either",
    "external_identities.user_id": OF_THE_CALLER,
    "sessions.user_id": OF_THE_CALLER,
    "access_tokens.user_id": OF_THE_CALLER,
    "access_tokens.secret_hash": "what the token is proved by",
    "sessions.generation": "what refresh tokens are made of",
    "sessions.rotated_at": "what refresh tokens are made of",
    "sessions.previous_rotated_at": "what refresh tokens are made of",
    "organization_members.user_id": OF_THE_CALLER,
    "organization_members.joined_after": "a place in the event log",
    "organization_members.joined_seq": "a place in the event log",
    "tasks.priority_rank": "made of what is exported",
    "tasks.search": "made of what is exported",
    "tasks.search_vector": "made of what is exported",
    "tasks.title_key": "made of what is exported",
    "events.feed_id": OF_THE_CALLER,
    "events.xid": "a place in the event log",
    "events.seq": "a place in the event log",
    "events.day": "is in occurred_at",
    "events.transaction": "a place in the event log",
    "events.subject_id": "is in subject",
    "events.caused_by": "is in actor and request_id",
    "idempotency_keys.user_id": OF_THE_CALLER,
    "idempotency_keys.fingerprint": "a keyed hash",
    "idempotency_keys.headers": "what was answered is that which was made",
    "idempotency_keys.body": "what was answered is that which was made",
    "idempotency_keys.named_user_id": "an account that a superuser made is of somebody else",
    "audit_logs.actor_type": "is in actor",
    "audit_logs.actor_id": "is in actor",
    "audit_logs.target_type": "is in target",
    "audit_logs.target_id": "is in target",
}


def test_every_column_is_in_the_export_or_left_out_for_a_reason() -> None:
    lacking = {
        f"{table.__tablename__}.{column.name}"
        for table, schema in EXPORTED.items()
        for column in table.__table__.columns
        if column.name not in DOCUMENT["components"]["schemas"][schema]["properties"]
    }

    assert {mapper.class_ for mapper in Row.registry.mappers} == EXPORTED.keys() | LEFT_OUT.keys()
    assert lacking == COLUMNS_LEFT_OUT.keys()


@pytest.mark.proves("", "Everybody can fetch all that is stored about him, and nothing about others")
async def test_it_has_everything_about_the_caller_and_nothing_about_others(
    api: ApiClient, make: Factory, db: Bench
) -> None:
    ada, bob = await make.user(full_name="Ada"), await make.user(full_name="Bob")
    team = await make.team(owner=ada, member=bob)
    left = await make.team(owner=bob)
    await make.row(ExternalIdentity, {"issuer": "https://issuer.example", "subject": "ada", "user_id": ada.id})
    over = await make.session(ada.id, revoked_at=NOW, revoke_reason="logout", ip_address="192.0.2.7")
    mine = {await make.task(ada.id, ada), await make.task(team, ada, status="completed")}
    for organization_id, author in ((team, bob), (bob.id, bob), (left, ada)):
        await make.task(organization_id, author)
    made = await api.as_(ada).with_headers(Idempotency_Key="once").post("/tasks", {"title": "Once"})
    await make.audit_log(actor_id=bob.id, target_type="user", target_id=bob.id)
    done_to = await make.audit_log(
        actor_type="user", actor_id=bob.id, target_type="user", target_id=ada.id,
        ip_address="192.0.2.8", user_agent="Bob's", session_id=bob.session_id,
    )  # fmt: skip

    export = await api.as_(ada).get("/users/me/export")

    assert export.headers["cache-control"] == "no-store"
    assert "content-length" not in export.headers
    assert export["profile"] == (await api.as_(ada).get("/users/me")).body
    assert export["identities"] == [{"issuer": "https://issuer.example", "subject": "ada", "created_at": as_text(NOW)}]
    assert ids(export["sessions"]) == {str(ada.session_id), str(over)}
    assert {each["organization_id"]: each["role"] for each in export["memberships"]} == {
        str(ada.id): "owner",
        str(team): "owner",
    }
    assert [(each["key"], each["status"]) for each in export["requests"]] == [("once", 201)]
    assert ids(export["tasks"]) == {made["id"], *map(str, mine)}
    assert export["tasks"][0] == (await api.as_(ada).get(f"/tasks/{export['tasks'][0]['id']}")).body
    *_, exported, suffered = export["audit_logs"]
    assert exported["action"] == "user.exported"
    assert suffered["id"] == str(done_to)
    assert [suffered[name] for name in ("session_id", "ip_address", "user_agent")] == [None] * 3
    assert ids(export["audit_logs"]) == {
        str(record["id"])
        for record in await db.fetch("SELECT id FROM audit_logs WHERE $1 IN (actor_id, target_id)", [ada.id])
    }


async def test_it_has_the_tasks_of_others_in_the_personal_organization(api: ApiClient, make: Factory) -> None:
    ada, gil = await make.user(), await make.user()
    team = await make.team(owner=ada, admin=gil)
    moved = await make.task(team, gil, title="Moved")
    await make.task(team, gil)
    nobodys = await make.task(ada.id, ada, user_id=None)
    mine = await make.task(ada.id, ada)
    await api.as_(ada).patch(f"/tasks/{moved}", {"organization_id": str(ada.id)})

    tasks = (await api.as_(ada).get("/users/me/export"))["tasks"]

    assert ids(tasks) == {str(mine), str(moved), str(nobodys)}
    assert str(moved) not in ids((await api.as_(gil).get("/users/me/export"))["tasks"])


def ids(items: list[dict[str, Any]]) -> set[str]:
    assert len({item["id"] for item in items}) == len(items)
    return {item["id"] for item in items}


def as_text(moment: Any) -> str:
    return str(moment.isoformat()).replace("+00:00", "Z")


async def test_an_account_with_nothing_has_empty_lists(api: ApiClient, make: Factory) -> None:
    export = await api.as_(await make.user()).get("/users/me/export")

    assert (export["identities"], export["requests"], export["tasks"]) == ([], [], [])


async def test_it_has_every_row_of_several_batches_once(api: ApiClient, make: Factory, db: Bench) -> None:
    ada, bob = await make.user(), await make.user()
    for author in (ada, bob):
        await fill(db, ada.id, author.id)

    export = await api.as_(ada).get("/users/me/export")

    assert len(ids(export["tasks"])) == len(ids(export["changes"])) == 2 * MORE
    assert sum(task["completed"] for task in export["tasks"]) == MORE // 2 * 2
    assert [task["user_id"] for task in export["tasks"]] == [str(ada.id)] * MORE + [str(bob.id)] * MORE


async def test_it_has_what_changed_for_the_caller_alone(api: ApiClient, make: Factory) -> None:
    ada, bob = await make.user(), await make.user()
    team = await make.team(owner=bob, member=ada)
    for author in (ada, bob):
        task = await api.as_(author).post("/tasks", {"title": "Own"})
        await api.as_(author).delete(f"/tasks/{task['id']}")
    await api.as_(bob).post("/tasks", {"title": "Shared", "organization_id": str(team)})

    changes = (await api.as_(ada).get("/users/me/export"))["changes"]

    ids(changes)
    assert [(one["type"], one["organization_id"]) for one in changes] == [
        ("organization.joined", None),
        ("task.created", str(ada.id)),
        ("task.deleted", str(ada.id)),
    ]


async def test_changes_of_another_epoch_are_there_too(api: ApiClient, make: Factory) -> None:
    ada, today = await make.user(), datetime.now(UTC)
    for days, xid in ((0, 10**12), (1, 5)):  # in another cluster transactions are counted anew
        moment, numbers = today + timedelta(days=days), {"xid": xid, "seq": 10**9 + days, "transaction": xid}
        told = {"feed_id": ada.id, "type": "task.deleted", "subject_id": uuid4(), "version": days + 1}
        await make.row(Event, told | numbers | {"day": moment.date(), "occurred_at": moment})

    changes = (await api.as_(ada).get("/users/me/export"))["changes"]

    assert sorted(one["version"] for one in changes) == [1, 2]


async def test_head_has_no_body_begins_nothing_and_is_noted_as_granted(
    api: ApiClient, make: Factory, db: Bench
) -> None:
    answer = await api.as_(await make.user()).send("HEAD", "/users/me/export", expect=200)

    assert answer.content == b""
    assert await db.fetch("SELECT FROM audit_logs WHERE action = 'user.exported'", [])


async def fill(db: Bench, organization_id: UUID, user_id: UUID) -> None:
    """Tasks of the user in the organization, every other one completed."""
    await db.fetch(
        """
        INSERT INTO tasks (organization_id, id, user_id, title, status, priority, completed_at, created_at, updated_at)
        SELECT $1, gen_random_uuid(), $2, 'A task', CASE WHEN done IS NULL THEN 'pending' ELSE 'completed' END,
               'low', done, m, m
        FROM (SELECT i, $3::timestamptz AS m, CASE i % 2 WHEN 0 THEN $3::timestamptz END AS done
              FROM generate_series(1, $4::int) i) AS numbered
        """,
        [organization_id, user_id, NOW - timedelta(days=1), MORE],
    )
