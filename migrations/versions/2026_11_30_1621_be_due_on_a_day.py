"""be due on a day"""

import sqlalchemy as sa
from alembic import op

revision = "c5e83a60d714"
down_revision = "b7d20f4e91ca"
branch_labels = None
depends_on = None

FUNCTION = """
CREATE FUNCTION empty_due_on() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.due_on := NULL;
    RETURN NEW;
END $$
"""
TRIGGER = """
CREATE TRIGGER outdated_due_on BEFORE UPDATE OF due_date ON tasks
    FOR EACH ROW WHEN (NEW.due_on = OLD.due_on AND NEW.due_date IS DISTINCT FROM OLD.due_date)
    EXECUTE FUNCTION empty_due_on()
"""


def upgrade() -> None:
    """Add the day, whose end in UTC is in `due_date`. The release before tells that; what it writes clears the day."""
    op.add_column("tasks", sa.Column("due_on", sa.Date(), nullable=True))
    op.create_check_constraint(
        op.f("ck_tasks_due_on"),
        "tasks",
        "due_on IS NULL OR due_date = timezone('UTC', due_on + TIME '23:59:59.999999')",
        postgresql_not_valid=True,
    )
    op.execute(FUNCTION)
    op.execute(TRIGGER)


def downgrade() -> None:
    """What was due on a day is due at its end, in UTC."""
    op.execute("DROP TRIGGER outdated_due_on ON tasks")
    op.execute("DROP FUNCTION empty_due_on")
    op.drop_constraint(op.f("ck_tasks_due_on"), "tasks")
    op.drop_column("tasks", "due_on")
