"""Lists against the plain Python model of tests/api/test_task_model.py, with many more examples."""

from typing import Any

import hypothesis

from tests.api.conftest import api, served, settings
from tests.api.test_task_model import LISTS, check
from tests.client import ApiClient
from tests.factories import Factory

__all__ = ["api", "served", "settings"]

EXAMPLES = 1000


@hypothesis.settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
@hypothesis.given(LISTS)
async def test_pages_hold_what_the_model_says_in_its_order(
    api: ApiClient, make: Factory, drawn: dict[str, Any]
) -> None:
    await check(api, make, **drawn)
