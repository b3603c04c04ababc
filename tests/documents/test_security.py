"""docs/security.md claims what tests are marked to prove, and nothing else."""

import re
from pathlib import Path

import pytest

from scripts.promises import PAGE, Unprovable, main, page, promises

ROW = re.compile(r"^\| [^|]+ \| ([^|]+) \| \[\S+\]\((\S+)\) `([\w.]+)` \|$", re.MULTILINE)
MARK = '@pytest.mark.proves("RFC 6750 3", "Who is nobody may nothing")\n'


def test_it_says_what_the_tests_say(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().err


def test_every_test_that_it_names_exists() -> None:
    rows = ROW.findall(PAGE.read_text(encoding="utf-8"))

    assert len(rows) >= 50
    for _, file, test in rows:
        source = (PAGE.parent / file).read_text(encoding="utf-8")
        group, _, name = test.rpartition(".")
        assert f"def {name}(" in source
        assert not group or f"class {group}:" in source


def test_a_mark_is_a_row(tmp_path: Path) -> None:
    folder = tmp_path / "api"
    folder.mkdir()
    source = f"class TestNobody:\n    {MARK}    async def test_nobody(self) -> None: ...\n"
    (folder / "test_auth.py").write_text(source, encoding="utf-8")

    text = page(list(promises(tmp_path)))

    row = "| Who is nobody may nothing | RFC 6750 3 | [api/test_auth.py](../tests/api/test_auth.py)"
    assert f"{row} `TestNobody.test_nobody` |\n" in text


@pytest.mark.parametrize(
    "source",
    [
        f"{MARK}def helper(): ...",
        f"{MARK}class TestNobody: ...",
        f"class Nobody:\n    {MARK}    def test_nobody(self): ...",
        f"def outer():\n    {MARK}    def test_inner(): ...",
        "pytestmark = pytest.mark.proves('', 'Who is nobody may nothing')",
        "@pytest.mark.proves\ndef test_nobody(): ...",
        "@pytest.mark.proves('Who is nobody may nothing')\ndef test_nobody(): ...",
        "@pytest.mark.proves('', '')\ndef test_nobody(): ...",
        "@pytest.mark.proves('ASVS 4.0 3.1.1', 'Who is nobody may nothing')\ndef test_nobody(): ...",
        "@pytest.mark.proves('ASVS 5.0 7.4', 'Who is nobody may nothing')\ndef test_nobody(): ...",
        "@pytest.mark.proves('', PROMISE)\ndef test_nobody(): ...",
        "@pytest.mark.proves('', promise='Who is nobody may nothing')\ndef test_nobody(): ...",
    ],
)
def test_a_mark_that_makes_no_row_is_refused(tmp_path: Path, source: str) -> None:
    (tmp_path / "test_auth.py").write_text(source, encoding="utf-8")

    with pytest.raises(Unprovable, match=r"^tests/test_auth\.py:\d "):
        list(promises(tmp_path))


def test_a_mark_in_a_file_without_tests_is_refused(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(f"{MARK}def test_nobody(): ...", encoding="utf-8")

    with pytest.raises(Unprovable, match=r"^tests/conftest\.py:1 "):
        list(promises(tmp_path))


def test_a_test_of_no_area_is_refused(tmp_path: Path) -> None:
    (tmp_path / "test_lost.py").write_text(f"{MARK}def test_nobody(): ...", encoding="utf-8")

    with pytest.raises(Unprovable, match=r"^tests/test_lost\.py::test_nobody belongs to no area"):
        page(list(promises(tmp_path)))
