"""Locks between processes, which the kernel releases when one dies; a process that waits says for which.

They are files in a folder that no other account enters: who can open a file can lock it for ever. Nothing but the
standard library is needed, as scripts/environment.py has no other.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

with suppress(ImportError):  # Windows has none
    import fcntl

ENTERED = 0o711  # others pass through a folder, and neither list it nor write there
FOLDER = "locks"
TELL_AFTER = 2.0  # seconds
PAUSE = 0.05  # seconds between two tries
LONGEST_COMMAND = 100  # characters


class Unavailable(Exception):  # noqa: N818 - it says what is the case
    """The lock is not to be had: one line that says who has it."""


def make_folder(folder: Path) -> None:
    """Make a folder for what is ours, if there is none. Root's server account passes through it and reads nothing."""
    try:
        folder.mkdir(parents=True, mode=0o700)
    except FileExistsError:
        return
    if os.geteuid() == 0:
        folder.chmod(ENTERED)


def open_lock(folder: Path, name: str) -> int:
    """Open a lock of the folder: a descriptor that others do not inherit. Raises OSError.

    The files of releases that kept them in the folder itself go on, so that these and we keep out of each other's way.
    """
    locks = folder / FOLDER
    with suppress(FileExistsError):
        locks.mkdir(mode=0o700)
        give_to_owner(locks, folder)
    if (found := locks.stat()).st_mode & 0o077 and os.geteuid() in (0, found.st_uid):
        locks.chmod(0o700)
    if not (locks / name).exists():
        adopt(folder / name, locks / name)
    descriptor = os.open(locks / name, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    found = os.fstat(descriptor)
    if os.geteuid() in (0, found.st_uid):
        if found.st_mode & 0o177:
            os.fchmod(descriptor, 0o600)
        give_to_owner(locks / name, folder)
    return descriptor


def adopt(old: Path, new: Path) -> None:
    """Move the file without ever replacing another; where there are no hard links, by its name."""
    with suppress(FileNotFoundError, FileExistsError):
        try:
            os.link(old, new, follow_symlinks=False)
        except PermissionError:
            old.rename(new)
        else:
            old.unlink()


def give_to_owner(path: Path, folder: Path) -> None:
    """What root makes in a folder of somebody else is theirs."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def take(
    descriptor: int,
    *,
    seconds: float,
    say: Callable[[str], None],
    shared: bool = False,
    gives_up: Callable[[], bool] = lambda: False,
) -> None:
    """Take the lock. Raises Unavailable after so many seconds, or when `gives_up`; for SIGTERM KeyboardInterrupt."""
    began, told = time.monotonic(), False
    if try_to_take(descriptor, shared=shared):
        return
    with sigterm_interrupts():
        while not try_to_take(descriptor, shared=shared):
            waited = time.monotonic() - began
            try:
                if gives_up() or waited > seconds:
                    raise Unavailable(f"Gave up after {waited:.0f} s: {holder_of(descriptor)}")
                if waited > TELL_AFTER and not told:
                    say(f"Waiting for at most {seconds:.0f} s: {holder_of(descriptor)}")
                    told = True
                time.sleep(PAUSE)
            except KeyboardInterrupt:
                say(f"Interrupted after {waited:.0f} s: {holder_of(descriptor)}")
                raise


def try_to_take(descriptor: int, *, shared: bool = False) -> bool:
    """Whether the lock is ours now."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """SIGTERM ends what is done here as Ctrl-C does, where it would end the process without a word."""
    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def holder_of(descriptor: int) -> str:
    """Say which process has the lock, as far as the system tells."""
    where = path_of(descriptor)
    found = [f"process {pid} ({command_of(pid)})" for pid in holders_of(descriptor)]
    return f"{' and '.join(found) or 'another process'} holds {where}"


def holders_of(descriptor: int) -> list[int]:
    """The processes that have a lock of the file."""
    inode = os.fstat(descriptor).st_ino
    try:
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:  # no Linux
        return []
    # 1: FLOCK  ADVISORY  WRITE 4711 08:01:1234 0 EOF; who waits has a `->` before its kind
    held = [line.split() for line in lines if " FLOCK " in line and "->" not in line]
    return sorted({int(parts[4]) for parts in held if parts[5].rpartition(":")[2] == str(inode) and int(parts[4]) > 0})


def path_of(descriptor: int) -> str:
    try:
        return str(Path(f"/proc/self/fd/{descriptor}").readlink())
    except OSError:
        return "the lock"


def command_of(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").replace("\0", " ").strip()
    except OSError:
        words = ""
    line = "".join(letter if letter.isprintable() else "?" for letter in words)
    return line[:LONGEST_COMMAND] or "gone, or not to be seen from here"
