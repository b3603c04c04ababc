"""The folder where workers write their metrics: whose goes, and when."""

import tempfile
from pathlib import Path

import pytest

from server.observability.shared_metrics import PREFIX, shared_metrics


@pytest.fixture(autouse=True)
def _a_place_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")  # to be put back


def test_the_folder_of_another_server_stays_though_its_process_has_our_number(tmp_path: Path) -> None:
    with shared_metrics() as one, shared_metrics() as other:
        assert set(tmp_path.iterdir()) == {one.folder, other.folder}

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_nobody_holds_any_more_goes(tmp_path: Path) -> None:
    left, begun = tmp_path / f"{PREFIX}left", tmp_path / f"{PREFIX}begun"
    for folder, file in ((left, "lock"), (begun, "new")):
        folder.mkdir()
        (folder / file).touch()

    with shared_metrics() as own:
        assert set(tmp_path.iterdir()) == {own.folder, begun}
