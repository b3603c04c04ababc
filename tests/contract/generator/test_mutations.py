"""Whatever is changed in a document, it becomes code that can be bound, or is refused by place."""

import copy
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from contract.generator.__main__ import generate, list_refusals
from contract.generator.reading.document import InvalidContract, Refused
from tests.contract.generator.conftest import ROOT
from tests.contract.generator.trying import Document, document_of

NUMBER = int(os.environ.get("MUTATIONS", "40"))
"""10,000 are a proof: MUTATIONS=10000, or in parts with other seeds: MUTATIONS=2500 MUTATIONS_SEED=1. With a seed mypy
looks at what the documents became, too."""
SEED = os.environ.get("MUTATIONS_SEED")
WORDS = ["x", "", "type", "object", "#/components/schemas/Pet", "$ref", "nullable", "\x00", "é" * 40]
VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1.5,
    10**30,
    [],
    {},
    [1],
    {"a": {}},
    *WORDS,
    ["string", "null"],
    {"$ref": "#/x"},
]
DOCUMENT: Document = document_of(Path(__file__).with_name("mutated.yaml").read_text("utf-8"))


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to each member of a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for name, item in inner for place in ((*at, name), *places(item, (*at, name)))]


PLACES = places(DOCUMENT)


def at(document: Any, way: tuple[Any, ...]) -> Any:
    for name in way:
        document = document[name]
    return document


@st.composite
def mutate_document(draw: st.DrawFn) -> Document:
    """The document with some members deleted, retyped, misspelt or swapped."""
    document = copy.deepcopy(DOCUMENT)
    for _ in range(draw(st.integers(1, 3))):
        *way, name = draw(st.sampled_from(places(document)))
        parent = at(document, tuple(way))
        match draw(st.sampled_from(["delete", "retype", "misspell", "swap"])):
            case "delete":
                del parent[name]
            case "retype":
                parent[name] = copy.deepcopy(draw(st.sampled_from(VALUES)))
            case "misspell" if isinstance(parent, dict):
                word = str(name)
                index = draw(st.integers(0, len(word)))
                parent[
                    word[:index] + draw(st.sampled_from(["", "x", "-", word[index : index + 1]])) + word[index + 1 :]
                ] = parent.pop(name)
            case _:
                *other, key = draw(st.sampled_from(places(document)))
                if tuple(other) == tuple(way):
                    parent[name], parent[key] = parent[key], parent[name]
                else:
                    at(document, tuple(other))[key] = copy.deepcopy(parent[name])
    return document


def refusals_of(source: Path, out: Path) -> Sequence[Refused]:
    try:
        generate(source, out)
    except InvalidContract as invalid:
        return invalid.found
    return ()


def test_a_document_becomes_code_or_is_refused_by_place(tmp_path: Path) -> None:
    source, out, kept = tmp_path / "openapi.yaml", tmp_path / "generated", tmp_path / "kept"
    out.mkdir()
    (out / "models.py").write_text("", encoding="utf-8")
    made: dict[str, int] = {}

    @seed(SEED)
    @settings(
        max_examples=NUMBER,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        derandomize=SEED is None,
    )
    @given(document=mutate_document())
    def try_document(document: Document) -> None:
        source.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")

        found = refusals_of(source, out)

        if found:
            assert all(line.startswith("openapi.yaml:") for line in list_refusals(found, source))
            assert [file.name for file in out.iterdir()] == ["models.py"]
            assert (out / "models.py").read_bytes() == b""
        else:
            assert json.loads((out / "openapi.json").read_bytes())["openapi"] == "3.1.1"
            number = made.setdefault("".join(file.read_text("utf-8") for file in sorted(out.glob("*.py"))), len(made))
            shutil.copytree(out, kept / f"made_{number}", dirs_exist_ok=True)
            for file in out.iterdir():
                file.unlink()
            (out / "models.py").write_text("", encoding="utf-8")

    try_document()

    assert made
    if SEED is not None:  # which takes minutes
        shutil.copytree(ROOT / "contract", kept / "contract", ignore=shutil.ignore_patterns("__pycache__"))
        assert list_type_errors(kept) == ""


def list_type_errors(folder: Path) -> str:
    """What the strict type checker says of the packages in a folder."""
    options = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(folder / ".cache")]
    packages = [word for made in folder.glob("made_*") for word in ("--package", made.name)]
    command = [sys.executable, "-m", "mypy", "--no-error-summary", *options, *packages]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout
