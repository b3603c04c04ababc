"""The command `contract`, as somebody uses it who has never seen it: what it makes, and what it says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from contract.generator import command
from tests.contract.generator.conftest import ROOT
from tests.contract.small import NOTHING, Node, document

THINGS: Node = {
    "/things": {
        "get": {"operationId": "listThings", "tags": ["things"], "responses": NOTHING},
        "post": {
            "operationId": "addThing",
            "tags": ["things"],
            "summary": 'Add a "thing"',
            "security": [{}, {"X-Key": []}],
            "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}},
            "responses": NOTHING,
        },
    },
    "/others/{id}": {
        "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}],
        "get": {"operationId": "getOther", "security": [{"tls": []}], "responses": {"404": {"description": "None."}}},
    },
}
MORE: Node = {
    "servers": [{"url": "https://things.example/v1"}, {"url": "/v2"}],
    "components": {
        "schemas": {"Thing": {"type": "object", "properties": {"name": {"type": "string"}}}},
        "securitySchemes": {
            "X-Key": {"type": "apiKey", "in": "header", "name": "X-Key"},
            "tls": {"type": "mutualTLS"},
        },
    },
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "things.json"
    path.write_text(json.dumps(document(THINGS, **MORE)), encoding="utf-8")
    return path


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A document that is wrong at three places, the last one first by its name."""
    path = tmp_path / "broken.yaml"
    path.write_text(
        "openapi: 3.1.0\ninfo: {title: Broken, version: '1'}\npaths:\n"
        "  /z: {get: {operationIdd: a, responses: {'204': {description: It.}}}}\n"
        "  /a: {get: {responses: {'204': {descripton: It.}}}}\n",
        encoding="utf-8",
    )
    return path


def run(*arguments: object) -> tuple[int, str, str]:
    """The exit status, and what is printed."""
    done = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new folder for a document."""
    folder = tmp_path_factory.mktemp("new")
    source = folder / "things.json"
    source.write_text(json.dumps(document(THINGS, **MORE)), encoding="utf-8")
    assert command.main(["new", str(folder / "server"), "--from", str(source)]) == 0
    return folder / "server"


@pytest.mark.parametrize("module", ["contract.generator", "contract.generator.command"])
def test_help_is_its_own(module: str) -> None:
    code, said, _ = run(module, "--help")

    assert code == 0
    assert said.startswith("usage: ")
    assert "datamodel" not in said.splitlines()[0]
    assert ("SOURCE" in said) or ("generate" in said and "new" in said)


def test_a_new_folder_has_all_that_a_server_needs(made: Path) -> None:
    names = sorted(str(path.relative_to(made)) for path in made.rglob("*") if path.is_file())

    assert names == [
        "authenticators.py",
        "generated/__init__.py",
        "generated/models.py",
        "generated/openapi.json",
        "generated/operations.py",
        "handlers/__init__.py",
        "handlers/default.py",
        "handlers/things.py",
        "openapi.json",
        "pyproject.toml",
        "server.py",
    ]


def test_mypy_names_each_handler_and_authenticator_that_is_not_written_and_nothing_else(made: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-error-summary"],
        cwd=made,
        env={"MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    named = [line.rpartition("In function ")[2] for line in done.stdout.splitlines() if "In function" in line]
    assert sorted(named) == ['"add_thing":', '"get_other":', '"list_things":', '"tls":', '"x_key":']
    assert len(done.stdout.splitlines()) == 2 * len(named), done.stdout


def test_its_server_starts_where_the_contract_says(made: Path) -> None:
    asked = (
        "import sys; sys.path.insert(0, '.'); import asyncio, httpx, server\n"
        "async def ask():\n"
        "    transport = httpx.ASGITransport(server.app)\n"
        "    async with httpx.AsyncClient(transport=transport, base_url='http://x') as client:\n"
        "        for path, key in ('/v1/things', ''), ('/v1/others/1', ''), ('/things', ''):\n"
        "            told = await client.get(path); print(told.status_code, told.json()['detail'])\n"
        "        for headers in {}, {'X-Key': 'k'}:\n"
        "            told = await client.post('/v1/things', headers=headers)\n"
        "            print(told.status_code, told.json()['detail'])\n"
        "asyncio.run(ask())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", asked],
        cwd=made,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.splitlines() == [
        "501 listThings is not written yet.",
        "501 tls is not written yet.",
        "404 There is nothing at this path.",
        "501 addThing is not written yet.",
        "501 X-Key is not written yet.",
    ]


def test_what_is_new_says_how_to_go_on(tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "server"
    folder.mkdir()

    assert command.main(["new", str(folder), "--from", str(source)]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{folder} has a server of things.json: 3 operations, none of them written yet.")
    assert "curl http://127.0.0.1:8000/v1/things" in said


def test_a_folder_that_is_not_empty_is_left_alone(made: Path, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (made / "server.py").read_text(encoding="utf-8")

    assert command.main(["new", str(made), "--from", str(source)]) == 2
    assert capsys.readouterr().err.startswith(f"{made} is not empty: name another folder, or make the code anew: ")
    assert command.main(["new", str(source), "--from", str(source)]) == 2
    assert capsys.readouterr().err == f"{source} is a file: name a folder\n"
    assert (made / "server.py").read_text(encoding="utf-8") == before


def test_generating_again_is_allowed_and_over_the_files_of_others_is_not(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, foreign = tmp_path / "generated", tmp_path / "own"
    foreign.mkdir()
    (foreign / "models.py").write_text("MINE = 1\n", encoding="utf-8")

    assert command.main(["generate", str(source), "--out", str(out)]) == 0
    assert command.main(["generate", str(source), "--out", str(out)]) == 0
    assert f"{out} has the code of things.json: 3 operations." in capsys.readouterr().out
    assert command.main(["generate", str(source), "--out", str(foreign)]) == 2
    assert command.main(["generate", str(source), "--out", str(source)]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"{foreign} has files that were not generated: name another folder, which need not exist",
        f"{source} is a file: name a folder",
    ]
    assert (foreign / "models.py").read_text(encoding="utf-8") == "MINE = 1\n"


@pytest.mark.parametrize("arguments", [["generate"], ["new", "nowhere", "--from"]])
def test_a_document_that_is_none_is_told_in_a_line(
    tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "missing.yaml"

    assert command.main([*arguments, str(missing)]) == 2
    assert command.main([*arguments, str(tmp_path)]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"{missing} does not exist",
        f"{tmp_path} is a folder: name the document in it",
    ]


def test_all_that_is_wrong_is_told_at_once_by_line_and_nothing_is_written(
    tmp_path: Path, broken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    for arguments in (["generate", str(broken), "--out", out], ["new", out, "--from", str(broken)]):
        assert command.main(arguments) == 1
        told = capsys.readouterr()
        assert told.out == ""
        assert [line.partition(";")[0] for line in told.err.splitlines()] == [
            "broken.yaml:4: #/paths/~1z/get/operationIdd: is no member of an operation in OpenAPI 3.1",
            "broken.yaml:5: #/paths/~1a/get/responses/204: has no description: add it",
            "broken.yaml:5: #/paths/~1a/get/responses/204/descripton: is no member of a response in OpenAPI 3.1",
        ]
        assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_told_in_a_line(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["generate", str(source), "--out", str(source / "below")]) == 1
    assert capsys.readouterr().err == f"{source / 'below'} cannot be written: Not a directory\n"


@pytest.mark.parametrize("arguments", [[], ["new", "folder"], ["generate"], ["make"]])
def test_a_command_that_is_none_is_told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)

    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("usage: contract")


MAPPINGS = """
from contract.refusals import Wanted

