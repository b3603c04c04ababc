"""The live server of the tests of the system."""

from tests.system.conftest import server_url

__all__ = ["server_url"]
