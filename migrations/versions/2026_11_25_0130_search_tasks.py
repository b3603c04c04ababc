"""search tasks"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "5c1b7e0a9d42"
down_revision = "8c41d7e5a902"
branch_labels = None
depends_on = None

WORDS = r"""
    setweight(to_tsvector('simple', translate(regexp_replace(normalize(coalesce(title, ''), NFKD),
        '[\u0300-\u036F]', '', 'g'), 'łŁøØđĐħĦı', 'lLoOdDhHi')), 'A')
    || setweight(to_tsvector('simple', translate(regexp_replace(normalize(coalesce(description, ''), NFKD),
        '[\u0300-\u036F]', '', 'g'), 'łŁøØđĐħĦı', 'lLoOdDhHi')), 'B')
"""


def upgrade() -> None:
    op.add_column(
        "tasks", sa.Column("search", postgresql.TSVECTOR(), sa.Computed(WORDS, persisted=True), nullable=False)
    )
    op.create_index("ix_tasks_search", "tasks", ["search"], postgresql_using="gin")


def downgrade() -> None:
    op.drop_index("ix_tasks_search", table_name="tasks")
    op.drop_column("tasks", "search")
