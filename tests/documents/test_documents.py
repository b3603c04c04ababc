"""What the documents name exists: links, files, settings, operations, problems and other words of the code."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from server.__main__ import COMMANDS
from server.settings.settings import Settings

THIS = Path(__file__)
ROOT = THIS.parents[2]
DOCUMENT: dict[str, Any] = json.loads((ROOT / "generated" / "openapi.json").read_bytes())
BLOCK = re.compile(r"^ *```(?s:.*?)^ *```$|^(?: {4}.*\n)+", re.MULTILINE)
SCRIPT = re.compile(r"^```(?:js|python)$(?s:.*?)^```$", re.MULTILINE)
BETWEEN = re.compile(r"[\s,;|=()\[\]\"'`]+")
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
FILE = re.compile(r"\.?[\w-]+(?:[/.][\w.-]+)*/?")
SUFFIXES = {".css", ".ini", ".js", ".json", ".lua", ".md", ".py", ".sh", ".svg", ".toml", ".txt", ".yaml"}
MEDIA_TYPES = ("application/", "text/", "image/", "multipart/")
OF_OTHERS = {
    "encodeNil",
    "explicitNulls",
    "omitempty",
    "channel_binding",
    "definePayload",
    "emptyDir",
    "preStop",
    "readOnlyRootFilesystem",
    "runAsNonRoot",
    "runAsUser",
    "terminationGracePeriodSeconds",
    "PyJWKClient",
    "autocommit_block",
    "btree_gin",
    "deadlock_timeout",
    "pg_trgm",
    "get_context",
    "get_server",
    "SlowAPIASGIMiddleware",
    "SlowAPIMiddleware",
}
"""Names in the documents that are of other people's software, where our code does not use them."""


MADE_BY_READERS = {
    "invitation.json",
    "authenticators.py",
    "docket/contract",
    "museum.yaml",
    "task.json",
    "team.json",
    "tests/api/test_task_statistics.py",
    "tokens.json",
}
"""Files that a document has its reader make."""


def is_ours(path: Path) -> bool:
    parts = path.relative_to(ROOT).parts
    return not {"node_modules", "build", "htmlcov"} & set(parts) and (
        not parts[0].startswith(".") or parts[0] in (".ci", ".env.example")
    )


@cache
def files() -> list[Path]:
    """Every file of the project; what runs leave behind is not looked at."""
    tops = [top for top in ROOT.iterdir() if is_ours(top)]
    return [path for top in tops for path in (top.rglob("*") if top.is_dir() else [top]) if is_ours(path)]


@cache
def words() -> frozenset[str]:
    """Every word of the contract, the code and what configures them, and the names of their modules."""
    suffixes = {".js", ".mjs", ".py", ".sh", ".toml", ".yaml"}
    sources = [path for path in files() if (path.suffix in suffixes or path.name == "tsconfig.json") and path != THIS]
    found = {word for path in sources for word in re.findall(r"\w+", path.read_text(encoding="utf-8"))}
    return frozenset(found | {path.stem for path in sources})


@cache
def constants() -> frozenset[str]:
    """The names in capitals that a module defines."""
    sources = [path.read_text(encoding="utf-8") for path in files() if path.suffix == ".py"]
    return frozenset(re.findall(r"^([A-Z][A-Z0-9_]+)\b.*?=", "\n".join(sources), re.MULTILINE))


def settings() -> set[str]:
    names = {name.upper() for name in Settings.model_fields}
    return names | {f"{name}_FILE" for name in names}


def documents() -> list[Path]:
    return sorted(path for path in files() if path.suffix == ".md")


def in_code(text: str) -> list[str]:
    """The words that a document sets as code, in blocks and within a line. Scripts are of other people's names."""
    text = SCRIPT.sub("", text)
    return BETWEEN.split(" ".join([*BLOCK.findall(text), *INLINE.findall(BLOCK.sub("", text))]))


