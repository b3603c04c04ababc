"""write nothing more for the first release"""

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

revision = "c91e5d70b2f4"
down_revision = "a3f7c02e95d8"
branch_labels = None
depends_on = None

TRIGGERS = {
    "empty_search_vector": "outdated_search_vector",
    "empty_title_key": "outdated_title_key",
    "empty_due_on": "outdated_due_on",
}
WORDS, TITLES, DAYS = "5c1b7e0a9d42", "c41f7d0a92e6", "c5e83a60d714"
FUNCTION = """
CREATE FUNCTION empty_search_vector() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.search_vector := NULL;
    RETURN NEW;
END $$
"""
TRIGGER = """
CREATE TRIGGER outdated_search_vector BEFORE UPDATE OF title, description, organization_id ON tasks
    FOR EACH ROW WHEN (
        NEW.search_vector = OLD.search_vector AND (NEW.title, NEW.description, NEW.organization_id)
            IS DISTINCT FROM (OLD.title, OLD.description, OLD.organization_id)
    ) EXECUTE FUNCTION empty_search_vector()
"""


def upgrade() -> None:
    """Have PostgreSQL make no `search`; what is there stays for 0.2.0, which reads it where a task has no vector.

    The triggers emptied what 0.1.0 did not know of.
    """
    op.execute("ALTER TABLE tasks ALTER COLUMN search DROP EXPRESSION, ALTER COLUMN search DROP NOT NULL")
    for function, trigger in TRIGGERS.items():
        op.execute(f"DROP TRIGGER {trigger} ON tasks")
        op.execute(f"DROP FUNCTION {function}")


def downgrade() -> None:
    """Make the column anew, which rewrites the table."""
    words, titles, days = (context.script.get_revision(name).module for name in (WORDS, TITLES, DAYS))
    op.drop_column("tasks", "search")
    computed = sa.Computed(words.WORDS, persisted=True)
    op.add_column("tasks", sa.Column("search", postgresql.TSVECTOR(), computed, nullable=False))
    function, _, trigger = titles.TRIGGER.partition(";\nCREATE TRIGGER")
    for statement in (FUNCTION, TRIGGER, function, f"CREATE TRIGGER{trigger}", days.FUNCTION, days.TRIGGER):
        op.execute(statement)
