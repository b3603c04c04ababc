"""list members and their audit logs"""

from alembic import op

revision = "8c1f4be2a7d0"
down_revision = "b1f6c0a97d42"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Build the indexes in the transaction: no release has had rows in these tables yet."""
    op.create_index(
        "ix_organization_members_created_at", "organization_members", ["organization_id", "created_at", "user_id"]
    )
    op.create_index("ix_audit_logs_organization_id", "audit_logs", ["organization_id", "occurred_at", "id"])


def downgrade() -> None:
    op.drop_index("ix_audit_logs_organization_id", table_name="audit_logs")
    op.drop_index("ix_organization_members_created_at", table_name="organization_members")
