"""Who makes a request: who bears an access token or the refresh cookie, ours or another issuer's token."""

from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic
from uuid import UUID

from pydantic import MISSING
from typing_extensions import override

from contract.exchange import Exchange, Principal
from generated.operations import CrossSite, ServiceUnavailable
from handlers.accounts import provisioning
from handlers.shared.call import Call, Process, PublicCall
from persistence.authorization import Caller
from persistence.engine.causes import Caused
from security.access_tokens import PREFIX, Program
from security.external_tokens import KeysUnavailable, Outsider, Outsiders
from security.tokens import ExpiredToken, InvalidToken
from server.errors import unauthorized_problem
from server.middleware import csrf
from server.terms import TERMS

REMEMBERED = 4096  # tokens of other issuers whose accounts are known, and tokens of programs that are over
OVER_SECONDS = 60.0  # for which a token of a program that is over is not looked for again


def is_ending(exchange: Exchange) -> bool:
    """Whether the operation ends the session of its tokens: only that one needs a caller and takes the cookie."""
    if exchange.operation is None:
        return False
    terms = TERMS[exchange.operation.id]
    return terms.cookie is not None and terms.roles is not None


class Guest(Principal):
    """A verified token of another issuer. Its account is looked for when an operation needs it."""

    __slots__ = ("outsider",)

    def __init__(self, outsider: Outsider, expires_at: datetime) -> None:
        super().__init__(None, None, expires_at)
        self.outsider = outsider

    @property
    @override
    def name(self) -> str:
        return self.outsider.name


class ProgramPrincipal(Principal):
    """The owner of an access token of a program, and what it says. Whether it lives, the statement asks."""

    __slots__ = ("program",)

    def __init__(self, program: Program) -> None:
        super().__init__(program.user_id, None)
        self.program = program


class Callers:
    """Tells callers by their credentials. `outsiders`: None takes our own tokens only; without `accounts` none of them.

    Cookies count only from `origins` and from our own pages.
    """

    def __init__(
        self, process: Process, outsiders: Outsiders | None, origins: Collection[str], *, accounts: bool
    ) -> None:
        self.process, self.outsiders, self.origins, self.accounts = process, outsiders, origins, accounts
        self.known: dict[tuple[str, datetime], UUID] = {}
        self.over: dict[UUID, float] = {}
        """When which access tokens of programs were found to be over."""

    async def identify(self, exchange: Exchange) -> None:
        name = TERMS[exchange.operation.id].cookie if exchange.operation else None
        token = csrf.cookie(exchange, name) if name else None
        if token is not None and not csrf.is_ours(exchange, self.origins):
            exchange.refusal = CrossSite(detail="The request comes from a page that is not ours.")
            return
        exchange.cookie = token
        credentials = exchange.header("authorization")
        ending = is_ending(exchange)
        try:
            if credentials is not None:
                principal = await self.bearer(credentials, ever=ending)
                if isinstance(principal, ProgramPrincipal) and self.is_over(principal.program.token_id):
                    exchange.refusal = unauthorized_problem(
                        "token_revoked"
                    )  # and it counts by address, not for its owner
                else:
                    exchange.principal = principal
            elif token is not None:
                exchange.principal = self.principal_of(token)
        except ExpiredToken:
            exchange.refusal = unauthorized_problem("token_expired")
        except InvalidToken:
            exchange.refusal = unauthorized_problem("invalid_token")
        except KeysUnavailable as error:
            detail = "The issuer of the access token does not answer, so that it cannot be verified. Try again."
            exchange.refusal = ServiceUnavailable(detail=detail, retry_after=60)
            exchange.refusal.__cause__ = error
        if ending and token is not None and exchange.principal is None:
            with suppress(InvalidToken):
                exchange.principal = self.principal_of(token)

    async def bearer(self, credentials: str, *, ever: bool) -> Principal | None:
        """The account of an `Authorization`; none when it has another scheme. `ever`: our token may have expired.

        Raises InvalidToken, ExpiredToken, KeysUnavailable.
        """
        scheme, _, rest = credentials.partition(" ")
        if scheme.lower() != "bearer":
            return None
        token, now = rest.strip(" "), datetime.now(UTC)
        if self.accounts and token.startswith(PREFIX):
            return ProgramPrincipal(self.process.access_tokens.verify(token))
        if self.outsiders is None or (self.accounts and self.is_ours(token, self.outsiders)):
            tokens = self.process.tokens
            claims = tokens.read_access(token) if ever else tokens.verify_access(token, now)
            return Principal(claims.user_id, claims.session_id, claims.expires_at)
        outsider = await self.outsiders.verify(token, now)
        return Guest(outsider, self.outsiders.end_of(outsider))

    def is_over(self, token_id: UUID) -> bool:
        """Whether an access token of a program was found to be over a moment ago: it does not come back."""
        found = self.over.get(token_id)
        return found is not None and monotonic() - found < OVER_SECONDS

    def note_over(self, token_id: UUID) -> None:
        if len(self.over) >= REMEMBERED:
            del self.over[next(iter(self.over))]
        self.over[token_id] = monotonic()

    def is_ours(self, token: str, outsiders: Outsiders) -> bool:
        return not outsiders.remembers(token) and self.process.tokens.recognises(token)

    def principal_of(self, refresh_token: str) -> Principal:
        """The account a refresh token stands for. Raises InvalidToken."""
        claims = self.process.tokens.verify_refresh(refresh_token)
        return Principal(claims.user_id, claims.session_id)

    async def provision(self, call: PublicCall, guest: Guest) -> Call:
        """The call by the account of a guest, made at first sight. Raises SessionOver when it was deleted since.

        What is known of a token stays true: should its account be deleted, a token of the same time brings none back.
        """
        outsider = guest.outsider
        token = outsider.name, outsider.issued_at
        user_id = self.known.get(token)
        if user_id is None:
            user_id = await provisioning.account_of(call, outsider)
            if len(self.known) >= REMEMBERED:
                del self.known[next(iter(self.known))]
            self.known[token] = user_id
        guest.user_id = user_id
        request_id = call.client.request_id
        caller = Caller(
            user_id, MISSING, call.now, outsider.authenticated_at, outsider.issued_at, request_id=request_id
        )
        db = Caused(call.db, f"{user_id} {request_id}")
        return Call(db, call.now, call.process, call.client, caller, count_changes=call.count_changes)
