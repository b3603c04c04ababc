"""tell who made the organizations of before"""

from uuid import UUID

import sqlalchemy as sa
from alembic import op

revision = "3d5a0c96e7b1"
down_revision = "546bfa704b76"
branch_labels = None
depends_on = None

BATCH = 1000
NEXT = sa.text("""
    SELECT id FROM organizations WHERE kind = 'team' AND id > CAST(:after AS uuid)
    ORDER BY id LIMIT CAST(:batch AS integer)
""")
FILL = sa.text("""
    WITH made AS (
        SELECT organizations.id, users.id AS maker
        FROM organizations
        JOIN audit_logs ON audit_logs.target_id = organizations.id AND audit_logs.action = 'organization.created'
        JOIN users ON users.id = audit_logs.actor_id
        WHERE organizations.id = ANY(CAST(:ids AS uuid[])) AND organizations.created_by IS NULL
        FOR KEY SHARE OF users
    )
    UPDATE organizations SET created_by = made.maker FROM made WHERE organizations.id = made.id
""")


def upgrade() -> None:
    """As the audit logs tell, batch by batch. Of what they tell no more the maker stays unknown."""
    with op.get_context().autocommit_block():
        after = UUID(int=0)
        while ids := list(op.get_bind().scalars(NEXT, {"after": after, "batch": BATCH})):
            after = ids[-1]
            op.get_bind().execute(FILL, {"ids": ids})


def downgrade() -> None:
    """Change nothing: the column goes with the migration that made it."""
