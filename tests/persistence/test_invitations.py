"""Invitations as statements: those of others cost nothing."""

from pydantic import MISSING

from persistence.queries import invitations
from tests.conftest import Bench
from tests.factories import Factory


async def test_the_own_invitations_are_read_from_their_indexes(db: Bench, make: Factory) -> None:
    """Many invitations elsewhere would slow the lists of all others."""
    ada = await make.user(email="ada@example.com", email_verified=True)
    team = await make.team(owner=await make.user())
    by_address = await make.invitation(team, email="ada@example.com")
    by_user = await make.invitation(await make.team(owner=await make.user()), user_id=ada.id)
    await db.fetch(
        """
        INSERT INTO invitations (id, organization_id, email, email_key, role, created_at, expires_at)
        SELECT gen_random_uuid(), $1, n || '@x.org', n || '@x.org', 'member', now(), now() + interval '1 day'
        FROM generate_series(1, 5000) AS n
        """,
        [team],
    )
    await db.fetch("ANALYZE invitations", [])
    await db.fetch("SET LOCAL plan_cache_mode = force_generic_plan", [])
    sql, values = invitations.list_mine.bind(by=ada, after=MISSING, limit=50)
    await db.fetch(f"PREPARE listing AS {sql}", [])
    records = await db.fetch(f"EXPLAIN EXECUTE listing ({', '.join('NULL' for _ in values)})", [])
    plan = "\n".join(record[0] for record in records)
    await db.fetch("DEALLOCATE listing", [])

    assert "Seq Scan on invitations" not in plan, plan
    assert "ix_invitations_email_key" in plan, plan
    assert "ix_invitations_user_id" in plan, plan
    page = await invitations.list_mine(db, by=ada, after=MISSING, limit=50)
    assert str(by_address) in str(page.items)
    assert str(by_user) in str(page.items)
