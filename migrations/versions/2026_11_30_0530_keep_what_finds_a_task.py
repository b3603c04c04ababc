"""keep what finds a task beside it"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "b27f40c9e6d1"
down_revision = "c2f7708ae35d"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, and what empties it when the release before, which does not know it, changes a text."""
    op.add_column("tasks", sa.Column("search_vector", postgresql.TSVECTOR(), nullable=True))
    op.execute("""
        CREATE FUNCTION empty_search_vector() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            NEW.search_vector := NULL;
            RETURN NEW;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER outdated_search_vector BEFORE UPDATE OF title, description, organization_id ON tasks
        FOR EACH ROW WHEN (
            NEW.search_vector = OLD.search_vector AND (NEW.title, NEW.description, NEW.organization_id)
                IS DISTINCT FROM (OLD.title, OLD.description, OLD.organization_id)
        ) EXECUTE FUNCTION empty_search_vector()
    """)


def downgrade() -> None:
    op.execute("DROP TRIGGER outdated_search_vector ON tasks")
    op.execute("DROP FUNCTION empty_search_vector()")
    op.drop_column("tasks", "search_vector")
