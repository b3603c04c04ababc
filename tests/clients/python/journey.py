"""The journey, by openapi-python-client."""

import os
from collections.abc import Iterator
from http import HTTPStatus
from uuid import uuid4

from docket_client.api.auth import get_current_user, login, logout, refresh_tokens, register_user
from docket_client.api.tasks import create_task, list_tasks, update_task
from docket_client.client import AuthenticatedClient, Client
from docket_client.models import (
    AccountConflictProblem,
    LoginRequest,
    PreconditionFailedProblem,
    RefreshRequest,
    Task,
    TaskCreate,
    TaskPage,
    TaskPatch,
    TaskPriority,
    TokenPair,
    UnauthorizedProblem,
    User,
    UserRegister,
)

DOCKET = os.environ["DOCKET"]


def describe_problem(problem: object) -> str:
    """What is told of a problem: its code is for programs."""
    assert isinstance(problem, AccountConflictProblem | PreconditionFailedProblem | UnauthorizedProblem)
    return {
        "email_already_registered": "somebody has this address",
        "precondition_failed": "somebody was faster",
        "token_revoked": "signed out",
    }.get(problem.code, "something else")


def tasks(client: AuthenticatedClient) -> Iterator[Task]:
    page = list_tasks.sync(client=client, limit=2)
    while isinstance(page, TaskPage):
        yield from page.items
        page = list_tasks.sync(client=client, limit=2, cursor=page.next_cursor) if page.next_cursor else None


def main() -> None:
    anybody = Client(DOCKET)
    email, password = f"{uuid4()}@example.com", "nine lives of a lighthouse"
    account = UserRegister(email=email, password=password)
    registered = register_user.sync(client=anybody, body=account)
    assert isinstance(registered, User)
    assert registered.email == email
    again = register_user.sync_detailed(client=anybody, body=account)
    assert again.status_code is HTTPStatus.CONFLICT
    assert describe_problem(again.parsed) == "somebody has this address"

    session = login.sync(client=anybody, body=LoginRequest(email=email, password=password))
    assert isinstance(session, TokenPair)
    assert session.refresh_token is not None
    client = AuthenticatedClient(DOCKET, session.access_token)

    for title in ("One", "Two", "Three"):
        task = TaskCreate(title=title, description="Soon", priority=TaskPriority.HIGH)
        assert isinstance(create_task.sync(client=client, body=task), Task)
    three, *rest = tasks(client)
    assert [task.title for task in (three, *rest)] == ["Three", "Two", "One"]

    patched = update_task.sync_detailed(three.id, client=client, body=TaskPatch(description=None))
    assert isinstance(patched.parsed, Task)
    assert (patched.parsed.description, patched.parsed.title) == (None, "Three")

    etag = patched.headers["ETag"]
    first = update_task.sync(three.id, client=client, body=TaskPatch(title="First"), if_match=etag)
    assert isinstance(first, Task)
    second = update_task.sync_detailed(three.id, client=client, body=TaskPatch(title="Second"), if_match=etag)
    assert second.status_code is HTTPStatus.PRECONDITION_FAILED
    assert describe_problem(second.parsed) == "somebody was faster"

    following = refresh_tokens.sync(client=client, body=RefreshRequest(refresh_token=session.refresh_token))
    assert isinstance(following, TokenPair)
    client = AuthenticatedClient(DOCKET, following.access_token)
    assert logout.sync_detailed(client=client).status_code is HTTPStatus.NO_CONTENT
    gone = get_current_user.sync_detailed(client=client)
    assert gone.status_code is HTTPStatus.UNAUTHORIZED
    assert describe_problem(gone.parsed) == "signed out"
    print("The journey ended well.")  # noqa: T201 - the test waits for it


main()
