"""Faults, each with real processes under people who read and write: a test is a row of docs/reliability.md.

To add a row, write a test that has a server served, enters `trial` with the row's name, and does the harm in rounds:

    async def test_a_backend_is_killed(trial: Trial, database: Database) -> None:
        async with docket(database.url) as server, trial("kill -9 of a backend", server, database.url) as people:
            async for _ in people.rounds():
                database.postgres.backend().kill()
        assert people.longest_gap < 5

The short form does one round of harm. The long one does ten (`rounds(3)`: three), amid its share of 100,000 writes.
When the context ends, `trial` waits until the server is whole again, compares what was acknowledged with the database,
and writes the row down. It fails unless nothing is lost, stored twice or stuck, and unless every 5xx is a 503 with
Retry-After. What else the fault promises (a gap, no failure at all), the test asserts afterwards.

What is harmed: `servers.docket`, `servers.serve_embedded`, `database` with its `Postgres`, a `Wire` between.
"""
