"""`streamChanges`: what a reader is told, where it goes on, and why a stream ends."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from handlers import changes
from handlers.shared import streams
from persistence.engine.pool import Pool
from persistence.queries import event_log
from security.keys import Keys
from security.tokens import Tokens
from server.app import AUDIENCE, ISSUER, WAITS_OF_A_CALLER
from server.protocol import streams as sending
from server.settings.settings import Settings
from tests.api.conftest import serving
from tests.api.test_access_tokens import make_token
from tests.client import ApiClient
from tests.factories import Factory
from tests.streams import Reader, reading

MONITORING = "the token of monitoring"


@pytest.fixture
async def client(settings: Settings, fresh: Pool) -> AsyncIterator[ApiClient]:
    """A client of a server upon a database of its own: what is not committed is told to none."""
    await event_log.renew(fresh)
    async with serving(settings, fresh) as client:
        yield client


async def create(own: ApiClient, title: str = "A task", **more: str) -> str:
    task: str = (await own.post("/tasks", {"title": title} | more))["id"]
    return task


async def metric(client: ApiClient, name: str) -> float:
    answer = await client.http.get("/metrics", headers={"Authorization": f"Bearer {MONITORING}"})
    return next(float(line.split()[1]) for line in answer.text.splitlines() if line.startswith(f"{name} "))


async def test_a_reader_is_told_what_changes_as_it_comes(client: ApiClient, fresh: Pool) -> None:
    own = client.as_(await Factory(fresh).user())
    async with reading(own) as reader:
        assert (reader.status, reader.headers["content-type"]) == (200, "text/event-stream")
        assert reader.headers["x-accel-buffering"] == "no"
        begin = reader.last_id
        task = await create(own)
        await own.patch(f"/tasks/{task}", {"status": "completed"})
        await own.delete(f"/tasks/{task}")

        told = [await reader.change() for _ in range(3)]

    assert [one["type"] for one in told] == ["task.created", "task.updated", "task.deleted"]
    assert [one["version"] for one in told] == [1, 2, 3]
    page = await own.get("/changes", cursor=begin)
    assert page["items"] == told
    assert (await own.get("/changes", cursor=reader.last_id))["items"] == []


async def test_a_reader_goes_on_from_any_position(
    client: ApiClient, fresh: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "PAGE", 2)
    own = client.as_(await Factory(fresh).user())
    begin = (await own.get("/changes"))["next_cursor"]
    tasks = [await create(own) for _ in range(5)]

    async with reading(own, cursor=begin) as reader:
        first = [await reader.change() for _ in range(3)]
    async with reading(own.with_headers(Last_Event_ID=reader.last_id), cursor=begin) as again:
        rest = await again.until(tasks[-1])
        live = await create(own)
        rest += await again.until(live)

    assert [one["subject"]["id"] for one in first + rest] == [*tasks, live]


async def test_readers_of_a_team_are_told_at_once_what_each_may_know(client: ApiClient, fresh: Pool) -> None:
    make = Factory(fresh)
    ada, bob, eve = [await make.user() for _ in range(3)]
    here, there = await make.team(owner=ada, admin=bob), await make.team(owner=ada, admin=eve)
    async with (
        reading(client.as_(ada)) as both,
        reading(client.as_(bob)) as one,
        reading(client.as_(eve)) as other,
        reading(client.as_(ada), organization_id=str(here)) as only,
    ):
        task = await create(client.as_(ada), organization_id=str(here))
        for reader in (both, one, only):
            assert [told["type"] for told in await reader.until(task)][-1] == "task.created"
        await client.as_(ada).patch(f"/tasks/{task}", {"organization_id": str(there)})

        moved, gone, come, away = [(await reader.until(task))[-1] for reader in (both, one, other, only)]

    assert (moved["type"], moved["organization_id"]) == ("task.moved", str(there))
    assert (gone["type"], gone["organization_id"], gone["data"]) == ("task.deleted", str(here), None)
    assert (come["type"], come["organization_id"]) == ("task.created", str(there))
    assert away == gone
    assert str(there) not in str(gone)


async def test_who_has_left_is_told_so_and_nothing_later(client: ApiClient, fresh: Pool) -> None:
    make = Factory(fresh)
    ada, bob = await make.user(), await make.user()
    team = await make.team(owner=ada)
    own, other = client.as_(ada), client.as_(bob)
    async with reading(other) as reader:
        before = await create(own, organization_id=str(team))
        await make.member(team, bob.id, "member")
        task = await create(own, organization_id=str(team))
        joined = await reader.until(task)
        async with reading(other, organization_id=str(team)) as only:
            await own.delete(f"/organizations/{team}/members/{bob.id}")
            secret = await create(own, organization_id=str(team))
            last = await create(other)
            left = await reader.until(last)
            told, reason = await only.end()

    assert [one["type"] for one in joined] == ["organization.joined", "member.created", "task.created"]
    assert [one["type"] for one in left] == ["organization.left", "task.created"]
    assert reason == "organization_left"
    assert before not in str(joined)
    assert secret not in str([left, told])


ENDS = {
    "signed out": "UPDATE sessions SET revoked_at = now(), revoke_reason = 'logout'",
    "the session is over": "UPDATE sessions SET expires_at = now()",
    "deactivated": "UPDATE users SET is_active = false",
    "deleted": "DELETE FROM users",
}


@pytest.mark.parametrize("how", ENDS)
async def test_a_stream_ends_before_anything_is_told_to_who_is_over(client: ApiClient, fresh: Pool, how: str) -> None:
    ada = await Factory(fresh).user()
    async with reading(client.as_(ada)) as reader:
        task = await create(client.as_(ada))
        await reader.until(task)
        async with fresh.transaction() as together:
            await together.fetch(ENDS[how], [])
            await together.fetch("UPDATE tasks SET version = version + 1, title = 'A secret'", [])

        assert await reader.end() == ([], "session_over")


async def test_an_idle_stream_ends_when_its_access_token_does(
    client: ApiClient, fresh: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.dispatch.fan_out.LONGEST_TRUST", 0)
    ada = await Factory(fresh).user()
    token = await make_token(client, ada, scopes=["changes:read", "tasks:write"])
    program = client.with_headers(Authorization=f"Bearer {token['token']}")
    async with reading(program) as reader:
        await client.as_(ada).delete(f"/access-tokens/{token['id']}")

        assert await reader.end() == ([], "session_over")


async def test_a_stream_ends_with_the_token_of_its_session(client: ApiClient, settings: Settings, fresh: Pool) -> None:
    ada = await Factory(fresh).user()
    tokens = Tokens(Keys(settings.signing_key), ISSUER, AUDIENCE, timedelta(seconds=2))
    token = tokens.issue_access(ada.id, ada.session_id, datetime.now(UTC))
    async with reading(client.with_headers(Authorization=f"Bearer {token}")) as reader:
        assert await reader.end() == ([], "token_expired")


async def test_a_token_for_a_team_is_told_nothing_of_its_owner_alone(client: ApiClient, fresh: Pool) -> None:
    make = Factory(fresh)
    ada, bob = await make.user(), await make.user()
    team, left = await make.team(owner=ada), await make.team(owner=bob, member=ada)
    token = await make_token(client, ada, scopes=["changes:read"], organization_id=str(team))
    async with reading(client.with_headers(Authorization=f"Bearer {token['token']}")) as reader:
        await client.as_(bob).delete(f"/organizations/{left}/members/{ada.id}")
        await create(client.as_(ada))
        task = await create(client.as_(ada), organization_id=str(team))

        assert {one["organization_id"] for one in await reader.until(task)} == {str(team)}


@pytest.mark.parametrize("how", ["renewed", "copied"])
async def test_a_stream_ends_when_its_positions_say_nothing_any_more(
    client: ApiClient, fresh: Pool, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.dispatch.fan_out.LONGEST_TRUST", 0)
    own = client.as_(await Factory(fresh).user())
    async with reading(own) as reader:
        await reader_has_joined(own, reader)
        if how == "renewed":
            await event_log.renew(fresh)
        else:
            await fresh.fetch("UPDATE event_log SET identity = 'elsewhere'", [])
        assert await reader.end() == ([], "feed_expired")

    answer = await own.with_headers(Last_Event_ID=reader.last_id).get("/changes/stream", expect=410)
    assert answer["code"] == "feed_expired"


async def reader_has_joined(own: ApiClient, reader: Reader) -> None:
    await reader.until(await create(own))


async def test_an_idle_stream_says_that_it_is_there_and_where(
    client: ApiClient, fresh: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "LONGEST_SILENCE", 0.3)
    ada, bob = [client.as_(await Factory(fresh).user()) for _ in range(2)]
    async with reading(ada) as reader:
        begin = reader.last_id
        async with reading(bob) as other:
            await reader_has_joined(bob, other)
            async with asyncio.timeout(60):
                while reader.last_id == begin:
                    heard = await reader.block()
                    assert heard is not None
                    assert heard[""] == "here"
                    assert "data" not in heard
        task = await create(ada)
        assert len(await reader.until(task)) == 1
    assert (await ada.get("/changes", cursor=begin))["items"][0]["subject"]["id"] == task


async def test_a_server_that_ends_says_so_and_waits_for_no_stream(settings: Settings, fresh: Pool) -> None:
    async with serving(settings, fresh) as client:
        own = client.as_(await Factory(fresh).user())
        async with reading(own) as reader:
            vars(client.http._transport)["app"].app.life.ending = True  # noqa: SLF001 - as the signal does
            assert await reader.end() == ([], "server_ending")


async def test_a_reader_that_takes_nothing_is_cut_and_keeps_nobody(
    settings: Settings, fresh: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "PATIENCE", 1)
    monkeypatch.setattr(streams, "MOST_WAITING", 2_000)
    async with serving(settings.model_copy(update={"metrics_token": SecretStr(MONITORING)}), fresh) as client:
        own = client.as_(await Factory(fresh).user())
        async with reading(own) as slow, reading(own) as reader:
            assert await metric(client, "docket_streams") == 2
            slow.taking.clear()
            tasks, told = [], []
            for _ in range(3):
                tasks += [await create(own) for _ in range(4)]
                told += await reader.until(tasks[-1])
            assert await slow.end() == ([], None)
            assert await metric(client, "docket_streams_cut_total") == 1
        assert await metric(client, "docket_streams") == 0

    assert [one["subject"]["id"] for one in told] == tasks


async def test_a_caller_has_ten_streams_and_gets_their_places_back(settings: Settings, fresh: Pool) -> None:
    limited = settings.model_copy(update={"rate_limits_enabled": True})
    async with serving(limited, fresh) as client:
        own = client.as_(await Factory(fresh).user())
        for _ in range(2):
            readers = [reading(own) for _ in range(WAITS_OF_A_CALLER)]
            for one in readers:
                assert (await one.__aenter__()).status == 200
            refused = await own.get("/changes/stream", expect=429)
            assert refused["code"] == "rate_limit_exceeded"
            for one in readers:
                await one.__aexit__(None, None, None)


async def test_a_wrong_position_is_refused(client: ApiClient, fresh: Pool) -> None:
    ada, bob = [client.as_(await Factory(fresh).user()) for _ in range(2)]
    strange = (await bob.get("/changes"))["next_cursor"]

    for given, code in (("nonsense", "invalid_cursor"), (strange, "invalid_cursor"), ("x" * 2401, "invalid_header")):
        answer = await ada.with_headers(Last_Event_ID=given).get("/changes/stream", expect=400)
        assert answer["code"] == code


async def test_who_may_not_read_is_told_before_a_stream_begins(client: ApiClient, fresh: Pool) -> None:
    make = Factory(fresh)
    ada, team = await make.user(), await make.team()
    token = await make_token(client, ada, scopes=["tasks:read"])

    await client.get("/changes/stream", expect=401)
    await client.with_headers(Authorization=f"Bearer {token['token']}").get("/changes/stream", expect=403)
    await client.as_(ada).get("/changes/stream", organization_id=str(team), expect=404)
    await client.as_(ada).get("/changes/stream", access_token="in the URL", expect=422)


async def test_head_opens_no_stream(client: ApiClient, fresh: Pool) -> None:
    own = client.as_(await Factory(fresh).user())
    async with reading(own, "HEAD") as reader:
        assert await reader.block() is None
    assert (reader.status, reader.headers["content-type"]) == (200, "text/event-stream")
