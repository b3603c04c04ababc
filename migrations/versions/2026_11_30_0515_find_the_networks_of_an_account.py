"""find the networks of an account"""

from alembic import op

revision = "a95e03b7d418"
down_revision = "8c41d2f7a60b"
branch_labels = None
depends_on = None

NAME = "ix_sessions_ip_address"
COLUMNS = ["user_id", "ip_address", "created_at"]


def upgrade() -> None:
    """One that was begun and did not end is made anew."""
    with op.get_context().autocommit_block():
        op.execute("SET statement_timeout = '10min'")
        op.execute("SET lock_timeout = '10min'")  # it waits for every older transaction, and none waits for it
        op.drop_index(op.f(NAME), "sessions", postgresql_concurrently=True, if_exists=True)
        op.create_index(op.f(NAME), "sessions", COLUMNS, unique=False, postgresql_concurrently=True)
        op.execute("RESET lock_timeout")
        op.execute("RESET statement_timeout")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index(op.f(NAME), "sessions", postgresql_concurrently=True, if_exists=True)
