"""let three tabs refresh"""

import sqlalchemy as sa
from alembic import op

revision = "6b1e0c93d5a8"
down_revision = "3d5a0c96e7b1"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The release before leaves it as it is: a token two behind ends its session there, as it did."""
    op.add_column("sessions", sa.Column("previous_rotated_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("sessions", "previous_rotated_at")
