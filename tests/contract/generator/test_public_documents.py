"""Public documents become servers that answer as they say, or are refused at all their places.

They lie beside the project and are no part of it: where they are not, conftest.py leaves this module out.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from contract.generator.__main__ import generate
from contract.generator.reading.document import InvalidContract, child, node_at
from tests.contract.generator.conftest import PUBLIC
from tests.contract.stubs import Stubs

MOST = int(os.environ.get("OPERATIONS", "4"))
"""Of one document; OPERATIONS=1000 tries all of each."""
REFUSED = {
    "adyen-checkout": {
        "#/components/schemas/PaymentRefundRequest/properties/merchantRefundReason/nullable",
        "#/components/schemas/PaymentRefundResponse/properties/merchantRefundReason/nullable",
        "#/components/schemas/ShopperIdPaymentMethod/discriminator",
    }
}
CONFIG = """
seed = 1
continue-on-failure = true
cache.enabled = false
[headers]
Authorization = "Bearer token"
[generation]
max-examples = 2
database = "none"
[phases.stateful]
enabled = false
[checks]
ignored_auth.enabled = false  # any credentials will do here
missing_required_header.enabled = false  # which is 400 where 401 is not declared
positive_data_acceptance.expected-statuses = ["2xx"]
negative_data_rejection.expected-statuses = [400, 401, 404, 405, 406, 413, 415, 422]
"""
UNDECLARED = (404, 405, 406, 413, 415, 422)
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


@pytest.fixture(scope="module", params=sorted(set(PUBLIC) - REFUSED.keys()))
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stubs:
    folder = tmp_path_factory.mktemp(request.param) / "generated"
    generate(PUBLIC[request.param], folder, skip_media_types=True)
    return Stubs(folder)


def test_it_answers_what_it_declares(served: Stubs) -> None:
    for operation in served.module.OPERATIONS:
        assert all(served.result(reply, None) is not None for reply in operation.replies)


def test_requests_are_answered_as_it_says(served: Stubs) -> None:
    schema: Any = schemathesis.openapi.from_dict(served.document, config=SchemathesisConfig.from_str(CONFIG))
    schema.app = served.application
    labels = [f"{operation.method} {operation.path}" for operation in served.module.OPERATIONS]
    chosen = labels[:: max(1, len(labels) // MOST)][:MOST]
    schema = schema.include(lambda context: context.operation.label in chosen)

    told = list(execute_scenario(schema, served))

    assert sum(number for number, _ in told) > 10 * len(chosen)
    assert [failure for _, failures in told for failure in failures] == []


def execute_scenario(schema: Any, served: Stubs) -> Iterator[tuple[int, list[str]]]:
    """How many requests a scenario had, and what was wrong with them."""
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            yield 0, [str(event)]
        if isinstance(event, events.ScenarioFinished):
            recorder = event.recorder
            yield (
                len(recorder.checks),
                [
                    f"{event.label}: {check.name}: {check.failure_info.failure.message}"
                    for case, checks in recorder.checks.items()
                    for check in checks
                    if check.failure_info is not None and not is_excused(served, recorder, case, check)
                ],
            )


def is_excused(served: Stubs, recorder: Any, case_id: str, check: Any) -> bool:
    """Whether a check asks for what cannot be told: a status that is not declared, or what no form says.

    A form does not tell an empty list from none, nor a list of one text from a text, and schemathesis writes no object.
    """
    case, interaction = recorder.cases[case_id].value, recorder.interactions[case_id]
    status = interaction.response.status_code
    if check.name == "status_code_conformance":
        return status in UNDECLARED
    if case.media_type in FORMS and check.name in ("positive_data_acceptance", "negative_data_rejection"):
        return True
    return check.name == "positive_data_acceptance" and is_invalid(served, case)


def is_invalid(served: Stubs, case: Any) -> bool:
    """Whether a body breaks its schema: of a text that may be null schemathesis forgets the format."""
    way = ("requestBody", "content", str(case.media_type), "schema")
    place = child("#/paths", case.operation.path, case.method.lower(), *way)
    return node_at(served.document, place) is not None and not served.schemas[place].is_valid(case.body)


@pytest.mark.parametrize("name", sorted(REFUSED.keys() & PUBLIC.keys()))
def test_what_is_left_is_refused_at_all_its_places(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidContract) as invalid:
        generate(PUBLIC[name], tmp_path / "generated", skip_media_types=True)

    assert {refused.place for refused in invalid.value.found} == REFUSED[name]
