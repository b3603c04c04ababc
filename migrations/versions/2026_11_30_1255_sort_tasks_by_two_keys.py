"""sort tasks by two keys"""

from alembic import op

revision = "e7a93b15d8c0"
down_revision = "d5b80e37c1f4"
branch_labels = None
depends_on = None

DUE = """
COALESCE(CAST(EXTRACT(epoch FROM due_date - TIMESTAMPTZ '1970-01-01 00:00:00+00') * 1000000 AS bigint),
    900000000000000000)
"""
INDEXES = {
    "ix_tasks_priority_due_date": f"(4 - priority_rank) * 1000000000000000000 + {DUE}",
    "ix_tasks_due_date_priority": f"{DUE} * 10 + (4 - priority_rank)",
}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for name, key in INDEXES.items():
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON tasks (organization_id, ({key}), id)")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for name in INDEXES:
            op.execute(f"DROP INDEX CONCURRENTLY {name}")
