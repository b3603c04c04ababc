"""keep what sorts titles"""

import sqlalchemy as sa
from alembic import op

revision = "c41f7d0a92e6"
down_revision = "8e2f6b1d94a3"
branch_labels = None
depends_on = None

TRIGGER = """
CREATE FUNCTION empty_title_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.title_key := NULL;
    RETURN NEW;
END $$;
CREATE TRIGGER outdated_title_key BEFORE UPDATE OF title ON tasks
    FOR EACH ROW WHEN (NEW.title_key = OLD.title_key AND NEW.title IS DISTINCT FROM OLD.title)
    EXECUTE FUNCTION empty_title_key();
"""


def upgrade() -> None:
    """Add the column, which is null where the release before has written the title."""
    op.add_column("tasks", sa.Column("title_key", sa.Text(collation="C"), nullable=True))
    for statement in TRIGGER.split(";\nCREATE TRIGGER"):
        op.execute(statement if statement.startswith("\nCREATE FUNCTION") else f"CREATE TRIGGER{statement}")


def downgrade() -> None:
    op.execute("DROP TRIGGER outdated_title_key ON tasks")
    op.execute("DROP FUNCTION empty_title_key")
    op.drop_column("tasks", "title_key")
