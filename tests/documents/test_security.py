"""docs/security.md claims what tests are marked to prove, and nothing else."""

import re
from pathlib import Path

import pytest
import yaml

from scripts.pages import ROOT
from scripts.security_page import PAGE, VERDICTS, Unprovable, main, page, promises, verdicts_of

SHOWN = re.compile(r"\[[^]]+\]\(\.\./(tests/[^)]+)\) `([\w.]+)`")
OF_STANDARD = (27, 11, 19, 10, 9, 35, 18, 7, 7, 29, 14, 9, 13, 9, 13, 16, 7)
"""How many requirements of levels 1 and 2 each chapter of ASVS 5.0.0 has."""
EMPTY = "<!-- asvs -->\n<!-- end -->\n<!-- top ten -->\n<!-- end -->\n"
VERDICT = b"chapters: [{title: Encoding, met: {1.1.1: %b}}]\ntop ten: {}\n"
MARK = '@pytest.mark.proves("RFC 6750 3", "A stranger may do nothing")\n'


def test_it_says_what_the_tests_say(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().err


def test_every_requirement_of_the_standard_has_one_verdict() -> None:
    said = yaml.safe_load(VERDICTS.read_bytes())["chapters"]

    for number, (chapter, many) in enumerate(zip(said, OF_STANDARD, strict=True), 1):
        told = [verdict.number for verdict in verdicts_of(chapter)]
        assert (len(told), len(set(told))) == (many, many), chapter["title"]
        assert all(each.split(".")[0] == str(number) for each in told)


def test_every_test_that_it_names_exists() -> None:
    shown = SHOWN.findall(PAGE.read_text(encoding="utf-8"))

    assert len(shown) >= 100
    for file, test in shown:
        source = (ROOT / file).read_text(encoding="utf-8")
        group, _, name = test.rpartition(".")
        assert f"def {name}(" in source
        assert not group or f"class {group}:" in source


def test_a_mark_is_a_row(tmp_path: Path) -> None:
    folder = tmp_path / "api"
    folder.mkdir()
    other = MARK.replace("RFC 6750 3", "ASVS 5.0 1.1.1, ASVS 5.0 1.9.9")
    source = f"{MARK}def test_stranger(): ...\n{other}def test_somebody(): ...\n"
    (folder / "test_auth.py").write_text(source, encoding="utf-8")

    text = page(EMPTY, list(promises(tmp_path)), VERDICT % b"LICENSE")

    shown = "A stranger may do nothing: [api/test_auth.py](../tests/api/test_auth.py) `test_stranger`"
    assert f"| RFC 6750 3 | {shown} |\n" in text
    shown = shown.replace("stranger`", "somebody`")
    assert f"| 1.1.1 | met | {shown} <br> [LICENSE](../LICENSE) |\n" in text
    assert f"| 1.9.9 | level 3 | {shown} |\n" in text
    assert "| V1 Encoding | 1 | 0 | 0 |\n| all | 1 | 0 | 0 |\n" in text


@pytest.mark.parametrize(
    "shown", [b"", b"LICENSE", b"docs/absent.md", b"tests/documents/test_security.py::test_absent"]
)
def test_what_is_met_and_not_shown_is_refused(shown: bytes) -> None:
    with pytest.raises(Unprovable, match=r"^scripts/asvs.yaml: 1\.1\.1 is "):
        page(EMPTY, [], VERDICT % shown)


def test_the_other_list_stands_on_the_verdicts() -> None:
    other = VERDICT.replace(b"top ten: {}", b"top ten: {API1: {met: [1.1.2], how: Somehow}}")
    other %= b"tests/documents/test_security.py"

    with pytest.raises(Unprovable, match=r"^scripts/asvs.yaml: API1 says that 1\.1\.2 is met"):
        page(EMPTY, [], other)


@pytest.mark.parametrize(
    "source",
    [
        f"{MARK}def helper(): ...",
        f"{MARK}class TestNobody: ...",
        f"class Stranger:\n    {MARK}    def test_stranger(self): ...",
        f"def outer():\n    {MARK}    def test_inner(): ...",
        "pytestmark = pytest.mark.proves('', 'A stranger may do nothing')",
        "@pytest.mark.proves\ndef test_stranger(): ...",
        "@pytest.mark.proves('A stranger may do nothing')\ndef test_stranger(): ...",
        "@pytest.mark.proves('', '')\ndef test_stranger(): ...",
        "@pytest.mark.proves('ASVS 4.0 3.1.1', 'A stranger may do nothing')\ndef test_stranger(): ...",
        "@pytest.mark.proves('ASVS 5.0 7.4', 'A stranger may do nothing')\ndef test_stranger(): ...",
        "@pytest.mark.proves('', PROMISE)\ndef test_stranger(): ...",
        "@pytest.mark.proves('', promise='A stranger may do nothing')\ndef test_stranger(): ...",
    ],
)
def test_a_mark_that_makes_no_row_is_refused(tmp_path: Path, source: str) -> None:
    (tmp_path / "test_auth.py").write_text(source, encoding="utf-8")

    with pytest.raises(Unprovable, match=r"^tests/test_auth\.py:\d "):
        list(promises(tmp_path))


def test_a_mark_in_a_file_without_tests_is_refused(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(f"{MARK}def test_stranger(): ...", encoding="utf-8")

    with pytest.raises(Unprovable, match=r"^tests/conftest\.py:1 "):
        list(promises(tmp_path))
