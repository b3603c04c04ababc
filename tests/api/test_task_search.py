"""Search: what is found, in which order, and that no text is one too odd to look for."""

from typing import Any

import pytest
from asyncpg import Connection
from hypothesis import given
from hypothesis import strategies as st

from persistence.queries import search
from tests.client import ApiClient, titles
from tests.factories import Factory

ODD = st.text(
    st.one_of(
        st.sampled_from("\"'-|&!():*\\<> orOR\u0301"), st.characters(exclude_characters="\0", exclude_categories=["Cs"])
    ),
    max_size=200,
)


@pytest.fixture
async def ada(api: ApiClient, make: Factory) -> ApiClient:
    """One who has tasks in several languages."""
    ada = await make.user()
    texts = {
        "Write the contract": "Everything else follows.",
        "Sign it": "The contract, that is, in the café",
        "Café für Zoë": "żółw ŁÓDŹ",
        "Release 1.2.3": "Ask e-mail@example.com about the pre-release",
        "契約を書く": None,
        "Договор": "подписать",
    }
    for title, description in texts.items():
        await make.task(ada.id, ada, title=title, description=description)
    return api.as_(ada)


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("contract", ["Write the contract", "Sign it"]),
        ("CONTRACT", ["Write the contract", "Sign it"]),
        ("contr", ["Write the contract", "Sign it"]),
        ("contr follows", []),  # only the last word may be a beginning
        ("follows contr", ["Write the contract"]),
        ("contr ", []),
        ("contract write", ["Write the contract"]),
        ('"the contract"', ["Write the contract", "Sign it"]),
        ('"contract the"', []),
        ('"write the', ["Write the contract"]),
        ("contract -write", ["Sign it"]),
        ('contract -"in the"', ["Write the contract"]),
        ("sign or write", ["Sign it", "Write the contract"]),
        ("sign OR follows", ["Sign it", "Write the contract"]),
        ("or", []),
        ("contract or", []),
        ("cafe", ["Café für Zoë", "Sign it"]),
        ("CAFÉ zoe", ["Café für Zoë"]),
        ("cafe\u0301", ["Café für Zoë", "Sign it"]),
        ("zolw lodz", ["Café für Zoë"]),
        ("e-mail@example.com", ["Release 1.2.3"]),
        ("1.2.3", ["Release 1.2.3"]),
        ("契約", ["契約を書く"]),
        ("ДОГОВОР подпис", ["Договор"]),
        ("!!!", []),
        ("-", []),
        ("' & | \\", []),
        ("\u0301", []),  # an accent without its letter, as one may paste
        ("contract \u0301", ["Write the contract", "Sign it"]),
        ('"\u0301" contract', ["Write the contract", "Sign it"]),
    ],
)
async def test_a_search_finds_what_has_its_words(ada: ApiClient, q: str, found: list[str]) -> None:
    assert sorted(titles(await ada.get("/tasks/search", q=q))) == sorted(found)


async def test_a_title_counts_more_than_a_description(ada: ApiClient) -> None:
    page = await ada.get("/tasks/search", q="contract")

    assert titles(page) == ["Write the contract", "Sign it"]
    assert page["items"][0]["rank"] > page["items"][1]["rank"]


async def test_what_has_changed_is_found_by_its_new_words(ada: ApiClient) -> None:
    [task] = (await ada.get("/tasks/search", q="договор"))["items"]
    await ada.patch(f"/tasks/{task['id']}", {"title": "Treaty"})

    assert titles(await ada.get("/tasks/search", q="treaty")) == ["Treaty"]
    assert titles(await ada.get("/tasks/search", q="договор")) == []


async def test_filters_and_place_hold_in_a_search(api: ApiClient, make: Factory) -> None:
    ada, bob = await make.user(), await make.user()
    team, other = await make.team(member=ada), await make.team(owner=bob)
    for place, title in ((ada.id, "Plan a"), (team, "Plan b"), (other, "Plan c")):
        await make.task(place, bob, title=title, priority="high")
        await make.task(place, ada, title=f"{title} again", status="completed")
    who = api.as_(ada)

    async def search_titles(**filters: Any) -> list[str]:
        return sorted(titles(await who.get("/tasks/search", q="plan", **filters)))

    assert await search_titles() == ["Plan a", "Plan a again"]
    assert await search_titles(organization_id=str(team)) == ["Plan b", "Plan b again"]
    assert await search_titles(scope="all", status="open") == ["Plan a", "Plan b"]
    assert await search_titles(scope="all", user_id=str(ada.id), completed="true") == ["Plan a again", "Plan b again"]
    assert await search_titles(priority="urgent") == []
    assert (await who.get("/tasks/search", q="plan", organization_id=str(other), expect=404))["code"] == "not_found"
    refused = await who.get("/tasks/search", q="plan", scope="all", organization_id=str(team), expect=422)
    assert refused["errors"][0]["pointer"] == "/organization_id"


@pytest.mark.parametrize("scope", [{}, {"scope": "all"}])
async def test_pages_of_a_search_follow_each_other_through_ties(
    api: ApiClient, make: Factory, scope: dict[str, Any]
) -> None:
    ada = await make.user()
    for number in range(7):
        await make.task(ada.id, ada, title=f"plan {number}", description="plan" if number % 3 else None)
    who = api.as_(ada)
    whole = await who.get("/tasks/search", q="plan", **scope)

    found: list[Any] = []
    more: dict[str, Any] = {}
    while more.get("cursor", "") is not None:
        page = await who.get("/tasks/search", q="plan", limit=2, **scope, **more)
        assert ("link" in page.headers) is page["has_more"]
        found += page["items"]
        more = {"cursor": page["next_cursor"]}

    assert found == whole["items"]
    assert len(found) == 7


async def test_a_cursor_belongs_to_its_search(ada: ApiClient) -> None:
    cursor = (await ada.get("/tasks/search", q="contract", limit=1))["next_cursor"]

    assert (await ada.get("/tasks/search", q="write", cursor=cursor, expect=400))["code"] == "invalid_cursor"
    assert (await ada.get("/tasks", cursor=cursor, expect=400))["code"] == "invalid_cursor"


async def test_a_search_looks_for_something(ada: ApiClient) -> None:
    for query in ({}, {"q": ""}, {"q": "x" * 201}, {"q": "a\0b"}, {"q": ["a", "b"]}):
        problem = await ada.get("/tasks/search", expect=422, **query)
        assert problem["errors"][0]["pointer"] == "/q"


@pytest.mark.parametrize(
    "text", ["\ufdfa", "ß", "\\", "'", '"', "-", ":", "|", "\u0301", "㌖", "契", "a ", "-a ", "or "]
)
async def test_nothing_repeated_is_too_odd_to_look_for(connection: Connection, text: str) -> None:
    await ask(connection, (text * 200)[:200])


@given(ODD)
async def test_no_text_is_too_odd_to_look_for(connection: Connection, text: str) -> None:
    await ask(connection, text)


async def ask(connection: Connection, text: str) -> None:
    wanted = search.write_wanted(text)
    await connection.fetch("SELECT $1::text::tsquery, $2::text::tsquery", wanted.match, wanted.rank)
