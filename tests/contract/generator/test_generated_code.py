import json
import subprocess
import sys
from pathlib import Path

import pytest

from contract.generator.__main__ import generate
from contract.generator.reading.document import InvalidContract, load
from scripts.rules import HOUSE
from tests.contract.generator.conftest import GOLDEN, ROOT

USE_IT = r"""
from generated.operations import OPERATIONS, TITLE, BooksOperations, Unauthorized
assert TITLE == 'A lending "library" 📚'
assert BooksOperations.__doc__ == 'The books, each a "book"'
assert r"matches `\d+`" in BooksOperations.get_book.__doc__
assert [len(operation.problems) for operation in OPERATIONS] == [3, 4, 6, 7, 3]
assert rb"C:\\one" in Unauthorized("expired_token", www_authenticate="Bearer").content("request 1")
"""


def run(*command: str, cwd: Path) -> tuple[int, str]:
    done = subprocess.run([sys.executable, *command], cwd=cwd, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def test_the_json_is_the_same_document(generated: Path) -> None:
    assert json.loads((generated / "openapi.json").read_bytes()) == load(GOLDEN / "openapi.yaml")


def test_two_runs_write_the_same_bytes(generated: Path, tmp_path: Path) -> None:
    code, said = run("-m", "scripts.rules", str(GOLDEN / "openapi.yaml"), str(tmp_path), cwd=ROOT)

    assert (code, said) == (0, "")
    assert contents(tmp_path) == contents(generated)


def test_what_is_committed_is_what_the_contract_becomes(tmp_path: Path) -> None:
    generate(ROOT / "openapi.yaml", tmp_path, *HOUSE)

    assert contents(tmp_path) == contents(ROOT / "generated")


def test_the_golden_code_satisfies_the_strict_type_checker(generated: Path, tmp_path: Path) -> None:
    options = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(tmp_path), "--package", "generated"]

    code, said = run("-m", "mypy", *options, cwd=generated.parent)

    assert code == 0, said


def test_the_golden_code_says_what_the_contract_says(generated: Path) -> None:
    code, said = run("-W", "error", "-c", USE_IT, cwd=generated.parent)

    assert code == 0, said


def test_a_schema_that_no_model_can_be_made_of_is_refused(golden: str, tmp_path: Path) -> None:
    source = tmp_path / "openapi.yaml"
    source.write_text(golden.replace("minLength: 8", "minLength: eight"), encoding="utf-8")

    with pytest.raises(
        InvalidContract, match=r"#/components/schemas/Grant/properties/password/minLength.*is a text, not an integer"
    ):
        generate(source, tmp_path / "generated")

    assert not (tmp_path / "generated").exists()
