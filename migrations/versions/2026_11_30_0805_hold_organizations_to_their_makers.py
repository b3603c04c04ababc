"""hold organizations to their makers"""

from alembic import op

revision = "546bfa704b76"
down_revision = "9a31c1dae335"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE organizations VALIDATE CONSTRAINT fk_organizations_created_by")


def downgrade() -> None:
    op.drop_constraint(op.f("fk_organizations_created_by"), "organizations", type_="foreignkey")
    op.create_foreign_key(
        op.f("fk_organizations_created_by"),
        "organizations",
        "users",
        ["created_by"],
        ["id"],
        ondelete="SET NULL",
        postgresql_not_valid=True,
    )
