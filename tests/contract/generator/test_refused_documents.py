"""Every document is refused at its places, with the reason and what to write instead."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contract.generator.trying import refusals

CASES: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "refused.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", CASES)
def test_a_document_is_refused_by_place_and_reason(name: str, tmp_path: Path) -> None:
    wanted = {place: [told] if isinstance(told, str) else told for place, told in CASES[name]["refused"].items()}

    found = refusals(tmp_path, CASES[name]["document"])

    assert sorted(found) == sorted((place, reason) for place, told in wanted.items() for reason in told)
