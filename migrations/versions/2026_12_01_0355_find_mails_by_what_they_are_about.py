"""find mails by what they are about"""

from alembic import op

revision = "2e80bdd23acd"
down_revision = "a6093be4f7c8"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.create_index(
            op.f("ix_outbox_subject_id"), "outbox", ["subject_id"], unique=False, postgresql_concurrently=True
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index(op.f("ix_outbox_subject_id"), table_name="outbox", postgresql_concurrently=True)
