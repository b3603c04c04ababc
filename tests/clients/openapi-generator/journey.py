"""The journey, by openapi-generator's python."""

import os
from collections.abc import Callable, Iterator
from datetime import date
from http import HTTPStatus
from uuid import uuid4

from docket_client.api.auth_api import AuthApi
from docket_client.api.tasks_api import TasksApi
from docket_client.api_client import ApiClient
from docket_client.configuration import Configuration
from docket_client.exceptions import ApiException
from docket_client.models.account_conflict_problem import AccountConflictProblem
from docket_client.models.login_request import LoginRequest
from docket_client.models.precondition_failed_problem import PreconditionFailedProblem
from docket_client.models.refresh_request import RefreshRequest
from docket_client.models.task import Task
from docket_client.models.task_create import TaskCreate
from docket_client.models.task_patch import TaskPatch
from docket_client.models.task_priority import TaskPriority
from docket_client.models.unauthorized_problem import UnauthorizedProblem
from docket_client.models.user_register import UserRegister

DAY = date(2030, 1, 31)
CONFIGURATION = Configuration(host=os.environ["DOCKET"])


def refusal_of(call: Callable[[], object]) -> object:
    """What a refusal says, which comes as an exception."""
    try:
        call()
    except ApiException as error:
        return error.data
    raise AssertionError


def tasks(api: TasksApi) -> Iterator[Task]:
    page = api.list_tasks(limit=2)
    yield from page.items
    while page.next_cursor is not None:
        page = api.list_tasks(limit=2, cursor=page.next_cursor)
        yield from page.items


def main(client: ApiClient) -> None:
    auth, api = AuthApi(client), TasksApi(client)
    email, password = f"{uuid4()}@example.com", "nine lives of a lighthouse"
    account = UserRegister(email=email, password=password)
    assert auth.register_user(account).email == email
    again = refusal_of(lambda: auth.register_user(account))
    assert isinstance(again, AccountConflictProblem)
    assert again.code == "email_already_registered"

    session = auth.login(LoginRequest(email=email, password=password))
    assert session.refresh_token is not None
    CONFIGURATION.access_token = session.access_token

    for title in ("One", "Two", "Three"):
        api.create_task(TaskCreate(title=title, description="Soon", priority=TaskPriority.high))
    three, *rest = tasks(api)
    assert [task.title for task in (three, *rest)] == ["Three", "Two", "One"]

    patched = api.update_task_with_http_info(three.id, TaskPatch(description=None))
    assert (patched.data.description, patched.data.title) == (None, "Three")

    moved = api.update_task_with_http_info(three.id, TaskPatch(due_on=DAY))
    assert moved.data.due_on == DAY

    assert moved.headers is not None
    etag = moved.headers["etag"]  # as the server writes it
    assert api.update_task(three.id, TaskPatch(title="First"), if_match=etag).title == "First"
    second = refusal_of(lambda: api.update_task(three.id, TaskPatch(title="Second"), if_match=etag))
    assert isinstance(second, PreconditionFailedProblem)
    assert second.code == "precondition_failed"

    following = auth.refresh_tokens(RefreshRequest(refresh_token=session.refresh_token))
    assert following is not None
    CONFIGURATION.access_token = following.access_token
    assert auth.logout_with_http_info().status_code == HTTPStatus.NO_CONTENT
    gone = refusal_of(auth.get_current_user)
    assert isinstance(gone, UnauthorizedProblem)
    assert gone.code == "token_revoked"
    print("The journey ended well.")  # noqa: T201 - the test waits for it


with ApiClient(CONFIGURATION) as opened:
    main(opened)
