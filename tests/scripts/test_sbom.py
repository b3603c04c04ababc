"""sbom.cdx.json names what is locked for the server, and what server/assets has of others, and nothing else."""

import json
import re
from typing import Any

import pytest

from scripts.sbom import ASSET, ASSETS, BOM
from tests.conftest import ROOT

PIN = re.compile(r"^([a-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)", re.MULTILINE)


@pytest.mark.proves("ASVS 5.0 15.1.2", "The list of components is that of what is locked")
def test_it_is_the_list_of_what_is_locked() -> None:
    found: dict[str, Any] = json.loads(BOM.read_text(encoding="utf-8"))
    pinned = {f"pkg:pypi/{name}@{version}" for name, version in PIN.findall((ROOT / "requirements.txt").read_text())}
    vendored = {f"pkg:npm/{name}@{version}" for _, name, version, _ in ASSET.findall(ASSETS.read_text())}

    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.6")
    assert len(vendored) >= 2
    assert {each["purl"] for each in found["components"]} == pinned | vendored
    references = [each["bom-ref"] for each in found["components"]]
    assert len(references) == len(set(references))
