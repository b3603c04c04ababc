"""What schemathesis cannot read in the contract: who calls, what belongs to somebody else, what only works once."""

import re
from collections.abc import Callable
from itertools import cycle, repeat
from typing import Any
from uuid import uuid4

import httpx
import schemathesis
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from schemathesis import AuthContext, BaseSchema, Case, CheckContext, DeserializationContext, HookContext, Response
from schemathesis.core.failures import Failure
from schemathesis.generation.meta import TestPhase
from schemathesis.openapi.checks import EnsureResourceAvailability, RejectedPositiveData

from generated.operations import OPERATIONS
from server.terms import TERMS
from tests.fuzz.people import (
    API,
    CALLER,
    GUARDED,
    KNOWN,
    KNOWN_PASSWORD,
    LEAVER,
    METRICS_TOKEN,
    STRANGER,
    SUPERUSER,
    Account,
    Program,
    mailed_link,
    new_email,
    register,
)

LONGEST_URL = 8192
MINE = "mine"  # in schemathesis.toml, for what only the caller knows
COOKIE = "__Host-refresh"
UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}")
CURSOR = re.compile(r"(?s).{1,2000}")
ENTITY_TAGS = r'(?:W/)?"[!#-~]*"(?:[ \t]*,[ \t]*(?:W/)?"[!#-~]*")*'
BY_COOKIE = {"logout": cycle((False, True)), "refreshTokens": repeat(True)}  # whether the next call is
FOR_SUPERUSERS = {operation.id for operation in OPERATIONS if TERMS[operation.id].roles == ("superuser",)}
RENAMED = {"updateMyProfile", "replaceUser", "updateUser"}  # which may change the address to sign in by
FOR_PROGRAMS = {name for name, terms in TERMS.items() if terms.scopes and terms.roles != ("superuser",)} - RENAMED
LEAVER_IS, GUARDED_IS, PROGRAM_IS = "leaver", "guarded", "program"
PROGRAM = Program(CALLER, sorted({scope for name in FOR_PROGRAMS for scope in TERMS[name].scopes}))
CALLERS: dict[str, Account] = {
    MINE: CALLER,
    "superuser": SUPERUSER,
    LEAVER_IS: LEAVER,
    GUARDED_IS: GUARDED,
    PROGRAM_IS: PROGRAM,
}
BY_PROGRAM = cycle((False, True))  # whether the caller's program calls next, where it may
WHO = cycle(("superuser", "superuser", "superuser", MINE))  # calls them next
ENDING = {"deleteMyAccount", "deleteUser", "revokeUserSessions", "resetPassword"}  # the account of LEAVER, its sessions
OF_LEAVER = {*ENDING, "createPasswordReset"}
FACTORS: dict[str, Callable[[str], object]] = {  # what there is before GUARDED calls them
    "createTotp": GUARDED.unguard,
    "confirmTotp": GUARDED.unguard,
    "createRecoveryCodes": GUARDED.guard,
    "deleteTotp": GUARDED.guard,
}
MISTYPED = cycle((False, False, False, True))  # whether the next code is; five in a row would lock
LAST_CALLS = {"logout", "logoutAll", "revokeSession"}  # which end the session
LOST = {  # the account, or the session
    "changeMyPassword": "account_locked",
    "reauthenticate": "account_locked",
    "refreshTokens": "refresh_token_reused",
}
NAMED = {"replaceTask": "organization_id", "updateTask": "organization_id"}  # in their bodies
TAKEN: set[str] = set()  # the names of those who were registered


schemathesis.openapi.format("entity-tags", st.just("*") | st.from_regex(ENTITY_TAGS, fullmatch=True))


@schemathesis.hook
def before_load_schema(_context: HookContext, raw_schema: dict[str, Any]) -> None:
    """Say how to make entity tags, since headers whose pattern needs quotes are not made; begin with what is right."""
    components = raw_schema["components"]
    components["schemas"]["EntityTagCondition"]["format"] = "entity-tags"
    components["parameters"]["IfMatch"]["example"] = "*"
    refreshes = examples(raw_schema, "/api/v1/auth/refresh", "post")
    refreshes["body"]["value"]["refresh_token"] = MINE
    refreshes["none"] = {"value": {"refresh_token": "none", "optional": True}}  # there is no session, which is fine
    examples(raw_schema, "/api/v1/users/me/password", "put")["change"]["value"]["current_password"] = MINE
    examples(raw_schema, "/api/v1/auth/reauthenticate", "post")["password"]["value"]["password"] = MINE
    for link in links_of(raw_schema):
        if body := link.get("x-request-body"):
            link["requestBody"] = body


