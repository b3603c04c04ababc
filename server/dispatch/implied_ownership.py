"""A superuser's implied ownership of every team: a request that needs it is run as a superuser's, and written down."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from asyncpg import PostgresError

from contract.types import Operation, Result
from generated.models import AuditAction, AuditOutcome, AuditTarget, AuditTargetType
from generated.operations import ServiceUnavailable
from handlers.shared.audit_trail import record
from handlers.shared.call import Call, PublicCall
from persistence.authorization import NotAllowed, NotVisible
from persistence.engine.implied_ownership import Implied
from server.errors import problem_of

Run: TypeAlias = Callable[[PublicCall], Awaitable[Result]]
INTERNAL_ERROR = 500
RETRY_AFTER = 5  # seconds
UNWRITTEN = "What a superuser does in a team is written down, which is not possible just now. Try again."


async def run_as_superuser(call: Call, operation: Operation, arguments: Mapping[str, Any], run: Run) -> Result:
    """The result, in a transaction that commits with an audit log of it: that of the change, or of the access.

    A request that is refused for what it found there has an audit log, too. Raises ServiceUnavailable when none can be
    written.
    """
    target = target_of(operation, arguments)
    asked = replace(call, caller=replace(call.caller, as_superuser=True))
    used = Implied(call.db, set())
    try:
        async with used.transaction() as db:
            result = await run(replace(asked, db=db))
            if not db.is_told:
                await write_access(db, asked, operation, target, AuditOutcome.success)
            return result
    except (NotVisible, NotAllowed):
        raise
    except Exception as error:
        problem = problem_of(error)
        if used.places and problem is not None and problem.status < INTERNAL_ERROR:
            await write_access(Implied(call.db, used.places), asked, operation, target, AuditOutcome.failure)
        raise


async def write_access(
    db: Implied, call: Call, operation: Operation, target: AuditTarget | None, outcome: AuditOutcome
) -> None:
    """Write that the operation was done in the organizations whose ownership was implied."""
    accessed = AuditAction.organization_accessed
    for place in sorted(db.places):
        try:
            await record(db, call, accessed, outcome, target=target, organization_id=place, reason=operation.id)
        except PostgresError as error:
            problem = problem_of(error)
            if isinstance(problem, ServiceUnavailable):
                raise
            raise ServiceUnavailable(detail=UNWRITTEN, retry_after=RETRY_AFTER) from error


def target_of(operation: Operation, arguments: Mapping[str, Any]) -> AuditTarget | None:
    """The thing that the path names: the innermost, where it names several."""
    names = [parameter.argument for parameter in operation.parameters if parameter.where == "path"]
    if not names or names[-1] not in arguments:
        return None
    return AuditTarget(type=AuditTargetType(names[-1].removesuffix("_id")), id=arguments[names[-1]])
