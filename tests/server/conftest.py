"""What tests of the server share: the log, the settings, a folder for an embedded database."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.conftest import settings, still_window
from tests.binding.conftest import logged

__all__ = ["logged", "settings", "still_window"]


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="docket-"))
    folder.chmod(0o755)  # for the account that runs PostgreSQL for root
    yield folder
    shutil.rmtree(folder)
