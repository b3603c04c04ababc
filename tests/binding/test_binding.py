"""What start-up refuses of a handler, and what becomes of an answer that the contract does not have."""

from collections.abc import AsyncGenerator
from contextlib import nullcontext
from types import ModuleType
from typing import Any
from uuid import UUID, uuid4

import pytest

from contract.binding import allow_header, handler_of
from contract.response_encoding import LARGEST_CHECKED, prefers_html
from contract.types import ContractError, Json, Operation, Streamed
from generated import models
from generated.models import HealthStatus
from generated.operations import (
    OPERATIONS,
    AccountDisabled,
    DeleteTask204,
    ExportMyData200,
    Forbidden,
    GetCurrentUser200,
    GetLiveness200,
    GetProblemType200,
    GetTask200,
)
from handlers import auth, meta, profile, tasks
from handlers.shared.call import Call, PublicCall
from persistence.authorization import Caller
from tests.binding.conftest import BY_ID, Logged, Modules, answering, copy_module
from tests.factories import NOW

ADA = models.User(
    id=uuid4(),
    email="ada@example.com",
    email_verified=False,
    username=None,
    full_name=None,
    is_active=True,
    is_superuser=False,
    mfa_enabled=False,
    time_zone=None,
    version=7,
    created_at=NOW,
    updated_at=NOW,
)
ALIVE = GetLiveness200(body=models.Probe(status=HealthStatus.passing))


def refusal(module: ModuleType, operation: str) -> str:
    with pytest.raises(ContractError) as refused:
        handler_of(BY_ID[operation], Modules(module))
    return str(refused.value)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
def test_the_handlers_there_are_fit(operation: Operation) -> None:
    assert handler_of(operation, Modules()).__name__ == operation.name


class TestStartUp:
    def test_a_handler_that_is_missing(self) -> None:
        nothing = ModuleType("handlers.meta")

        said = "handlers.meta.get_health is missing: the contract has the operation getHealth"
        assert refusal(nothing, "getHealth") == said

    def test_a_handler_that_is_misspelt(self) -> None:
        module = copy_module(tasks, create_task=None, creat_task=tasks.create_task)

        assert refusal(module, "createTask") == (
            "handlers.tasks.create_task is missing: the contract has the operation createTask;"
            " did you mean create_task where it says creat_task?"
        )

    def test_a_handler_that_does_not_wait(self) -> None:
        def get_liveness(_call: PublicCall, /) -> GetLiveness200:
            return ALIVE

        module = copy_module(meta, get_liveness=get_liveness)
        assert refusal(module, "getLiveness") == "handlers.meta.get_liveness is no coroutine function"

    def test_a_handler_that_takes_something_else(self) -> None:
        async def wrong_handler(_call: Call, /, *, id: UUID) -> GetTask200:
            raise NotImplementedError

        assert refusal(copy_module(tasks, get_task=wrong_handler), "getTask") == (
            "handlers.tasks.get_task takes ['_call', 'id'], but the contract gives a call and, by keyword, ['task_id']"
        )

    def test_a_handler_that_takes_too_much_too_little_or_otherwise(self) -> None:
        async def extra(_call: Call, /, *, task_id: UUID, force: bool = False) -> GetTask200:
            raise NotImplementedError

        async def lacking(_call: Call, /) -> GetTask200:
            raise NotImplementedError

        async def positional(_call: Call, task_id: UUID) -> GetTask200:
            raise NotImplementedError

        async def two_calls(_call: Call, _other: Call, /, *, task_id: UUID) -> GetTask200:
            raise NotImplementedError

        async def anything(_call: Call, /, *, task_id: UUID, **_more: object) -> GetTask200:
            raise NotImplementedError

        async def no_call(*, task_id: UUID) -> GetTask200:
            raise NotImplementedError

        for handler in (extra, lacking, positional, two_calls, anything, no_call):
            assert "but the contract gives a call and, by keyword, ['task_id']" in refusal(
                copy_module(tasks, get_task=handler), "getTask"
            )

    def test_a_handler_that_takes_nothing(self) -> None:
        async def get_liveness() -> GetLiveness200:
            raise NotImplementedError

        said = "handlers.meta.get_liveness takes [], but the contract gives a call and, by keyword, []"
        assert refusal(copy_module(meta, get_liveness=get_liveness), "getLiveness") == said

    def test_a_handler_that_answers_an_undeclared_status(self) -> None:
        async def get_task(_call: Call, /, *, task_id: UUID) -> GetTask200 | DeleteTask204:
            raise NotImplementedError

        assert refusal(copy_module(tasks, get_task=get_task), "getTask") == (
            "handlers.tasks.get_task answers DeleteTask204, which the contract does not declare for getTask"
        )

    def test_a_handler_that_does_not_say_what_it_answers(self) -> None:
        async def get_liveness(_call: PublicCall, /):  # type: ignore[no-untyped-def]  # noqa: ANN202 - its fault
            raise NotImplementedError

        assert refusal(copy_module(meta, get_liveness=get_liveness), "getLiveness") == (
            "handlers.meta.get_liveness answers None, which the contract does not declare for getLiveness"
        )


