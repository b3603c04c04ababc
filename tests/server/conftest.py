"""What tests of the server share: the log, requests, and the application upon a database of the test."""

from tests.api.conftest import settings
from tests.contract.conftest import logged

__all__ = ["logged", "settings"]
