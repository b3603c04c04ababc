"""Which database a server uses: that of DATABASE_URL, or the embedded one under DATA_DIR."""

from collections.abc import Iterator
from contextlib import contextmanager

from persistence.embedded import Embedded
from server.settings import Settings


@contextmanager
def opened(settings: Settings) -> Iterator[str]:
    """The URL of the database, which answers as long as the context lasts. Raises EmbeddedError."""
    if settings.url is not None:
        yield settings.url
        return
    embedded = Embedded(settings.data_dir)
    embedded.open()
    try:
        yield embedded.url()
    finally:
        embedded.close()
