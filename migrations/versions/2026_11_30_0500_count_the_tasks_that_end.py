"""count the tasks that end with an account or an organization"""

import sqlalchemy as sa
from alembic import op

revision = "7c41e9a0d358"
down_revision = "5e0b7d92c1fa"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("audit_logs", sa.Column("task_count", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("audit_logs", "task_count")
