"""The shell blocks of docs/quickstart.md, pasted into a shell one after the other."""

from pathlib import Path

from tests.system.test_readme import SHELL, answers

QUICKSTART = Path(__file__).parents[2] / "docs" / "quickstart.md"


def test_five_minutes_end_with_what_they_promise(server_url: str, tmp_path: Path) -> None:
    lines = "".join(SHELL.findall(QUICKSTART.read_text(encoding="utf-8"))).replace("http://127.0.0.1:8000", server_url)

    registered, me, sent, page, changed, completed, friend, member, shared, everywhere = answers(
        f"cd '{tmp_path}'\n{lines}"
    )

    assert registered == me
    assert [task["title"] for task in page["items"]] == ["Write the report", sent["title"]]
    assert (changed["version"], changed["description"]) == (2, "Two pages.")
    assert (completed["version"], completed["status"]) == (3, "completed")
    assert (member["user"]["id"], member["role"]) == (friend["id"], "admin")
    assert [task["title"] for task in everywhere["items"]] == [shared["title"], sent["title"]]
    assert list(tmp_path.iterdir()) == []
