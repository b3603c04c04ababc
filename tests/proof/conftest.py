"""A database on disk, for what is measured."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from persistence.embedded.server import Embedded
from server.database.migrations import upgrade


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """That of a database that is kept as scripts/run.sh keeps it."""
    folder = Path(tempfile.mkdtemp(prefix="docket-"))
    folder.chmod(0o755)  # for the account that runs PostgreSQL for root
    embedded = Embedded(folder)
    embedded.open()
    upgrade(embedded.url())
    yield embedded.url()
    embedded.close()
    shutil.rmtree(folder)
