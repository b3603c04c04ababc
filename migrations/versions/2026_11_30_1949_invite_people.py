"""invite people"""

import sqlalchemy as sa
from alembic import op

revision = "8d27a5c90be4"
down_revision = "c91e5d70b2f4"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("verified_email_key", sa.String(), nullable=True))
    op.create_table(
        "invitations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.String(254), nullable=True),
        sa.Column("email_key", sa.String(), nullable=True),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("role", sa.String(8), nullable=False),
        sa.Column("invited_by", sa.Uuid(), nullable=True),
        sa.Column("key", sa.LargeBinary(), nullable=True),
        sa.Column("mailed_key", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("role IN ('admin', 'member')", name=op.f("ck_invitations_role")),
        sa.CheckConstraint("(email IS NULL) = (email_key IS NULL)", name=op.f("ck_invitations_email_key")),
        sa.CheckConstraint("(email IS NULL) <> (user_id IS NULL)", name=op.f("ck_invitations_invited")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_invitations_organization_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["invited_by"], ["users.id"], name=op.f("fk_invitations_invited_by"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitations")),
        sa.UniqueConstraint("organization_id", "email_key", name=op.f("uq_invitations_organization_id_email_key")),
        sa.UniqueConstraint("organization_id", "user_id", name=op.f("uq_invitations_organization_id_user_id")),
        sa.UniqueConstraint("key", name=op.f("uq_invitations_key")),
        sa.UniqueConstraint("mailed_key", name=op.f("uq_invitations_mailed_key")),
    )
    op.create_index("ix_invitations_created_at", "invitations", ["organization_id", "created_at", "id"])
    for column in ("email_key", "user_id", "invited_by", "expires_at"):
        op.create_index(op.f(f"ix_invitations_{column}"), "invitations", [column])


def downgrade() -> None:
    op.drop_table("invitations")
    op.drop_column("users", "verified_email_key")
