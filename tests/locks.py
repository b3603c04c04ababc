"""Another process that has a lock."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOLD = """
import fcntl, os, sys
fcntl.flock(os.open(sys.argv[1], os.O_RDONLY | os.O_CREAT, 0o600), fcntl.LOCK_EX)
print(flush=True)
sys.stdin.read()
"""


@contextmanager
def holding(file: Path) -> Iterator[int]:
    """The pid of a process that has the lock of the file until the context ends."""
    command = [sys.executable, "-c", HOLD, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        yield holder.pid
        holder.communicate()
