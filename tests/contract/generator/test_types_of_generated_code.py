"""What documents become is typed code. To ask the type checker whenever code is generated takes too long."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from contract.generator.__main__ import generate
from tests.contract import test_media, test_parameters, test_paths, test_problem_bodies, test_results, test_security
from tests.contract.generator.conftest import ROOT
from tests.contract.generator.test_models import whole_document
from tests.contract.generator.test_mutations import DOCUMENT
from tests.contract.generator.trying import document_of
from tests.contract.small import Node, document

DOCUMENTS: dict[str, Node] = {
    "media": document(test_media.PATHS, components=test_media.COMPONENTS),
    "results": document(test_results.PATHS, components=test_results.COMPONENTS),
    "parameters": document(test_parameters.PATHS, components=test_parameters.COMPONENTS),
    "paths": document(test_paths.PATHS),
    "errors": test_problem_bodies.answering(test_problem_bodies.BASIC),
    "security": document(test_security.paths(), components={"securitySchemes": test_security.SCHEMES}),
    "models": document_of(whole_document()),
    "mutations": DOCUMENT,
}


def test_all_documents_of_the_tests_become_code_that_is_typed(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "contract", tmp_path / "contract", ignore=shutil.ignore_patterns("__pycache__"))
    for name, whole in DOCUMENTS.items():
        source = tmp_path / f"{name}.json"
        source.write_text(json.dumps(whole), encoding="utf-8")
        generate(source, tmp_path / f"made_{name}")

    options = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(tmp_path / "cache")]
    packages = [word for name in DOCUMENTS for word in ("--package", f"made_{name}")]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, *packages], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout
