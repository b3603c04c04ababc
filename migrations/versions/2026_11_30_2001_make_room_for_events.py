"""make room for events"""

import sqlalchemy as sa
from alembic import op

revision = "e41c7d08a6b2"
down_revision = "b71f04e6d3a8"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("feed_id", sa.Uuid(), nullable=False),
        sa.Column("xid", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("transaction", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("caused_by", sa.Text(), nullable=True),
        sa.Column("data", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("feed_id", "xid", "seq", "day", name=op.f("pk_events")),
        postgresql_partition_by="RANGE (day)",
    )
    op.create_index("ix_events_subject_id", "events", ["subject_id", "seq"], unique=False)
    op.create_table(
        "event_log",
        sa.Column("sole", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("epoch", sa.Uuid(), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("first_seq", sa.BigInteger(), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=True),
        sa.CheckConstraint("sole", name=op.f("ck_event_log_sole")),
        sa.PrimaryKeyConstraint("sole", name=op.f("pk_event_log")),
    )
    op.execute("CREATE SEQUENCE event_seq")
    op.execute(
        "INSERT INTO event_log (epoch, identity, first_seq) VALUES (gen_random_uuid(), '', nextval('event_seq'))"
    )
    op.execute("""
        DO $$
        DECLARE
            today date := timezone('UTC', clock_timestamp())::date;
            day date;
        BEGIN
            FOR ahead IN -1..14 LOOP
                day := today + ahead;
                EXECUTE format('CREATE TABLE %I PARTITION OF events FOR VALUES FROM (%L) TO (%L)',
                    'events_' || to_char(day, 'YYYYMMDD'), day, day + 1);
            END LOOP;
        END $$
    """)
    op.add_column("organization_members", sa.Column("joined_after", sa.Text(), nullable=True))
    op.add_column("organization_members", sa.Column("joined_seq", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("organization_members", "joined_seq")
    op.drop_column("organization_members", "joined_after")
    op.drop_table("event_log")
    op.drop_table("events")
    op.execute("DROP SEQUENCE event_seq")
