"""find what the first release wrote"""

from uuid import UUID

import sqlalchemy as sa
from alembic import context, op

revision = "a3f7c02e95d8"
down_revision = "e18a4c07d2b6"
branch_labels = None
depends_on = None

FILL = "4d81c6f3a75e"
INDEXES = {"ix_tasks_search": "USING gin (search)", "ix_tasks_title": "(organization_id, title, id)"}


def upgrade() -> None:
    """Fill what 0.1.0 wrote beside 0.2.0, as that migration did; then drop the indexes that only 0.1.0 read."""
    earlier = context.script.get_revision(FILL).module
    write = sa.text(earlier.WRITE.text.replace(" SKIP LOCKED", ""))
    start = {"organization_id": UUID(int=0), "id": UUID(int=0), "batch": earlier.BATCH}
    with op.get_context().autocommit_block():
        while batch := op.get_bind().execute(earlier.READ, start).all():
            vectors = [earlier.write_vector(row.organization_id, row.title, row.description) for row in batch]
            places, ids, versions = ([row[number] for row in batch] for number in range(3))
            op.get_bind().execute(write, {"places": places, "ids": ids, "versions": versions, "vectors": vectors})
        for name in INDEXES:
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")


def downgrade() -> None:
    """What was filled stays."""
    with op.get_context().autocommit_block():
        for name, columns in INDEXES.items():
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON tasks {columns}")
