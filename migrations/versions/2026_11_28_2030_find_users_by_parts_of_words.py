"""find users by parts of words"""

import re
import unicodedata
from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from alembic import op

revision = "5e0b7d92c1fa"
down_revision = "d3a91c5be604"
branch_labels = None
depends_on = None

BATCH = 1000
PARTS = re.compile(r"[^\W_]+")
LONGEST_WORD = 255
READ = sa.text("""
    SELECT id, version, words, email, username, full_name FROM users
    WHERE id > CAST(:after AS uuid) ORDER BY id LIMIT CAST(:batch AS integer)
""")
WRITE = sa.text("""
    UPDATE users SET words = filled.words
    FROM unnest(CAST(:ids AS uuid[]), CAST(:versions AS bigint[]), CAST(:words AS text[]))
        AS filled (id, version, words)
    WHERE users.id = filled.id AND users.version = filled.version
""")


def upgrade() -> None:
    """Fill `words` as the application writes it, batch by batch; who is changed meanwhile has been written by it."""
    with op.get_context().autocommit_block():
        after = UUID(int=0)
        while batch := op.get_bind().execute(READ, {"after": after, "batch": BATCH}).all():
            after = batch[-1].id
            write([(row.id, row.version, found) for row in batch if (found := words(*row[3:])) != row.words])


def write(rows: Sequence[tuple[UUID, int, str]]) -> None:
    if rows:
        ids, versions, found = map(list, zip(*rows, strict=True))
        op.get_bind().execute(WRITE, {"ids": ids, "versions": versions, "words": found})


def key(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def words(email: str | None, username: str | None, full_name: str | None) -> str:
    parts = [key(part) for part in ((email or "").partition("@")[0], username or "", full_name or "")]
    found = [*key(email or "").split(), *[word for part in parts for word in (*part.split(), *PARTS.findall(part))]]
    return " ".join(dict.fromkeys(word[:LONGEST_WORD] for word in found))


def downgrade() -> None:
    """Change nothing: the release before writes `words` like this, too. What they were is lost, and found less."""
