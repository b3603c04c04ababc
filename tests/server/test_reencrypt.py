"""`python -m server reencrypt`: what is kept encrypted comes to need SECRET_KEY alone, beside servers that run."""

import ast
import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pyotp
import pytest

from persistence.engine.pool import Pool
from persistence.queries import kept_secrets
from persistence.tables import SecondFactor
from security.encryption import Encryption
from security.keys import Keys
from server.database.kept_secrets import KEPT
from tests.api.test_real_server import Running, running
from tests.conftest import ROOT
from tests.factories import PASSWORD, SEED, Factory
from tests.server.test_check import run_check
from tests.server.test_command_line import type_command

OLD, NEW = "the-key-of-before-0123456789abcdef", "the-key-of-today-0123456789abcdefgh"
BOTH = {"SECRET_KEY": NEW, "SECRET_KEY_PREVIOUS": OLD}
MANY = 1001  # more than a batch
USERS = "INSERT INTO users (id, created_at, updated_at) SELECT unnest($1::uuid[]), now(), now()"
FACTORS = """
INSERT INTO second_factors (id, user_id, seed, created_at) SELECT id, id, seed, now()
FROM unnest($1::uuid[], $2::bytea[]) AS made (id, seed)
"""


def reencrypt(folder: Path, url: str, **keys: str) -> str:
    """What the command tells its operator."""
    ended = type_command(folder, "reencrypt", DATABASE_URL=url, ENVIRONMENT="staging", **keys)
    assert (ended.returncode, ended.stderr) == (0, "")
    return " ".join(ended.stdout.split())


async def seeds(db: Pool) -> dict[UUID, bytes]:
    return {row["id"]: row["seed"] for row in await db.fetch("SELECT id, seed FROM second_factors", [])}


async def make_factors(db: Pool, key: str, count: int) -> None:
    """So many accounts with a seed that a key encrypted."""
    encryption, ids = Encryption(Keys(key), "totp"), [uuid4() for _ in range(count)]
    await db.fetch(USERS, [ids])
    await db.fetch(FACTORS, [ids, [encryption.encrypt(SEED.encode(), bound_to=one.bytes) for one in ids]])


@pytest.mark.proves("ASVS 5.0 11.2.2", "What a key has encrypted is encrypted anew, so that another takes its place")
async def test_the_key_before_can_go(tmp_path: Path, fresh: Pool, fresh_url: str) -> None:
    await make_factors(fresh, OLD, MANY)
    await make_factors(fresh, NEW, 2)
    kept = await seeds(fresh)

    status, found = await asyncio.to_thread(lambda: run_check(tmp_path, fresh_url, **BOTH))
    need = f"{MANY} of {MANY + 2} in second_factors need SECRET_KEY_PREVIOUS: run `python -m server reencrypt`"
    assert (status, found["secrets"]) == (0, ["warning", need])

    said = await asyncio.to_thread(lambda: reencrypt(tmp_path, fresh_url, **BOTH))
    assert said == f"second_factors {MANY + 2} secrets, {MANY} encrypted anew, 0 that no key reads"
    now, only = await seeds(fresh), Encryption(Keys(NEW), "totp")
    assert {only.decrypt(seed, bound_to=row.bytes) for row, seed in now.items()} == {(SEED.encode(), False)}
    assert sum(seed != kept[row] for row, seed in now.items()) == MANY

    again = await asyncio.to_thread(lambda: reencrypt(tmp_path, fresh_url, **BOTH))
    assert again == f"second_factors {MANY + 2} secrets, 0 encrypted anew, 0 that no key reads"
    assert await seeds(fresh) == now
    status, found = await asyncio.to_thread(lambda: run_check(tmp_path, fresh_url, SECRET_KEY=NEW))
    assert (status, found["secrets"]) == (0, ["ok", f"SECRET_KEY reads all {MANY + 2} in second_factors"])


async def test_what_no_key_reads_is_told_and_left(tmp_path: Path, fresh: Pool, fresh_url: str) -> None:
    await make_factors(fresh, "a-key-that-is-lost-0123456789abcdefgh", 1)
    await make_factors(fresh, OLD, 1)
    kept = await seeds(fresh)

    said = await asyncio.to_thread(lambda: reencrypt(tmp_path, fresh_url, SECRET_KEY=NEW))
    assert said == "second_factors 2 secrets, 0 encrypted anew, 2 that no key reads"
    assert await seeds(fresh) == kept

    said = await asyncio.to_thread(lambda: reencrypt(tmp_path, fresh_url, **BOTH))
    assert said == "second_factors 2 secrets, 1 encrypted anew, 1 that no key reads"
    status, found = await asyncio.to_thread(lambda: run_check(tmp_path, fresh_url, **BOTH))
    lost = "1 of 2 in second_factors are read by no key: is SECRET_KEY_PREVIOUS the one of before?"
    assert (status, found["secrets"]) == (0, ["warning", lost])


async def test_what_changed_since_it_was_read_is_left(fresh: Pool) -> None:
    await make_factors(fresh, OLD, 3)
    rows = await kept_secrets.list_batch(fresh, SecondFactor.seed, after=UUID(int=0))
    assert [row.id for row in rows] == sorted(await seeds(fresh))
    ids, before = [row.id for row in rows], [row.encrypted for row in rows]
    await fresh.fetch("UPDATE second_factors SET seed = 'theirs' WHERE id = $1", [ids[0]])
    await fresh.fetch("DELETE FROM second_factors WHERE id = $1", [ids[1]])

    replaced = await kept_secrets.replace_batch(
        fresh, SecondFactor.seed, ids=ids, before=before, anew=[b"ours"] * len(ids)
    )

    assert replaced == 1
    assert await seeds(fresh) == {ids[0]: b"theirs", ids[2]: b"ours"}


def step_of_now() -> int:
    return int(time.time()) // 30


async def sign_in(server: Running, code: str) -> int:
    """The status of a sign-in with a code."""
    async with server.client() as http:
        body = {"email": "ada@example.com", "password": PASSWORD}
        waiting = (await http.post("/api/v1/auth/login", json=body)).json()
        assert waiting["code"] == "mfa_required"
        done = await http.post("/api/v1/auth/login/totp", json={"challenge": waiting["challenge"], "code": code})
        return done.status_code


async def test_servers_run_meanwhile(tmp_path: Path, fresh: Pool, fresh_url: str) -> None:
    make, app = Factory(fresh), pyotp.TOTP(SEED)
    ada = await make.user(email="ada@example.com")
    await make.second_factor(ada.id, OLD)
    await make_factors(fresh, OLD, MANY)

    async with running(tmp_path, fresh_url, 1, **BOTH) as server:
        step = step_of_now()
        said, status = await asyncio.gather(
            asyncio.to_thread(lambda: reencrypt(tmp_path, fresh_url, **BOTH)),
            sign_in(server, app.generate_otp(step)),
        )
        assert status == 200
        assert said.startswith(f"second_factors {MANY + 1} secrets, ")
        assert await server.end() == (0, "")
    async with running(tmp_path, fresh_url, SECRET_KEY=NEW) as server:
        assert await sign_in(server, app.generate_otp(max(step + 1, step_of_now()))) == 200


def uses() -> Iterator[str]:
    """What servers encrypt for."""
    for path in [*(ROOT / "server").rglob("*.py"), *(ROOT / "handlers").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Encryption":
                [_, label] = node.args
                if isinstance(label, ast.Constant):
                    yield str(label.value)


def test_all_that_servers_encrypt_is_encrypted_anew() -> None:
    assert sorted(uses()) == sorted(KEPT)
