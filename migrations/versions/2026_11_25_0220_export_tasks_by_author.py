"""export tasks by author"""

from alembic import op

revision = "d3a91c5be604"
down_revision = "8c1f4be2a7d0"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Build the index in the transaction: no release has had rows in this table yet."""
    op.drop_index("ix_tasks_user_id_completed", table_name="tasks")
    op.create_index("ix_tasks_user_id_completed", "tasks", ["user_id", "completed", "id"])


def downgrade() -> None:
    op.drop_index("ix_tasks_user_id_completed", table_name="tasks")
    op.create_index("ix_tasks_user_id_completed", "tasks", ["user_id", "completed"])
