"""The table of generators in docs/clients.md: written from the rows of a run, or compared with them."""

import json
from pathlib import Path

import pytest

from scripts import clients
from tests.clients.packages import GENERATORS, version

ROWS = [[name, version(name), "yes", "yes", "no", "A remark."] for name in GENERATORS]


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page without a row."""
    path = tmp_path / "clients.md"
    path.write_text("Before.\n<!-- generators -->\n<!-- end -->\nAfter.\n", encoding="utf-8")
    monkeypatch.setattr(clients, "PAGE", path)
    monkeypatch.setattr("scripts.pages.ROOT", tmp_path)
    return path


def rows(folder: Path, told: list[list[str]]) -> str:
    path = folder / "rows"
    path.write_text("".join(json.dumps(row) + "\n" for row in told), encoding="utf-8")
    return str(path)


def test_the_rows_stand_in_the_order_of_the_list(page: Path, tmp_path: Path) -> None:
    assert clients.main([rows(tmp_path, ROWS[::-1])]) == 0

    before, *lines, after = page.read_text(encoding="utf-8").splitlines()
    assert (before, after) == ("Before.", "After.")
    assert [line.split(" | ")[0] for line in lines[3:-1]] == [f"| {name}" for name in GENERATORS]


def test_a_run_of_some_keeps_the_others(page: Path, tmp_path: Path) -> None:
    clients.main([rows(tmp_path, ROWS)])
    whole = page.read_text(encoding="utf-8")
    changed = [*ROWS[1][:-1], "Another remark."]

    clients.main([rows(tmp_path, [changed]), "--some"])

    assert page.read_text(encoding="utf-8") == whole.replace(" | ".join(ROWS[1]), " | ".join(changed))


@pytest.mark.parametrize("told", [ROWS[:-1], [*ROWS[:-1], [*ROWS[-1][:-1], "Another remark."]]])
def test_another_outcome_is_told(
    told: list[list[str]], page: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clients.main([rows(tmp_path, ROWS)])
    whole = page.read_text(encoding="utf-8")

    assert clients.main([rows(tmp_path, told), "--check"]) == 1

    assert capsys.readouterr().err == "clients.md is stale: run scripts/clients.sh --write\n"
    assert page.read_text(encoding="utf-8") == whole


def test_the_page_has_every_generator_at_its_locked_release() -> None:
    kept = dict(clients.read_rows(clients.PAGE.read_text(encoding="utf-8")))

    assert {name: row[1] for name, row in kept.items()} == {name: version(name) for name in GENERATORS}
