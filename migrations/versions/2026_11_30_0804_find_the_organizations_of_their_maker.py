"""find the organizations of their maker"""

from alembic import op

revision = "9a31c1dae335"
down_revision = "fc6c64ba501f"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.create_index(
            op.f("ix_organizations_created_by"), "organizations", ["created_by"], postgresql_concurrently=True
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index(op.f("ix_organizations_created_by"), table_name="organizations", postgresql_concurrently=True)
