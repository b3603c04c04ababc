"""hold days to their ends"""

from alembic import op

revision = "d61f97b3c0e5"
down_revision = "c5e83a60d714"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE tasks VALIDATE CONSTRAINT ck_tasks_due_on")


def downgrade() -> None:
    """The constraint holds of what is written, valid or not; the migration before takes it away."""
    op.execute("ALTER TABLE tasks DROP CONSTRAINT ck_tasks_due_on")
    op.execute("""
        ALTER TABLE tasks ADD CONSTRAINT ck_tasks_due_on
        CHECK (due_on IS NULL OR due_date = timezone('UTC', due_on + TIME '23:59:59.999999')) NOT VALID
    """)
