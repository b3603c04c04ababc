"""log what happens"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "dd1243111750"
down_revision = "3f0b42b673f2"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_logs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_type", sa.String(length=9), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("outcome", sa.String(length=7), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.Column("target_type", sa.String(length=32), nullable=True),
        sa.Column("target_id", sa.Uuid(), nullable=True),
        sa.Column("organization_id", sa.Uuid(), nullable=True),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("ip_address", postgresql.INET(), nullable=True),
        sa.Column("user_agent", sa.String(length=500), nullable=True),
        sa.Column("request_id", sa.String(length=128), nullable=False),
        sa.Column("changes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.CheckConstraint("(actor_type = 'user') = (actor_id IS NOT NULL)", name=op.f("ck_audit_logs_actor_id")),
        sa.CheckConstraint("CAST(changes AS text) ~ '^[{][a-z_,]*[}]$'", name=op.f("ck_audit_logs_changes")),
        sa.CheckConstraint("action ~ '^[a-z][a-z_]*[.][a-z][a-z_]*$'", name=op.f("ck_audit_logs_action")),
        sa.CheckConstraint("actor_type IN ('user', 'anonymous', 'system')", name=op.f("ck_audit_logs_actor_type")),
        sa.CheckConstraint("outcome IN ('success', 'failure', 'denied')", name=op.f("ck_audit_logs_outcome")),
        sa.CheckConstraint("(target_type IS NULL) = (target_id IS NULL)", name=op.f("ck_audit_logs_target_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_logs")),
    )
    op.create_index("ix_audit_logs_action", "audit_logs", ["action", "occurred_at", "id"], unique=False)
    op.create_index("ix_audit_logs_actor_id", "audit_logs", ["actor_id", "occurred_at", "id"], unique=False)
    op.create_index(
        "ix_audit_logs_area",
        "audit_logs",
        [sa.literal_column("split_part(action, '.', 1)"), "occurred_at", "id"],
        unique=False,
    )
    op.create_index("ix_audit_logs_occurred_at", "audit_logs", ["occurred_at", "id"], unique=False)
    op.create_index("ix_audit_logs_outcome", "audit_logs", ["outcome", "occurred_at", "id"], unique=False)
    op.create_index("ix_audit_logs_target_id", "audit_logs", ["target_id", "occurred_at", "id"], unique=False)
    op.execute("""
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF current_setting('docket.prune', true) IS DISTINCT FROM 'on' THEN
                RAISE insufficient_privilege
                    USING MESSAGE = format('%s is append-only: %s is refused', TG_TABLE_NAME, TG_OP);
            END IF;
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_logs
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """)


def downgrade() -> None:
    op.drop_index("ix_audit_logs_target_id", table_name="audit_logs")
    op.drop_index("ix_audit_logs_outcome", table_name="audit_logs")
    op.drop_index("ix_audit_logs_occurred_at", table_name="audit_logs")
    op.drop_index("ix_audit_logs_area", table_name="audit_logs")
    op.drop_index("ix_audit_logs_actor_id", table_name="audit_logs")
    op.drop_index("ix_audit_logs_action", table_name="audit_logs")
    op.drop_table("audit_logs")
    op.execute("DROP FUNCTION refuse_change")
