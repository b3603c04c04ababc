"""The tasks of Docket on the command line: lists, adds and completes them by an access token.

The token is that of DOCKET_TOKEN, or the one that `sign-in` put into the keyring of the system.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from getpass import getpass
from http import HTTPStatus
from typing import Any, TypeVar
from uuid import UUID

import keyring
from docket_client.api.auth import get_current_user
from docket_client.api.tasks import create_task, list_tasks, update_task
from docket_client.client import AuthenticatedClient
from docket_client.models import Task, TaskCreate, TaskPage, TaskPatch, TaskPriority, TaskStatus, User
from docket_client.types import UNSET, Response, Unset
from httpx import HTTPError, Timeout

DOCKET = os.environ.get("DOCKET", "http://127.0.0.1:8000")
DOCKET_TOKEN = os.environ.get("DOCKET_TOKEN")
OPEN = {TaskStatus.PENDING, TaskStatus.IN_PROGRESS}
SHOWN = 8  # characters of an id, from its end: its beginning is the time
T = TypeVar("T")


class Failed(Exception):  # noqa: N818 - it says what is the case
    """What the user is told instead of a result."""


def token() -> str:
    """The access token. Raises Failed where there is none."""
    found = DOCKET_TOKEN or keyring.get_password("docket", DOCKET)
    if not found:
        raise Failed("There is no access token: set DOCKET_TOKEN, or use `docket.py sign-in`.")
    return found


def connect_client(access_token: str) -> AuthenticatedClient:
    return AuthenticatedClient(DOCKET, access_token, timeout=Timeout(30))


def result_of(answer: Response[Any], kind: type[T]) -> T:
    """The result of an operation. Raises Failed for a problem, in words for the user."""
    if isinstance(answer.parsed, kind):
        return answer.parsed
    if answer.status_code is HTTPStatus.UNAUTHORIZED:
        raise Failed("The access token is over, or is none of this server. Make another one, and `docket.py sign-in`.")
    raise Failed(getattr(answer.parsed, "detail", f"The server answered {answer.status_code}."))


def tasks(client: AuthenticatedClient) -> Iterator[Task]:
    """All tasks that the token sees, page by page."""
    cursor: str | Unset = UNSET
    while True:
        page = result_of(list_tasks.sync_detailed(client=client, limit=100, cursor=cursor), TaskPage)
        yield from page.items
        if page.next_cursor is None:
            return
        cursor = page.next_cursor


def line(task: Task) -> str:
    """A task as a line: its short id, whether it is done, how urgent it is, its title."""
    mark = {TaskStatus.COMPLETED: "x", TaskStatus.CANCELLED: "-"}.get(task.status, " ")
    urgent = "!" if task.priority in (TaskPriority.HIGH, TaskPriority.URGENT) else " "
    return f"{str(task.id)[-SHOWN:]} [{mark}] {urgent} {task.title}"


def find_task(client: AuthenticatedClient, short: str) -> Task:
    """The one task whose id ends so. Raises Failed."""
    found = [task for task in tasks(client) if str(task.id).endswith(short.lower())]
    if len(found) != 1:
        raise Failed(f"{len(found) or 'No'} tasks end in {short}: `docket.py list --all` shows them.")
    return found[0]


def sign_in(_arguments: argparse.Namespace) -> None:
    """Keep a token in the keyring, if the server takes it."""
    told = getpass("Access token: ").strip() if sys.stdin.isatty() else sys.stdin.readline().strip()
    user = result_of(get_current_user.sync_detailed(client=connect_client(told)), User)
    keyring.set_password("docket", DOCKET, told)
    print(f"Signed in to {DOCKET} as {user.email or user.id}.")


def sign_out(_arguments: argparse.Namespace) -> None:
    """Forget the token; it lives until it is revoked."""
    if keyring.get_password("docket", DOCKET):
        keyring.delete_password("docket", DOCKET)
    print("The token is forgotten here. Revoke it, if nothing else has it.")


def show(arguments: argparse.Namespace) -> None:
    for task in tasks(connect_client(token())):
        if arguments.all or task.status in OPEN:
            print(line(task))


def add(arguments: argparse.Namespace) -> None:
    wanted = TaskCreate(title=" ".join(arguments.title), priority=TaskPriority(arguments.priority))
    if arguments.organization:
        wanted.organization_id = UUID(arguments.organization)
    print(line(result_of(create_task.sync_detailed(client=connect_client(token()), body=wanted), Task)))


def complete(arguments: argparse.Namespace) -> None:
    client = connect_client(token())
    task = find_task(client, arguments.id)
    patch = TaskPatch(status=TaskStatus.COMPLETED)
    done = update_task.sync_detailed(task.id, client=client, body=patch, if_match=f'"{task.version}"')
    print(line(result_of(done, Task)))


def parse_arguments() -> argparse.Namespace:
    """What the user asks for."""
    parser = argparse.ArgumentParser(prog="docket.py", description="Tasks of Docket, by an access token.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], None], words: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=words, description=words)
        made.set_defaults(run=run)
        return made

    command("sign-in", sign_in, "Read an access token and keep it in the keyring.")
    command("sign-out", sign_out, "Forget the access token.")
    shown = command("list", show, "List the tasks that are open.")
    shown.add_argument("--all", action="store_true", help="those that are done or cancelled, too")
    added = command("add", add, "Add a task.")
    added.add_argument("title", nargs="+")
    added.add_argument("--priority", choices=[one.value for one in TaskPriority], default=TaskPriority.MEDIUM.value)
    added.add_argument("--organization", metavar="ID", help="where; else in the personal organization")
    command("done", complete, "Complete a task.").add_argument("id", help="the last characters of its id")
    return parser.parse_args()


def main() -> int:
    """The exit status: 0, or 1 where the user is told why not."""
    arguments = parse_arguments()
    try:
        arguments.run(arguments)
    except Failed as failed:
        print(failed, file=sys.stderr)
    except HTTPError as error:
        print(f"{DOCKET} does not answer: {error}", file=sys.stderr)
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
