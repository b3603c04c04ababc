"""Programs that call with access tokens."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from security.access_tokens import AccessTokens
from security.keys import Keys
from server.settings.settings import Settings
from tests.client import ApiClient
from tests.factories import Factory


async def token_for(make: Factory, settings: Settings, user_id: UUID, *scopes: str, **values: Any) -> str:
    """An access token of the user, with these scopes."""
    token_id = uuid4()
    token, secret_hash = AccessTokens(Keys(settings.signing_key)).issue(token_id, user_id)
    given: Mapping[str, Any] = {"id": token_id, "secret_hash": secret_hash} | values
    await make.access_token(user_id, *scopes, **given)
    return token


def with_token(api: ApiClient, token: str) -> ApiClient:
    """The client as a program with this token."""
    return api.with_headers(Authorization=f"Bearer {token}")