def is_file_name(word: str) -> bool:
    if not FILE.fullmatch(word) or word.startswith(MEDIA_TYPES) or f"{word.partition('/')[0]}/" in IGNORED:
        return False
    return "/" in word or Path(word).suffix in SUFFIXES


IGNORED = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
each_document = pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))


@each_document
def test_its_links_lead_somewhere(document: Path) -> None:
    targets = [target.partition("#")[0] for target in LINK.findall(document.read_text(encoding="utf-8"))]
    near = [target for target in targets if target and "://" not in target]

    assert [target for target in near if not (document.parent / target).exists()] == []


@each_document
def test_the_files_that_it_names_exist(document: Path) -> None:
    named = {word for word in in_code(document.read_text(encoding="utf-8")) if is_file_name(word)}
    known = {path.name for path in files()} | MADE_BY_READERS

    assert [
        word
        for word in sorted(named)
        if not (ROOT / word).exists() and not (document.parent / word).exists() and word not in known
    ] == []


@each_document
def test_the_settings_that_it_names_exist(document: Path) -> None:
    named = {word for word in in_code(document.read_text(encoding="utf-8")) if re.fullmatch(r"[A-Z]+_[A-Z_]+", word)}

    assert sorted(named - settings() - constants()) == []


@each_document
def test_the_operations_problems_and_names_of_the_code_exist(document: Path) -> None:
    code = INLINE.findall(BLOCK.sub("", document.read_text(encoding="utf-8")))
    parts = [part for one in code for part in one.split() if not is_file_name(part)]
    named = {word for part in parts for word in re.findall(r"\w+", part) if re.search(r"[a-z]_[a-z]|[a-z][A-Z]", word)}

    assert sorted(named - words() - OF_OTHERS) == []


@each_document
def test_the_commands_that_it_names_exist(document: Path) -> None:
    named = re.findall(r"python -m server ([a-z][a-z-]*)", document.read_text(encoding="utf-8"))

    assert set(named) <= set(COMMANDS)


def test_the_changelog_names_every_operation_and_the_version_of_the_contract() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    operations = [one["operationId"] for path in DOCUMENT["paths"].values() for one in path.values() if "tags" in one]

    assert [operation for operation in operations if f"`{operation}`" not in text] == []
    assert re.findall(r"^## \[([\d.]+)\]", text, re.MULTILINE)[0] == DOCUMENT["info"]["version"]


def test_the_index_of_decisions_has_every_one_by_its_number_and_title() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")

    for path in folder.glob("0*.md"):
        number, title = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ").split(". ", 1)
        assert path.name.startswith(f"{int(number):04}-")
        assert f"| [{number}]({path.name}) | {title} |" in index


def test_the_page_on_logs_has_every_event_and_no_other() -> None:
    """A name, as code gives it: in capitals or small letters, without a space. Sentences tell themselves."""
    told = re.compile(r"""(?:\blog\.\w+|\btell)\(\s*"([a-z_]+)"|"event":"([a-z_]+)\"""")
    sources = [
        path.read_text(encoding="utf-8")
        for top in ("handlers", "persistence", "server")
        for path in (ROOT / top).rglob("*.py")
    ]
    events = {name for source in sources for match in told.findall(source) for name in match if name}

    page = (ROOT / "docs" / "logs.md").read_text(encoding="utf-8").partition("## Events")[2].partition("## What")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == events


def test_scripts_system_installs_every_program_that_its_tests_ask_for() -> None:
    of_a_package = dict.fromkeys(("initdb", "pg_isready", "postgres", "psql"), "postgresql") | {
        "promtool": "prometheus"
    }
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "tests/system").glob("*.py")]
    asked = set(re.findall(r'program\("([\w-]+)"\)', "".join(sources)))

    scripts = "".join((ROOT / "scripts" / name).read_text(encoding="utf-8") for name in ("system.sh", "programs.sh"))
    assert len(asked) > len(of_a_package)
    assert {of_a_package.get(name, name) for name in asked} <= set(re.findall(r"[\w-]+", scripts))
