"""A folder of backups: each is named by its moment, and those that are too old go when a new one is complete.

Where the disk is full, the oldest go, one by one, until the new one fits. The newest that is complete always stays.
"""

import asyncio
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from persistence.embedded import locks
from server.complaints import CommandError, say
from server.database import backup

NAME = "docket-%Y%m%dT%H%M%SZ.backup"
FORMER = "*.zip"  # what release 0.1.0 wrote


@dataclass(frozen=True, slots=True)
class BackupFolder:
    """The backups that this module has written into a folder."""

    path: Path
    days: int

    def write(self, url: str) -> Path:
        """Write a backup, and remove those that are too old. Raises CommandError; then there is no new one."""
        with backup.explain_errors(self.path), self.alone():
            for draft in self.path.glob(".docket-*.backup.*"):  # of a process that was killed
                shutil.rmtree(draft)
            now = datetime.now(UTC)
            file = self.path / now.strftime(NAME)
            asyncio.run(backup.write(url, file, self.make_room))
            oldest = (now - timedelta(days=self.days)).strftime(NAME)
            for old in self.backups():
                if old.name < oldest:
                    old.unlink()
            if former := sorted(self.path.glob(FORMER)):
                said = "of release 0.1.0, which this one neither reads nor removes: delete those that you do not need"
                say(f"Mind: {self.path} has zip files {said} (from {former[0].name} to {former[-1].name})")
            return file

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Lock the folder: no other backup writes here meanwhile. Raises CommandError when one does."""
        lock = locks.open_lock(self.path, "backup.lock")
        try:
            if not locks.try_to_take(lock):
                raise CommandError(f"Another backup is under way: {locks.holder_of(lock)}")
            yield
        finally:
            os.close(lock)

    def make_room(self) -> bool:
        """Whether an old backup could be removed."""
        backups = self.backups()
        newest = next(filter(backup.is_whole, backups), None)
        others = [file for file in backups if file != newest]
        if not others:
            return False
        say(f"The disk of {self.path} is full: {others[-1].name} is removed")
        others[-1].unlink()
        return True

    def backups(self) -> list[Path]:
        """Those that have such a name, the newest first."""
        return sorted(self.path.glob("docket-[0-9]*T[0-9]*Z.backup"), reverse=True)
