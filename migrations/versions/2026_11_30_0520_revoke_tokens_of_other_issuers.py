"""revoke tokens of other issuers"""

import sqlalchemy as sa
from alembic import op

revision = "c2f7708ae35d"
down_revision = "a95e03b7d418"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The release before does not look at it: what is revoked counts there until it is gone."""
    op.add_column("users", sa.Column("tokens_valid_from", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("users", "tokens_valid_from")
