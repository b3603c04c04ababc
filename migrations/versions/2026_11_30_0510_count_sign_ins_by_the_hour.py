"""count sign-ins by the hour"""

import sqlalchemy as sa
from alembic import op

revision = "8c41d2f7a60b"
down_revision = "7c41e9a0d358"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The release before goes on without these columns: what it counts, it counts in a row alone."""
    op.add_column("login_throttle", sa.Column("tried", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column("login_throttle", sa.Column("tried_since", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("login_throttle", "tried_since")
    op.drop_column("login_throttle", "tried")
