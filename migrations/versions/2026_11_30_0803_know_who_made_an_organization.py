"""know who made an organization"""

import sqlalchemy as sa
from alembic import op

revision = "fc6c64ba501f"
down_revision = "4d81c6f3a75e"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The release before does not say who; what is made there counts in no quota."""
    op.add_column("organizations", sa.Column("created_by", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        op.f("fk_organizations_created_by"),
        "organizations",
        "users",
        ["created_by"],
        ["id"],
        ondelete="SET NULL",
        postgresql_not_valid=True,
    )


def downgrade() -> None:
    op.drop_constraint(op.f("fk_organizations_created_by"), "organizations", type_="foreignkey")
    op.drop_column("organizations", "created_by")