def links_of(raw_schema: dict[str, Any]) -> list[dict[str, Any]]:
    answers = [
        answer
        for item in raw_schema["paths"].values()
        for operation in item.values()
        if isinstance(operation, dict)  # beside the parameters of the path
        for answer in operation["responses"].values()
    ]
    return [link for answer in answers for link in answer.get("links", {}).values()]


def examples(raw_schema: dict[str, Any], path: str, method: str) -> Any:
    return raw_schema["paths"][path][method]["requestBody"]["content"]["application/json"]["examples"]


@schemathesis.hook
def after_load_schema(_context: HookContext, schema: BaseSchema) -> None:
    SUPERUSER.settle_in(schema.get_base_url())
    STRANGER.settle(schema.get_base_url())
    for email in KNOWN:
        register(STRANGER.http, email, KNOWN_PASSWORD)
    with SUPERUSER.client(schema.get_base_url()) as http:
        logs = http.get(f"{API}/audit-logs", params={"target_id": STRANGER.ids["target_id"]}).raise_for_status()
    for who in (CALLER, STRANGER):
        who.ids["audit_log_id"] = logs.json()["items"][0]["id"]


@schemathesis.auth(refresh_interval=None)
class SignedIn:
    """Says who calls, and how, long before it is known by which token."""

    def get(self, case: Case[Any], _context: AuthContext) -> str:
        if name_of(case) == "deleteMyAccount":
            return LEAVER_IS
        if name_of(case) in FACTORS:
            return GUARDED_IS
        if name_of(case) in FOR_PROGRAMS and next(BY_PROGRAM):
            return PROGRAM_IS
        return next(WHO) if name_of(case) in FOR_SUPERUSERS else MINE

    def set(self, case: Case[Any], data: str, context: AuthContext) -> None:
        if next(BY_COOKIE.get(name_of(case), repeat(False))):
            case.cookies[COOKIE] = data
            case.headers["Origin"] = context.operation.schema.get_base_url()
        else:
            token = METRICS_TOKEN if name_of(case) == "getMetrics" else data
            case.headers["Authorization"] = f"Bearer {token}"


@schemathesis.hook
def before_call(_context: HookContext, case: Case[Any], _kwargs: dict[str, Any]) -> None:
    """Put in what only those who call know, sign them in where they are not, and renew what can be deleted once."""
    url = case.operation.schema.get_base_url()
    for who in CALLERS.values():
        who.settle_in(url)
    renew_path(case, url)
    renew_secrets(case, url)
    for name, who in CALLERS.items():
        if case.headers.get("Authorization") == f"Bearer {name}":
            case.headers["Authorization"] = f"Bearer {who.token}"
    if case.cookies.get(COOKIE) == MINE:
        case.cookies[COOKIE] = CALLER.refresh_token
    if isinstance(case.body, dict):
        own = dict.fromkeys(("current_password", "password"), CALLER.password)
        known = {"refresh_token": CALLER.refresh_token, **own}
        mine = {name: value for name, value in known.items() if case.body.get(name) == MINE}
        case.body = {**case.body, **mine} if mine else case.body
    if name_of(case) in {"listTasks", "searchTasks"}:
        STRANGER.come_first()
    if "Idempotency-Key" in case.headers and is_valid(case, *TestPhase):
        case.headers["Idempotency-Key"] = uuid4().hex
    if name_of(case) == "deleteMyAccount" and is_valid(case, TestPhase.FUZZING):
        case.headers.pop("If-Match", None)  # a made-up one never is the current one
    shorten_wait(case)


def shorten_wait(case: Case[Any]) -> None:
    """Have what waits for changes end soon."""
    if name_of(case) == "listChanges" and is_valid(case, *TestPhase) and case.query.get("wait"):
        case.query["wait"] = 1


def renew_secrets(case: Case[Any], url: str) -> None:
    """Send the code, challenge or token that the server has told somebody just now."""
    name = name_of(case)
    if not is_valid(case, *TestPhase):
        return
    if name in FACTORS:
        FACTORS[name](url)
    if not isinstance(case.body, dict):
        return
    if name == "confirmTotp":
        case.body = {**case.body, "code": type_code(GUARDED.begin(url))}
    elif is_valid(case, TestPhase.STATEFUL):
        return
    elif name == "completeLogin":
        asked = GUARDED.challenge(url)
        case.body = {**case.body, **asked, "code": type_code(asked["code"])}
    elif name == "resetPassword":
        LEAVER.settle_in(url)
        case.body = {**case.body, "token": SUPERUSER.another_link(url, LEAVER.ids["user_id"])}
    elif name == "redeemInvitation":
        _, invitation = SUPERUSER.another_invitation(url, email=new_email())
        case.body = {**case.body, "token": invitation["url"].partition("#token=")[2]}
    elif name == "verifyEmail" and is_valid(case, TestPhase.EXAMPLES, TestPhase.COVERAGE):
        case.body = {**case.body, **mailed_link(url)}


def type_code(code: str) -> str:
    """The code as GUARDED types it, sometimes wrong."""
    return code[::-1] if next(MISTYPED) else code


def renew_path(case: Case[Any], url: str) -> None:
    """Name something that was made just now, where the caller's own would be gone afterwards."""
    name, path = name_of(case), case.path_parameters
    ours = {member for member, value in path.items() if value == CALLER.ids.get(member)}
    is_first = is_valid(case, TestPhase.COVERAGE, TestPhase.EXAMPLES)
    if (name == "deleteTask" and is_valid(case, TestPhase.COVERAGE)) or (name == "listTaskActivity" and is_first):
        path["task_id"] = CALLER.another_task(url)
    elif name == "deleteOrganization" and "organization_id" in ours:
        path["organization_id"] = CALLER.another_team(url)
    elif name in OF_LEAVER and path.get("user_id") in {who.ids["user_id"] for who in (*CALLERS.values(), STRANGER)}:
        path["user_id"] = LEAVER.ids["user_id"]
    elif name == "resetTotp" and is_valid(case, TestPhase.EXAMPLES, TestPhase.COVERAGE, TestPhase.FUZZING):
        GUARDED.guard(url)
        path["user_id"] = GUARDED.ids["user_id"]
    elif name == "replaceUser" and is_first:
        path["user_id"], case.body = CALLER.ids["user_id"], {"email": new_email()}
    elif name in {"updateMember", "removeMember"} and ("organization_id" in ours or is_first):
        path["organization_id"], path["user_id"] = CALLER.another_member(url)
    elif name in {"getAccessToken", "revokeAccessToken"} and ("access_token_id" in ours or is_first):
        path["access_token_id"] = CALLER.another_access_token(url)
    else:
        renew_membership(case, url)


def renew_membership(case: Case[Any], url: str) -> None:
    """Name an invitation or a team that was made just now, and have the stranger be put nowhere."""
    name, path = name_of(case), case.path_parameters
    is_first = is_valid(case, TestPhase.COVERAGE, TestPhase.EXAMPLES)
    if name == "placeMember" and (is_first or STRANGER.ids.items() & path.items()):
        path["organization_id"], path["user_id"] = SUPERUSER.another_team(url), CALLER.ids["user_id"]
    elif name in {"acceptInvitation", "declineInvitation"} and (is_first or is_valid(case, TestPhase.FUZZING)):
        _, invitation = SUPERUSER.another_invitation(url, user_id=CALLER.ids["user_id"])
        path["invitation_id"] = invitation["id"]
    elif name == "revokeInvitation" and is_first:
        path["organization_id"], invitation = CALLER.another_invitation(url, email=new_email())
        path["invitation_id"] = invitation["id"]
    elif name == "inviteMember" and isinstance(case.body, dict):
        if is_first:
            path["organization_id"] = CALLER.another_team(url)
        if case.body.get("user_id") == STRANGER.ids["user_id"]:
            case.body = {**case.body, "user_id": str(uuid4())}  # the answer would name it


@schemathesis.hook
def after_call(_context: HookContext, case: Case[Any], response: Response) -> None:
    """Learn what has become of those who call."""
    name, done = name_of(case), has_succeeded(case, response)
    if done and name in LAST_CALLS:
        CALLER.leave()
    elif done and name in ENDING:
        LEAVER.leave()
    elif done and name == "refreshTokens" and response.status_code == httpx.codes.OK:
        CALLER.go_on(response.json(), response.headers.get("set-cookie", []))
    elif name in RENAMED and response.status_code == httpx.codes.OK:
        CALLER.email = response.json()["email"]
    elif done and name == "changeMyPassword" and isinstance(case.body, dict):
        CALLER.password = str(case.body["new_password"])
    elif f'"{LOST.get(name)}"' in response.text:
        CALLER.leave()
    elif response.status_code == httpx.codes.UNAUTHORIZED:
        for who in CALLERS.values():
            if is_by(who, case):
                who.leave()


@schemathesis.hook("flatmap_path_parameters")
@schemathesis.hook("flatmap_query")
@schemathesis.hook("flatmap_body")
def of_somebody(_context: HookContext, given: Any) -> SearchStrategy[Any]:
    """Mostly the same with ids of the caller or of the stranger in place of made-up ones, and no made-up cursor."""
    if not isinstance(given, dict):
        return st.just(given)
    ids = {name for name, value in given.items() if fits(UUID, value)}
    rest = {name: value for name, value in given.items() if name != "cursor" or not fits(CURSOR, value)}
    real = [{**rest, **{name: who.ids[name] for name in ids & {*who.ids}}} for who in (CALLER, CALLER, STRANGER)]
    return st.sampled_from([given, *real])


