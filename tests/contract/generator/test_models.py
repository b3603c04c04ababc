"""What a schema accepts reaches the handler whole, and what it does not accept has a fault: there is one judge."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contract.generator.conftest import ROOT
from tests.contract.generator.trying import Document, Trial

CASES: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "models.yaml").read_text(encoding="utf-8"))


def schemas_of(name: str) -> Document:
    """The schemas of a case, under names that no other one has."""
    words = name.title().replace("-", "")
    text = (
        yaml.safe_dump(CASES[name]["schemas"]).replace("schemas/It", f"schemas/{words}").replace("Num", f"{words}Num")
    )
    parsed: Document = yaml.safe_load(text.replace("my.ns-It", f"my.ns-{words}"))
    return {key.replace("It", words, 1): schema for key, schema in parsed.items()}


def whole_document() -> Document:
    """One document of all the schemas, each with an operation that takes and answers it."""
    whole: Document = {"paths": {}, "components": {"schemas": {}}}
    for name in CASES:
        whole["components"]["schemas"] |= schemas_of(name)
        schema = {"schema": {"$ref": f"#/components/schemas/{name.title().replace('-', '')}"}}
        content = {"content": {"application/json": schema}}
        responses = {"200": {"description": "It.", **content}}
        whole["paths"][f"/{name}"] = {"post": {"requestBody": {"required": True, **content}, "responses": responses}}
    return whole


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    return Trial(tmp_path_factory.mktemp("models"), whole_document())


@pytest.mark.parametrize("name", CASES)
async def test_a_value_is_kept_or_refused_with_its_faults(trial: Trial, name: str) -> None:
    for value in CASES[name].get("kept", ()):
        assert await trial.send("POST", f"/{name}", value) == (200, value)
    for value, faults in CASES[name].get("refused", ()):
        assert await trial.send("POST", f"/{name}", value) == (422, list(faults.items()))
    assert trial.mismatches == []


def test_the_models_satisfy_the_strict_type_checker(trial: Trial, tmp_path: Path) -> None:
    models = tmp_path / "models.py"
    models.write_text(trial.code, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--config-file",
        str(ROOT / "pyproject.toml"),
        "--cache-dir",
        str(tmp_path),
    ]

    done = subprocess.run([*command, str(models)], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
