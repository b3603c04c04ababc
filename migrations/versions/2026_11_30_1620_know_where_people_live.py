"""know where people live"""

import sqlalchemy as sa
from alembic import op

revision = "b7d20f4e91ca"
down_revision = "a94c7e1f52b8"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("time_zone", sa.String(length=64), nullable=True))


def downgrade() -> None:
    op.drop_column("users", "time_zone")
