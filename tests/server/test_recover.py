"""`python -m server recover`: an operator lets somebody in who has lost the password or the second factor."""

import asyncio

import pytest

from persistence.engine.pool import Pool
from security.one_time_tokens import hash_token
from server.__main__ import main
from tests.factories import Factory

SECRET = "a-secret-of-the-tests-0123456789abcdef"


@pytest.fixture(autouse=True)
def _settings(fresh_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"DATABASE_URL": fresh_url, "SECRET_KEY": SECRET, "PUBLIC_URL": "https://app.example.com"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)


async def recover(*arguments: str) -> int:
    return await asyncio.to_thread(main, ["recover", *arguments])


async def deeds(db: Pool) -> list[tuple[object, ...]]:
    sql = "SELECT action, actor_type, request_id, target_id FROM audit_logs"
    return [tuple(row) for row in await db.fetch(sql, [])]


async def test_a_link_sets_a_password(fresh: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    ada = await Factory(fresh).user(email="ada@example.com", is_superuser=True)

    assert await recover("Ada@Example.com") == 0

    url, _, token = capsys.readouterr().out.strip().partition("#token=")
    [row] = await fresh.fetch("SELECT key, user_id, purpose FROM one_time_tokens", [])
    assert (url, tuple(row)) == (
        "https://app.example.com/reset-password",
        (hash_token(token), ada.id, "password_reset"),
    )
    assert await deeds(fresh) == [("user.password_reset_created", "system", "recover", ada.id)]


async def test_a_second_factor_is_taken_away(fresh: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    make = Factory(fresh)
    ada = await make.user(email="ada@example.com")
    await make.second_factor(ada.id, SECRET)

    assert await recover("--factor", "ada@example.com") == 0

    assert capsys.readouterr().out == "ada@example.com signs in by the password alone\n"
    assert await fresh.fetch("SELECT FROM second_factors", []) == []
    [user] = await fresh.fetch("SELECT mfa_enabled FROM users", [])
    assert user["mfa_enabled"] is False
    assert await deeds(fresh) == [("user.mfa_reset", "system", "recover", ada.id)]


@pytest.mark.parametrize("confirmed", [None, "none at all"])
async def test_who_has_none_is_told(fresh: Pool, capsys: pytest.CaptureFixture[str], confirmed: object) -> None:
    make = Factory(fresh)
    ada = await make.user(email="ada@example.com")
    if confirmed is None:
        await make.second_factor(ada.id, SECRET, confirmed_at=None)

    assert await recover("--factor", "ada@example.com") == 1

    assert capsys.readouterr().err == "docket: ada@example.com has no second factor\n"


@pytest.mark.parametrize("arguments", [[], ["--factor"]], ids=["link", "factor"])
@pytest.mark.usefixtures("fresh")
async def test_nobody_with_this_email_is_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert await recover(*arguments, "unknown@example.com") == 1

    assert capsys.readouterr().err == "docket: No account has the e-mail unknown@example.com\n"