FINE = {"query": Wanted(400)}
NUMBER = {"query": 422}
UNKNOWN = {"qwery": Wanted(422)}
"""


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("FINE", 0, ""),
        ("NUMBER", 2, "mine:NUMBER: write 'query' as contract.refusals.Wanted(status, ...)"),
        ("UNKNOWN", 2, "mine:UNKNOWN has 'qwery', which is no condition: there are path, header, query, body"),
        ("NONE", 2, "mine:NONE is no mapping of a module: module 'mine' has no attribute 'NONE'"),
    ],
)
def test_a_mapping_of_conditions_is_found_in_this_folder_and_judged(
    tmp_path: Path, source: Path, name: str, code: int, said: str
) -> None:
    """Also by a console script, for which Python does not look there."""
    (tmp_path / "mine.py").write_text(MAPPINGS, encoding="utf-8")
    script = "import sys; sys.path.remove(''); from contract.generator.command import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", script, "generate", str(source), "--out", "made", "--conditions", f"mine:{name}"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, said in done.stderr, (tmp_path / "made").exists()) == (code, True, code == 0), done.stderr


def test_a_new_folder_tells_what_is_left_out_and_how_it_is_made_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = {"schema": {"type": "object"}}
    body = {"content": {"application/json": text, "application/xml": text}}
    source = tmp_path / "things.json"
    paths: Node = {"/things": {"post": {"operationId": "addThing", "requestBody": body, "responses": NOTHING}}}
    source.write_text(json.dumps(document(paths)), encoding="utf-8")

    assert command.main(["new", str(tmp_path / "server"), "--from", str(source), "--skip-media-types"]) == 0

    assert "application/xml" in capsys.readouterr().out
    config = (tmp_path / "server" / "pyproject.toml").read_text(encoding="utf-8")
    assert "`contract generate openapi.json --skip-media-types`" in config
