"""Where the data of the embedded PostgreSQL is kept, whose it is, and how it comes to be: complete, or not at all."""

import errno
import hashlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from persistence.embedded.binaries import DRAFT, MAJOR, Account, EmbeddedError, complaint, find_account, name_of, run
from persistence.embedded.locks import ENTERED, make_folder

ELSEWHERE = Path("/var/lib/docket")
OPEN = 0o027  # what others than the owner may not do with the data
REMEDY = "bring it back, or choose another DATA_DIR and restore a backup there"
SHORT = Path("/tmp")  # noqa: S108 - what is made there is private and its owner is checked
SOCKET = ".s.PGSQL.5432"
LONGEST_SOCKET = 103  # bytes; macOS takes no more, Linux 107
# Sorting and lower() are PostgreSQL's own, the same everywhere; the system's locale only tells the text search
# parser what is a letter and what punctuation.
LOCALE = (
    "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
    "--locale=C", "--lc-ctype=UTF-8" if sys.platform == "darwin" else "--lc-ctype=C.UTF-8",
)  # fmt: skip


def place(folder: Path) -> Path:
    """The data directory of `folder`, whether it exists or not. Raises EmbeddedError when it cannot be used.

    It is `folder/data`. Where root's server account cannot enter that, it is a folder of its own under /var/lib/docket
    and `folder/data` a symbolic link to it.
    """
    link = folder / "data"
    account = check(link.resolve())
    make_folder(folder)
    if not os.path.lexists(link) and not account.enters(folder):
        link_elsewhere(link)
    data = link.resolve()
    if link.is_symlink() and not data.parent.exists():
        raise EmbeddedError(f"{link} points to {data}, whose folder is gone: {REMEDY}")
    make_folder(data.parent)
    if data.parent.parent == ELSEWHERE and os.geteuid() == 0:
        close_to_readers(ELSEWHERE, data.parent)
    if not account.enters(data.parent):
        raise EmbeddedError(
            f"The account {account.name}, which runs PostgreSQL for root, cannot enter {data.parent}:"
            " let it, or choose another DATA_DIR"
        )
    return data


def close_to_readers(*folders: Path) -> None:
    """Take from folders of ours, which an earlier release made, the permissions that only we need."""
    for folder in folders:
        found = folder.stat()
        if found.st_uid == os.geteuid() and found.st_mode & 0o066:
            folder.chmod(found.st_mode & ENTERED)


def check(data: Path) -> Account:
    """Who owns the data, or is to own it. Raises EmbeddedError when we cannot use it; touches nothing."""
    mine = os.geteuid()
    new = Account(name_of(mine), mine, os.getegid()) if mine else find_account()
    if not data.exists():
        return new
    found = data.stat()
    if not data.is_dir():
        raise EmbeddedError(f"{data} is a file and no data directory: move it away, or choose another DATA_DIR")
    if mine not in (0, found.st_uid):
        raise EmbeddedError(
            f"{data} belongs to {name_of(found.st_uid)}: start as that user, or choose another DATA_DIR"
        )
    if is_new(data):
        return new
    require_whole(data)
    if found.st_mode & OPEN:
        raise EmbeddedError(f"{data} is open to others, which PostgreSQL refuses: chmod 0700 it")
    if found.st_uid == 0:
        raise EmbeddedError(f"{data} belongs to root, and PostgreSQL does not run as root: chown -R it to another user")
    return Account(name_of(found.st_uid), found.st_uid, found.st_gid)


def is_new(data: Path) -> bool:
    """Whether there is nothing yet."""
    return not data.exists() or not any(data.iterdir())


def require_whole(data: Path) -> None:
    """Refuse what is no data directory of this PostgreSQL, or none any more. Raises EmbeddedError.

    What else it lacks PostgreSQL says itself.
    """
    version, control = data / "PG_VERSION", data / "global" / "pg_control"
    major = version.read_text(encoding="ascii", errors="replace").strip() if version.is_file() else ""
    if not major.isdigit():
        raise damage_error(data, f"{version.name} {'names no version' if version.exists() else 'is missing'}")
    if major != MAJOR:
        raise EmbeddedError(
            f"{data} was written by PostgreSQL {major} and this is {MAJOR}: back it up with the release of Docket that"
            " wrote it and restore it here, or choose another DATA_DIR"
        )
    if not control.is_file():
        raise damage_error(data, "global/pg_control is missing")


def damage_error(data: Path, what: str) -> EmbeddedError:
    """The refusal of a directory that may have had a database in it: it stays as it is."""
    return EmbeddedError(f"{data} is damaged ({what}) and stays as it is: {REMEDY}")


def link_elsewhere(link: Path) -> None:
    if not ELSEWHERE.exists():
        ELSEWHERE.mkdir(parents=True)
        ELSEWHERE.chmod(ENTERED)
    home = Path(tempfile.mkdtemp(dir=ELSEWHERE))
    home.chmod(ENTERED)
    try:
        link.symlink_to(home / "data")
    except FileExistsError:  # another process was first
        home.rmdir()


def create(data: Path, account: Account, programs: Path, *, durable: bool) -> None:
    """Make the data directory beside its place, and move it there when it is complete. One process at a time."""
    for remains in data.parent.glob(f"{DRAFT}*"):
        shutil.rmtree(remains, ignore_errors=True)
    draft = Path(tempfile.mkdtemp(prefix=DRAFT, dir=data.parent))
    account.give(draft)
    options = [*LOCALE, "--auth=trust", "--username=postgres", *([] if durable else ["--no-sync"])]
    done = run(programs / "initdb", *options, "--pgdata", draft, account=account)
    if done.returncode:
        shutil.rmtree(draft, ignore_errors=True)
        said = complaint(done.stderr)
        raise EmbeddedError(f"Cannot make a database in {data.parent}: {said}{advice(data.parent, said)}")
    draft.rename(data)
    if durable:
        keep_name(data)
        keep_name(data.parent)


def keep_name(path: Path) -> None:
    """Let a new name survive a power failure, which takes a sync of its folder."""
    with suppress(PermissionError):  # a folder of others, which we did not make
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def socket_folder(data: Path) -> Path:
    """Where the socket is: with the data, or in a private folder of a short name if the path is no name for a socket.

    The comma and the quote divide lists of hosts and of folders.
    """
    path = os.fsencode(data / SOCKET)
    if len(path) <= LONGEST_SOCKET and not any(mark in path for mark in b',"'):
        return data
    return SHORT / f"docket-{hashlib.sha256(os.fsencode(data)).hexdigest()[:16]}"


def make_private(folder: Path, account: Account) -> None:
    """Make the folder of the socket, or make sure that it is ours alone."""
    try:
        folder.mkdir(mode=0o700)
        account.give(folder)
    except FileExistsError:
        if not is_private(folder, account):
            raise EmbeddedError(
                f"{folder}, the place of the socket, belongs to {name_of(folder.lstat().st_uid)} or is open to others:"
                " remove it, or choose a shorter DATA_DIR"
            ) from None


def is_private(folder: Path, account: Account) -> bool:
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == account.uid and not found.st_mode & 0o077


@contextmanager
def explain_errors(folder: Path) -> Iterator[None]:
    """Turn what the system refuses into one line for the operator."""
    try:
        yield
    except OSError as error:
        what = error.filename or folder
        reason = f"{error.strerror} ({what})" if error.strerror else str(error)
        raise EmbeddedError(f"Cannot keep the database in {folder}: {reason}{advice(folder, reason)}") from None


def advice(folder: Path, reason: str) -> str:
    """What to do. Who found the disk full may have made room by taking away what he had begun."""
    if any(os.strerror(number) in reason for number in (errno.ENOSPC, errno.EDQUOT)) or is_full(folder):
        return f": free some space on the disk of {folder}"
    if any(os.strerror(number) in reason for number in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)):
        return ": choose a DATA_DIR that you may write, or set DATABASE_URL"
    return f": if it is damaged, {REMEDY}"


def is_full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < 2**20
    except OSError:
        return False
