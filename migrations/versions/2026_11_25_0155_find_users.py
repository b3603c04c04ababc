"""find users"""

import sqlalchemy as sa
from alembic import op

revision = "b1f6c0a97d42"
down_revision = "8e21d04c6f3b"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("words", sa.String(), server_default=sa.text("''"), nullable=False))
    op.execute("""
        UPDATE users SET words = btrim(regexp_replace(
            lower(concat_ws(' ', email_key, split_part(email_key, '@', 1), username_key, full_name)), '\\s+', ' ', 'g'
        ))
    """)
    op.create_index("ix_users_created_at", "users", ["created_at", "id"], unique=False)
    op.create_index("ix_users_updated_at", "users", ["updated_at", "id"], unique=False)
    op.create_index("ix_users_email", "users", [sa.literal_column("coalesce(email_key, '')"), "id"], unique=False)
    op.create_index(
        "ix_users_inactive", "users", ["created_at", "id"], unique=False, postgresql_where=sa.text("NOT is_active")
    )
    op.create_index(
        "ix_users_superusers", "users", ["created_at", "id"], unique=False, postgresql_where=sa.text("is_superuser")
    )
    op.create_index(
        "ix_users_words",
        "users",
        [sa.literal_column("array_to_tsvector(string_to_array(words, ' '))")],
        unique=False,
        postgresql_using="gin",
    )


def downgrade() -> None:
    for name in ("words", "superusers", "inactive", "email", "updated_at", "created_at"):
        op.drop_index(f"ix_users_{name}", table_name="users")
    op.drop_column("users", "words")
