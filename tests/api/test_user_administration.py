"""What superusers do with accounts: list, find, make, delete and unlock them, end their sessions, many at once."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from persistence.authorization import Caller
from persistence.engine.pool import Pool
from tests.client import ApiClient
from tests.conftest import Bench
from tests.factories import NOW, PASSWORD, Factory
from tests.waiting import somebody_waits

Pair = tuple[ApiClient, ApiClient]


@pytest.fixture
async def root(make: Factory) -> Caller:
    return await make.user(email="root@example.com", is_superuser=True)


async def actions(db: Bench) -> list[tuple[str, str]]:
    """Action and outcome of every entry in the audit log, oldest first."""
    return [tuple(entry) for entry in await db.fetch("SELECT action, outcome FROM audit_logs ORDER BY id", [])]


FOR_SUPERUSERS: list[tuple[str, str, dict[str, Any] | None]] = [
    ("GET", "/users", None),
    ("POST", "/users", {"email": "new@example.com", "password": PASSWORD}),
    ("POST", "/users/bulk", {"action": "delete", "user_ids": ["{id}"]}),
    ("DELETE", "/users/{id}", None),
    ("GET", "/users/{id}/sessions", None),
    ("DELETE", "/users/{id}/sessions", None),
    ("POST", "/users/{id}/unlock", None),
]


@pytest.mark.proves("ASVS 5.0 8.2.1", "Operations for superusers are refused to everybody else, whomever they name")
@pytest.mark.parametrize("request_of", FOR_SUPERUSERS, ids=lambda request_of: " ".join(request_of[:2]))
async def test_nobody_else_may(
    api: ApiClient, make: Factory, db: Bench, request_of: tuple[str, str, dict[str, Any] | None]
) -> None:
    method, path, body = request_of
    ada = await make.user()
    for user_id in (ada.id, uuid4()):
        named = {"user_ids": [str(user_id)]} if body and "user_ids" in body else {}
        rest = {} if body is None else {"json": {**body, **named}}
        problem = await api.as_(ada).send(method, path.format(id=user_id), expect=403, **rest)
        assert problem["code"] == "permission_denied"
    assert await actions(db) == [("access.denied", "denied")] * 2


class TestList:
    async def emails(self, api: ApiClient, who: Caller, **parameters: Any) -> list[str]:
        page = await api.as_(who).get("/users", **parameters)
        return [user["email"].partition("@")[0] for user in page["items"]]

    async def test_it_is_sorted_filtered_and_counted(self, api: ApiClient, make: Factory, root: Caller) -> None:
        for number, name in enumerate(("carl", "ada", "bob")):
            await make.user(
                email=f"{name}@example.com", is_active=name != "bob", created_at=NOW + timedelta(seconds=number + 1)
            )

        assert await self.emails(api, root) == ["bob", "ada", "carl", "root"]
        assert await self.emails(api, root, sort="email") == ["ada", "bob", "carl", "root"]
        assert await self.emails(api, root, is_active=False) == ["bob"]
        assert await self.emails(api, root, is_superuser=True, is_active=True) == ["root"]
        assert await self.emails(api, root, created_after=(NOW + timedelta(seconds=2)).isoformat()) == ["bob", "ada"]
        assert await self.emails(api, root, created_before=(NOW + timedelta(seconds=2)).isoformat()) == ["carl", "root"]
        counted = await api.as_(root).get("/users", include_total=True, limit=1, is_superuser=False)
        assert (len(counted["items"]), counted["total_count"]) == (1, 3)

    @pytest.mark.parametrize(
        ("q", "found"),
        [
            ("LOVE", True),
            ("ada love", True),
            ("lovelace ada", True),
            ("ada.king@exam", True),
            ("king", True),
            ("coun", True),
            ("jean", True),
            ("LUC", True),
            ("ada bob", False),
            ("velace", False),
            ("'; DROP", False),
            ("\\' & !:* |", False),
            ("   ", True),
        ],
    )
    async def test_words_are_found_by_how_they_begin(
        self, api: ApiClient, make: Factory, root: Caller, q: str, *, found: bool
    ) -> None:
        await make.user(email="Ada.King@example.com", username="Countess", full_name="Ada Jean-Luc Lovelace")

        assert ("Ada.King" in await self.emails(api, root, q=q)) == found

    @pytest.mark.parametrize(
        ("name", "q", "found"),
        [
            ("M\xfcller", "muller", True),
            ("Muller", "m\xfcller", True),
            ("M\xfcller", "m\xfcl", True),
            ("Mu\u0308ller", "M\xdcLLER", True),
            ("\u0130brahim I\u015f\u0131k", "ibrahim isik", True),
            ("Isik", "I\u015e\u0131K", True),
            ("Jo\xdf Stra\xdfe", "joss strass", True),
            ("JOSS", "jo\xdf", True),
            ("\u0141ukasz \xd8rsted", "lukasz orsted", True),
            ("\u0645\u064f\u062d\u064e\u0645\u0651\u064e\u062f", "\u0645\u062d\u0645\u062f", True),
            ("\u0645\u062d\u0645\u062f", "\u0645\u062d\u0640\u0640\u0645\u062f", True),
            ("\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd", "\u05e9\u05dc\u05d5\u05dd", True),
            ("\u5c71\u7530\u592a\u90ce", "\u5c71\u7530", True),
            ("\u5c71\u7530\u592a\u90ce", "\u592a\u90ce", True),
            ("\u5c71\u7530\u592a\u90ce", "\u7530", True),
            ("\u5c71\u7530\u592a\u90ce", "\u5c71\u90ce", False),
            ("\u0e2a\u0e21\u0e0a\u0e32\u0e22", "\u0e0a\u0e32\u0e22", True),
            ("Anna-Lena O\u2019Neil", "anna-l", True),
            ("Anna-Lena O\u2019Neil", "lena", True),
            ("Anna-Lena O\u2019Neil", "o'neil", True),
            ("Anna\u2010Lena", "anna-lena", True),
            ("Anna-Lena", "nna", False),
            ("Ada\u200bLovelace", "adalove", True),
            ("\u0391\u0394\u0391", "\u03ac\u03b4\u03b1", True),
            ("\U0001f600 Ada", "\U0001f600", True),
            ("Ada", "\U0001f600", False),
        ],
    )
    async def test_names_are_folded_as_texts_of_tasks_are(
        self, api: ApiClient, make: Factory, root: Caller, name: str, q: str, *, found: bool
    ) -> None:
        await make.user(email="found@example.com", full_name=name)

        assert ("found" in await self.emails(api, root, q=q)) == found

    async def test_an_e_mail_is_folded_whole(self, api: ApiClient, make: Factory, root: Caller) -> None:
        await make.user(email="j\xf6rg_k@ex\xe4mple.com")

        for q in ("jorg", "j\xf6rg_k@ex\xe4", "jorg k@exam"):
            assert await self.emails(api, root, q=q) == ["j\xf6rg_k"], q
        assert await self.emails(api, root, q="example") == []

    async def test_accounts_that_the_release_before_has_written_are_found_as_it_finds_them(
        self, api: ApiClient, make: Factory, root: Caller
    ) -> None:
        await make.user(email="found@example.com", full_name="Anna M\xfcller", words="found@example.com anna m\xfcller")

        assert await self.emails(api, root, q="M\xdcLL anna") == ["found"]

    @pytest.mark.parametrize("q", ["\u3316" * 150, "\ufdfa" * 200, "\U0001f600" * 200, "\u0390" * 200, "'\\" * 100])
    async def test_words_that_are_longer_than_what_is_kept_find_nobody(
        self, api: ApiClient, root: Caller, q: str
    ) -> None:
        assert await self.emails(api, root, q=q) == []

    async def test_words_are_kept_and_found_by_as_much_as_fits(
        self, api: ApiClient, make: Factory, root: Caller
    ) -> None:
        await make.user(email="ada@example.com", full_name="\u3316" * 150)

        assert await self.emails(api, root, q="\u3316" * 150) == ["ada"]

    @pytest.mark.parametrize("sort", ["created_at", "-created_at", "email", "-email", "-updated_at"])
    @pytest.mark.parametrize("q", [{}, {"q": "user"}])
    async def test_pages_have_everybody_once(
        self, api: ApiClient, make: Factory, root: Caller, sort: str, q: dict[str, str]
    ) -> None:
        made = {f"user-{number}" for number in range(7)}
        for name in made:
            await make.user(email=f"{name}@example.com")
        found: list[str] = []
        parameters: dict[str, Any] = {"limit": 3, "sort": sort, "is_superuser": False, **q}
        while True:
            page = await api.as_(root).get("/users", **parameters)
            found += [user["email"].partition("@")[0] for user in page["items"]]
            if not page["has_more"]:
                break
            parameters["cursor"] = page["next_cursor"]

        assert (len(found), set(found)) == (7, made)

    async def test_a_cursor_belongs_to_its_words(self, api: ApiClient, make: Factory, root: Caller) -> None:
        for _ in range(3):
            await make.user()
        cursor = (await api.as_(root).get("/users", limit=1))["next_cursor"]

        assert (await api.as_(root).get("/users", cursor=cursor, q="ada", expect=400))["code"] == "invalid_cursor"

    async def test_who_is_renamed_is_found_by_the_new_name_only(
        self, api: ApiClient, make: Factory, root: Caller
    ) -> None:
        ada = await make.user(email="ada@example.com", full_name="Ada Byron")

        await api.as_(root).patch(f"/users/{ada.id}", {"full_name": "Ada Lovelace"})

        assert await self.emails(api, root, q="lovelace ada@example.com") == ["ada"]
        assert await self.emails(api, root, q="byron") == []


class TestCreate:
    async def test_it_makes_an_account_that_can_sign_in(self, api: ApiClient, root: Caller, db: Bench) -> None:
        body = {"email": "ada@example.com", "password": PASSWORD, "full_name": "Ada"}

        ada = await api.as_(root).post("/users", body)

        assert [ada[name] for name in ("email", "full_name", "is_active", "is_superuser")] == [
            "ada@example.com",
            "Ada",
            True,
            False,
        ]
        assert (await api.as_(root).get(ada.headers["location"].removeprefix("/api/v1"))).body == ada.body
        await api.post("/auth/login", {"email": "ada@example.com", "password": PASSWORD}, expect=200)
        assert (await actions(db))[0] == ("user.created", "success")

    async def test_it_may_be_a_superuser_or_not_active_yet(self, api: ApiClient, root: Caller) -> None:
        body = {"email": "ada@example.com", "password": PASSWORD, "is_superuser": True, "is_active": False}

        ada = await api.as_(root).post("/users", body)

        assert (ada["is_superuser"], ada["is_active"]) == (True, False)
        written = (await api.as_(root).get("/audit-logs", action="user.created"))["items"]
        assert [(entry["target"]["id"], entry["changes"]) for entry in written] == [(ada["id"], ["is_superuser"])]

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            ({"email": "ROOT@example.com", "password": PASSWORD}, 409, "email_already_registered"),
            ({"email": "ada@example.com", "password": "password"}, 422, "password_too_common"),
            ({"password": PASSWORD}, 422, "validation_error"),
        ],
    )
    async def test_the_rules_of_registration_hold(
        self, api: ApiClient, root: Caller, body: dict[str, str], status: int, code: str
    ) -> None:
        assert (await api.as_(root).post("/users", body, expect=status))["code"] == code


class TestDelete:
    async def test_a_second_time_there_is_nobody(self, api: ApiClient, make: Factory, root: Caller, db: Bench) -> None:
        ada = await make.user()

        await api.as_(root).with_headers(If_Match='"2"').delete(f"/users/{ada.id}", expect=412)
        await api.as_(root).with_headers(If_Match='"1"').delete(f"/users/{ada.id}")

        await api.as_(root).delete(f"/users/{ada.id}", expect=404)
        assert (await api.as_(ada).get("/users/me", expect=401))["code"] == "token_revoked"
        assert await actions(db) == [("user.deleted", "success")]

    async def test_nobody_deletes_himself(self, api: ApiClient, make: Factory, root: Caller) -> None:
        await make.user(is_superuser=True)

        problem = await api.as_(root).with_headers(If_Match='"7"').delete(f"/users/{root.id}", expect=409)

        assert problem["code"] == "self_action_forbidden"

    @pytest.mark.usefixtures("patient")
    @pytest.mark.proves("ASVS 5.0 15.4.2", "However many superusers delete one another at once, one remains")
    async def test_of_two_superusers_who_delete_each_other_one_remains(
        self, pair: Pair, commit: Factory, fresh: Pool
    ) -> None:
        for _ in range(10):
            await fresh.fetch("UPDATE users SET is_superuser = false", [])
            one, two = await commit.user(is_superuser=True), await commit.user(is_superuser=True)

            answers = await asyncio.gather(
                pair[0].http.delete(f"/api/v1/users/{two.id}", headers=pair[0].as_(one).headers),
                pair[1].http.delete(f"/api/v1/users/{one.id}", headers=pair[1].as_(two).headers),
            )

            [left] = await fresh.fetch("SELECT count(*) FROM users WHERE is_superuser", [])
            assert (left[0], sorted(answer.status_code for answer in answers)) == (1, [204, 401])

    @pytest.mark.usefixtures("patient")
    async def test_who_has_become_a_superuser_meanwhile_is_deleted_when_another_one_is_left(
        self, pair: Pair, commit: Factory, fresh: Pool
    ) -> None:
        for another in (True, False):
            root, ada = await commit.user(is_superuser=True), await commit.user()
            async with fresh.transaction() as changing:
                whose = "id = $1 OR is_superuser" if another else "id = $1"
                await changing.fetch(f"UPDATE users SET is_superuser = ({whose})", [ada.id])  # noqa: S608 - words of ours
                url = f"/api/v1/users/{ada.id}"
                deletion = asyncio.create_task(pair[0].http.delete(url, headers=pair[0].as_(root).headers))
                await somebody_waits(fresh)

            answer = await deletion

            assert answer.status_code == (204 if another else 409), answer.text


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("how", ["delete", "bulk delete", "bulk deactivate", "deactivate"])
async def test_superusers_go_on_while_one_of_them_takes_away_somebody_else(
    pair: Pair, commit: Factory, fresh: Pool, how: str
) -> None:
    root, other = await commit.user(is_superuser=True), await commit.user(email="o@example.com", is_superuser=True)
    ada = await commit.user()
    team = await commit.team(owner=root, admin=ada)
    await commit.task(team, ada)
    one, api = pair[0].as_(root), pair[1].as_(other)
    async with fresh.transaction() as holding:
        held = "tasks WHERE user_id" if "delete" in how else "users WHERE id"
        await holding.fetch(f"SELECT FROM {held} = $1 FOR UPDATE", [ada.id])
        url = f"/users/{ada.id}"
        if how == "delete":
            taking = asyncio.create_task(one.send("DELETE", url, expect=204))
        elif how == "deactivate":
            taking = asyncio.create_task(one.patch(url, {"is_active": False}))
        else:
            body = {"action": how.removeprefix("bulk "), "user_ids": [str(ada.id)]}
            taking = asyncio.create_task(one.post("/users/bulk", body, expect=200))
        await somebody_waits(fresh)

        async with asyncio.timeout(30):  # half of what they would wait for the lock
            await api.post("/auth/login", {"email": "o@example.com", "password": PASSWORD}, expect=200)
            await api.with_headers(Idempotency_Key="once").post("/tasks", {"title": "New"})
            await api.patch("/users/me", {"full_name": "Other"})
        assert not taking.done()
    await taking


class TestSessions:
    async def test_they_are_listed_and_ended(self, api: ApiClient, make: Factory, root: Caller, db: Bench) -> None:
        ada = await make.user()
        await make.session(ada.id, device_name="Phone")

        page = await api.as_(root).get(f"/users/{ada.id}/sessions")
        await api.as_(root).delete(f"/users/{ada.id}/sessions")

        assert ({one["device_name"] for one in page["items"]}, {one["is_current"] for one in page["items"]}) == (
            {None, "Phone"},
            {False},
        )
        assert (await api.as_(root).get(f"/users/{ada.id}/sessions"))["items"] == []
        await api.as_(ada).get("/users/me", expect=401)
        assert await actions(db) == [("user.sessions_revoked", "success")]

    async def test_nobodys_are_not_there(self, api: ApiClient, root: Caller) -> None:
        url = f"/users/{uuid4()}"

        await api.as_(root).get(f"{url}/sessions", expect=404)
        await api.as_(root).delete(f"{url}/sessions", expect=404)
        await api.as_(root).send("POST", f"{url}/unlock", expect=404)
        await api.as_(root).delete(url, expect=404)


async def test_who_is_unlocked_signs_in_again(api: ApiClient, make: Factory, root: Caller, db: Bench) -> None:
    ada = await make.user(email="ada@example.com")
    for _ in range(5):
        await api.post("/auth/login", {"email": "ada@example.com", "password": "wrong"}, expect=401)
    await api.post("/auth/login", {"email": "ada@example.com", "password": PASSWORD}, expect=429)

    await api.as_(root).send("POST", f"/users/{ada.id}/unlock", expect=204)

    await api.post("/auth/login", {"email": "ada@example.com", "password": PASSWORD}, expect=200)
    assert ("user.unlocked", "success") in await actions(db)


class TestBulk:
    async def results(
        self, api: ApiClient, who: Caller, action: str, *user_ids: object
    ) -> list[tuple[int, str | None]]:
        body = {"action": action, "user_ids": [str(user_id) for user_id in user_ids]}
        answer = await api.as_(who).post("/users/bulk", body, expect=200)
        assert [one["user_id"] for one in answer["results"]] == body["user_ids"]
        return [(one["status"], one["code"]) for one in answer["results"]]

    async def test_each_id_has_its_own_outcome_in_the_order_sent(
        self, api: ApiClient, make: Factory, root: Caller
    ) -> None:
        ada, bob = await make.user(), await make.user()
        await make.team(owner=bob)

        results = await self.results(api, root, "delete", bob.id, ada.id, uuid4(), root.id, ada.id)

        assert results == [
            (409, "last_owner"),
            (204, None),
            (404, "not_found"),
            (409, "self_action_forbidden"),
            (204, None),
        ]
        await api.as_(root).get(f"/users/{ada.id}", expect=404)
        await api.as_(root).get(f"/users/{bob.id}")

    async def test_it_deactivates_and_activates(self, api: ApiClient, make: Factory, root: Caller, db: Bench) -> None:
        ada = await make.user()

        off = await self.results(api, root, "deactivate", ada.id, root.id)
        await api.as_(ada).get("/users/me", expect=401)
        on = await self.results(api, root, "activate", ada.id)

        assert (off, on) == ([(200, None), (409, "self_action_forbidden")], [(200, None)])
        assert (await api.as_(root).get(f"/users/{ada.id}"))["is_active"] is True
        assert await actions(db) == [("user.updated", "success")] * 2

    async def test_100_ids_are_the_most(self, api: ApiClient, make: Factory, root: Caller) -> None:
        many = [(await make.user()).id for _ in range(100)]
        body = {"action": "delete", "user_ids": [str(user_id) for user_id in [*many, uuid4()]]}

        await api.as_(root).post("/users/bulk", body, expect=422)

        assert Counter(await self.results(api, root, "delete", *many)) == {(204, None): 100}
