"""The matrix of docs/scopes.md, walked: every operation, with each scope, with and without `admin`."""

import pytest

from scripts.permissions import OWN, TEAM, places
from scripts.permissions import Cell as Place
from scripts.scopes import LACKING, YES, Cell, cells, page
from server.settings.settings import Settings
from server.terms import TERMS
from tests.api.test_permissions import ALLOWED_BUT_WRONG, REFUSALS, example_sent, world
from tests.client import ApiClient
from tests.conftest import ROOT, Bench
from tests.factories import Factory
from tests.programs import token_for

CELLS = list(cells())
TAKEN_BUT_WRONG = ALLOWED_BUT_WRONG | {"replaceUser": 401}  # which has another address, and so wants a recent sign-in


@pytest.mark.proves("ASVS 5.0 8.2.1, ASVS 5.0 8.3.1", "An access token does what its scopes say, and nothing else")
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: f"{cell.operation.id}-{'+'.join(cell.scopes)}")
async def test_an_operation_answers_as_decided(
    api: ApiClient, settings: Settings, db: Bench, make: Factory, cell: Cell
) -> None:
    place = TEAM if TEAM in places(cell.operation) else OWN
    there = await world(make, Place(cell.operation, place, "owner", YES))
    await db.fetch("UPDATE users SET is_superuser = true WHERE id = $1", [there.caller.id])
    token = await token_for(make, settings, there.caller.id, *cell.scopes)

    said = await example_sent(api, cell.operation.id, there, token)

    code = said.json().get("code") if "problem" in said.headers.get("content-type", "") else None
    if cell.answer == YES:
        assert said.is_success or said.status_code == TAKEN_BUT_WRONG.get(cell.operation.id), said.text
        assert code not in REFUSALS | {LACKING}, said.text
    else:
        assert (said.status_code, code) == (403, LACKING), said.text
        needed = " ".join(TERMS[cell.operation.id].scopes)
        scope = f', scope="{needed}"' if needed else ""
        assert said.headers["www-authenticate"] == f'Bearer error="insufficient_scope"{scope}'


def test_the_page_says_what_is_walked() -> None:
    assert (ROOT / "docs" / "scopes.md").read_text(encoding="utf-8") == page()


def test_each_scope_is_needed_by_an_operation() -> None:
    granted = {cell.scopes for cell in CELLS if cell.answer == YES}

    assert {scope for scopes in granted for scope in scopes} == {scope for cell in CELLS for scope in cell.scopes}