async def internal_error(handlers: Modules, logged: Logged, path: str, *, check_rate: float = 1) -> str:
    """What is logged of a request that ends in 500. Nothing of it is told."""
    async with answering(handlers, check_rate=check_rate) as api:
        signed_in = api.as_(Caller(uuid4(), uuid4(), NOW)).with_headers(X_Request_ID="the-request")
        problem = await signed_in.get(path, expect=500)
    assert problem["code"] == "internal_error"
    assert problem["detail"] == "The server made a mistake. It has been logged with the request id."
    assert problem["request_id"] == "the-request"
    assert problem["errors"] == []
    [error, access] = logged()
    assert (error["level"], error["request_id"]) == ("error", "the-request")
    assert (access["status"], access["request_id"]) == (500, "the-request")
    reason = error["exception"][0]
    return f"{reason['exc_type']}: {reason['exc_value']}"


class TestAnswers:
    async def test_a_result_of_another_operation_is_a_mistake_of_ours(self, logged: Logged) -> None:
        async def get_liveness(_call: PublicCall, /) -> GetLiveness200:
            result: Any = DeleteTask204()
            return result  # type: ignore[no-any-return]  # what a type checker cannot see

        reason = await internal_error(Modules(copy_module(meta, get_liveness=get_liveness)), logged, "//livez")

        assert reason == "ContractError: getLiveness answered DeleteTask204, which the contract does not declare"

    async def test_a_problem_of_another_operation_is_a_mistake_of_ours(self, logged: Logged) -> None:
        async def get_liveness(_call: PublicCall, /) -> GetLiveness200:
            raise AccountDisabled(detail="ada@example.com is disabled")

        reason = await internal_error(Modules(copy_module(meta, get_liveness=get_liveness)), logged, "//livez")

        assert reason == "ContractError: getLiveness raised AccountDisabled, which the contract does not declare"

    async def test_a_problem_that_an_error_comes_to_must_be_declared_too(self, logged: Logged) -> None:
        async def get_task(_call: Call, /, *, task_id: UUID) -> GetTask200:
            raise Forbidden("permission_denied")

        reason = await internal_error(Modules(copy_module(tasks, get_task=get_task)), logged, f"/tasks/{uuid4()}")

        assert reason == "ContractError: getTask raised Forbidden, which the contract does not declare"

    @pytest.mark.proves("ASVS 5.0 16.5.1, ASVS 5.0 16.5.4", "An unexpected error is logged, and not told")
    async def test_an_exception_is_logged_and_not_told(self, logged: Logged) -> None:
        async def get_liveness(_call: PublicCall, /) -> GetLiveness200:
            raise KeyError("a secret")

        reason = await internal_error(Modules(copy_module(meta, get_liveness=get_liveness)), logged, "//livez")

        assert reason == "KeyError: 'a secret'"

    async def test_a_body_that_breaks_its_schema_is_a_mistake_of_ours(self, logged: Logged) -> None:
        async def get_problem_type(_call: PublicCall, /, *, code: models.ProblemCode) -> GetProblemType200:
            return GetProblemType200(
                body=models.ProblemType.model_construct(code=code, status=200, title="", description=None)
            )

        reason = await internal_error(
            Modules(copy_module(meta, get_problem_type=get_problem_type)), logged, "//problems/not_found"
        )

        assert reason == (
            "ContractError: the body of getProblemType 200 breaks its schema:"
            " /status: Must be at least 400; /description: Must not be null"
        )

    async def test_a_body_that_the_database_wrote_is_checked_too(self, logged: Logged) -> None:
        async def get_task(_call: Call, /, *, task_id: UUID) -> GetTask200:
            body: Any = Json(b'{"id": "a secret"}')
            return GetTask200(body=body, etag='"1"')

        reason = await internal_error(Modules(copy_module(tasks, get_task=get_task)), logged, f"/tasks/{uuid4()}")

        assert reason.startswith("ContractError: the body of getTask 200 breaks its schema: ")
        assert "/id: Must be a valid uuid" in reason
        assert "a secret" not in reason

    @pytest.mark.parametrize(("whole", "end"), [(b'{"id": "a secret"}', "cut"), (b"{" + b" " * LARGEST_CHECKED, None)])
    async def test_a_streamed_body_is_checked_at_its_end_unless_it_is_large(
        self, logged: Logged, whole: bytes, end: str | None
    ) -> None:
        ada = Caller(uuid4(), uuid4(), NOW)

        async def pieces() -> AsyncGenerator[bytes, None]:
            yield whole[:1]
            yield whole[1:]
            yield b" "

        async def export_my_data(_call: Call, /) -> ExportMyData200:
            return ExportMyData200(body=Streamed(pieces()))

        async with answering(Modules(copy_module(profile, export_my_data=export_my_data))) as api:
            with pytest.raises(AssertionError) if end else nullcontext():  # httpx wants the last piece
                await api.http.get("/api/v1/users/me/export", headers=api.as_(ada).headers)

        assert [line["event"] for line in logged()] == [*([end] if end else []), "request"]
        assert "a secret" not in str(logged())

    async def test_a_body_is_not_checked_where_the_rate_is_nought(self) -> None:
        async def get_liveness(_call: PublicCall, /) -> GetLiveness200:
            return GetLiveness200(body=models.Probe.model_construct(status="splendid"))

        async with answering(Modules(copy_module(meta, get_liveness=get_liveness)), check_rate=0) as api:
            answer = await api.http.get("/livez")

        assert (answer.status_code, answer.json()) == (200, {"status": "splendid"})

    async def test_a_body_is_a_page_only_where_there_is_one(self) -> None:
        async with answering(Modules()) as api:
            answer = await api.with_headers(Accept="text/html").get("//problems/not_found")

        assert answer.headers["content-type"] == "application/json"

    async def test_a_resource_that_is_as_known_is_not_sent_again(self) -> None:
        async def get_current_user(call: Call, /) -> GetCurrentUser200:
            return GetCurrentUser200(body=ADA, etag='"7"')

        async with answering(Modules(copy_module(auth, get_current_user=get_current_user))) as api:
            ada = api.as_(Caller(ADA.id, uuid4(), NOW))
            await ada.with_headers(If_None_Match='"6"').get("/auth/me")
            answer = await ada.with_headers(If_None_Match='"6", W/"7"').get("/auth/me", expect=304)

        assert answer.headers["etag"] == '"7"'
        assert "content-type" not in answer.headers


@pytest.mark.parametrize(
    ("methods", "value"),
    [(["GET"], "GET, HEAD, OPTIONS"), (["POST"], "OPTIONS, POST"), (["PUT", "GET"], "GET, HEAD, OPTIONS, PUT")],
)
def test_allow_names_what_is_answered(methods: list[str], value: str) -> None:
    assert allow_header(dict.fromkeys(methods)) == value


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        (None, False),
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("text/html", True),
        ("text/*", True),
        ("TEXT/HTML;Q=0.1", True),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
        ("text/html, application/json", False),
        ("text/html;q=0.5, application/json;q=0.4", True),
        ("text/html;q=0.5, application/*;q=0.6", False),
        ("text/html;q=0, */*;q=0.1", False),
        ("text/html; charset=utf-8; q=0.2, application/problem+json; q=0.1", True),
        ("text/html;q=many", False),
        ("text/html;q=", False),
        (";,;q", False),
    ],
)
def test_a_page_is_for_those_who_prefer_it(accept: str | None, html: bool) -> None:  # noqa: FBT001 - a row of the table
    assert prefers_html(accept) is html
