"""The golden contract, and what the generator makes of it."""

import shutil
from pathlib import Path

import pytest

from contract.generator.__main__ import generate
from scripts.rules import problem_types_of

ROOT = Path(__file__).parents[3]
FOLDER = ROOT.parent / "shared" / "cases" / "documents"
PUBLIC = {path.stem: path for path in FOLDER.glob("*.*")}
"""Public documents beside the project, where there are any."""
collect_ignore = [] if PUBLIC else ["test_public_documents.py"]
GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def golden() -> str:
    """The text of the golden contract."""
    return (GOLDEN / "openapi.yaml").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of its own for the code of the golden contract, beside the package that it is written in."""
    folder = tmp_path_factory.mktemp("golden")
    shutil.copytree(ROOT / "contract", folder / "contract", ignore=shutil.ignore_patterns("__pycache__"))
    generate(GOLDEN / "openapi.yaml", folder / "generated", kinds=problem_types_of)
    return folder / "generated"
