"""The notes of a release: what the changelog says of the contract's version."""

from pathlib import Path

import pytest

from generated.operations import VERSION
from scripts.release_notes import NotesError, notes

ROOT = Path(__file__).parents[2]
CONTRACT = "openapi: 3.1.1\ninfo:\n  title: Docket\n  version: 1.2.0\npaths:\n"
CHANGELOG = "# Changelog\n\n## [1.2.0] - 2026-11-25\n\n### Added\n\n- Tasks.\n\n## [1.1.0] - 2026-10-01\n\n- Users.\n"


def test_they_are_the_section_of_the_version() -> None:
    assert notes(CONTRACT, CHANGELOG, "v1.2.0") == "### Added\n\n- Tasks.\n"


@pytest.mark.parametrize(
    ("changelog", "tag", "said"),
    [
        (CHANGELOG, "v1.1.0", "the tag is v1.1.0, and info.version of openapi.yaml is 1.2.0"),
        (CHANGELOG.replace("1.2.0", "1.2.1"), "v1.2.0", "CHANGELOG.md says nothing of 1.2.0"),
        (CHANGELOG.replace("2026-11-25", "unreleased"), "v1.2.0", "CHANGELOG.md says that 1.2.0 is unreleased: .*"),
    ],
)
def test_what_is_not_to_be_released_is_refused(changelog: str, tag: str, said: str) -> None:
    with pytest.raises(NotesError, match=said):
        notes(CONTRACT, changelog, tag)


def test_the_changelog_knows_the_version_of_the_contract() -> None:
    contract = (ROOT / "openapi.yaml").read_text(encoding="utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").replace("unreleased", "2026-11-25")

    assert "### Added" in notes(contract, changelog, f"v{VERSION}")