def fits(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


@schemathesis.hook
def map_case(_context: HookContext, case: Case[Any]) -> Case[Any]:
    """Renew what can be registered once; in the coverage, leave out the cursor that it puts into every request.

    Of the tasks of all organizations show most, instead of refusing `scope` for the `organization_id` beside it.
    """
    if is_valid(case, TestPhase.COVERAGE):
        case.query.pop("cursor", None)
    if is_valid(case, TestPhase.FUZZING) and {"scope", "organization_id"} <= {*case.query}:
        case.query = {"scope": "all"} | ({"q": "whose"} if "q" in case.query else {})
    if is_valid(case, *TestPhase) and isinstance(case.body, dict):
        if name_of(case) in {"registerUser", "createUser"}:
            case.body = renew_names(case.body)
        elif name_of(case) == "createOrganization":
            case.body = {**case.body, "slug": uuid4().hex}
    return case


def renew_names(account: dict[str, Any]) -> dict[str, Any]:
    """The account with names that none before it had."""
    names = {"email": new_email(), "username": uuid4().hex}
    anew = {name: names[name] for name in names if account.get(name) in TAKEN}
    TAKEN.update(account[name] for name in names if account.get(name))
    return {**account, **anew}


@schemathesis.hook
def filter_failure(_context: HookContext, failure: Failure, case: Case[Any], response: Response) -> bool:
    """Whether a failure is one.

    No operation declares that a URL is too long: the contract says so once, for all. And what is not found may be what
    the body names, instead of what was made just now. What was done before may have ended who calls, by a way that
    is not known here: an account of a list was deactivated, a token of a list revoked.
    """
    if isinstance(failure, RejectedPositiveData) and response.status_code == httpx.codes.UNAUTHORIZED:
        return not is_over(case)
    if isinstance(failure, EnsureResourceAvailability):
        return not isinstance(case.body, dict) or NAMED.get(name_of(case)) not in case.body
    return response.status_code != httpx.codes.REQUEST_URI_TOO_LONG or len(response.request.url or "") <= LONGEST_URL


def is_valid(case: Case[Any], *phases: TestPhase) -> bool:
    """Whether the case was made in one of the phases, to be accepted."""
    meta = case.meta
    return meta is not None and not meta.generation.mode.is_negative and meta.phase.name in phases


def name_of(case: Case[Any]) -> str:
    return str(case.operation.definition.raw["operationId"])


def has_succeeded(case: Case[Any], response: Response) -> bool:
    """Whether the operation did what it is for; some cases have another method."""
    return case.method == case.operation.method.upper() and response.status_code < httpx.codes.BAD_REQUEST


def is_over(case: Case[Any]) -> bool:
    """Whether the session or token that the case was sent with is over, everywhere."""
    sent = case.headers.get("Authorization")
    if sent is None or name_of(case) == "getMetrics":
        return False
    url = f"{case.operation.schema.get_base_url()}{API}/auth/me"
    return httpx.get(url, headers={"Authorization": sent}).status_code == httpx.codes.UNAUTHORIZED


def is_by(who: Account, case: Case[Any]) -> bool:
    return case.headers.get("Authorization") == f"Bearer {who.token}"


@schemathesis.check
class WhatBelongsToAStranger:
    """No answer to anybody names an id of the stranger that is not his, and at the end nothing of his has changed."""

    def after_response(self, _ctx: CheckContext, response: Response, case: Case[Any]) -> None:
        sees = is_by(SUPERUSER, case) or name_of(case) == "exportMyData"  # all but what is personal; what was tried
        hidden = {"task_id"} if sees else {*STRANGER.ids}
        answer = f"{response.headers} {response.text}"
        named = [name for name, value in STRANGER.ids.items() if name in hidden and value in answer]
        if named:
            raise AssertionError(f"The answer names somebody else's {', '.join(named)}")

    def after_run(self, _ctx: CheckContext) -> None:
        if not STRANGER.came_back():
            raise AssertionError("Somebody else's session has ended")
        if STRANGER.read() != STRANGER.tasks:
            raise AssertionError("Somebody else's tasks or organizations have changed")


@schemathesis.check
def what_only_superusers_may(_ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    """The caller is none."""
    if has_succeeded(case, response) and name_of(case) in FOR_SUPERUSERS and is_by(CALLER, case):
        raise AssertionError("Who is no superuser did what only superusers may")


@schemathesis.deserializer("text/html", "text/plain", "application/openmetrics-text")
def text(_context: DeserializationContext, response: Response) -> str:
    return response.text
