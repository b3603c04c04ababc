"""What README.md tells people to paste into a shell, pasted into a shell."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

README = Path(__file__).parents[2] / "README.md"
SHELL = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def test_the_journey_of_the_readme_works_as_pasted(server_url: str) -> None:
    lines = "".join(SHELL.findall(README.read_text(encoding="utf-8")))

    account, page, changed = answers(lines.replace("http://127.0.0.1:8000", server_url))

    assert account["email"] == "ada@example.com"
    assert [task["title"] for task in page["items"]] == ["Read the contract"]
    assert changed["id"] == page["items"][0]["id"]
    assert changed["version"] == 2
    assert changed["priority"] == "high"


def test_the_last_line_sent_again_is_told_that_the_task_has_changed(server_url: str) -> None:
    lines = "".join(SHELL.findall(README.read_text(encoding="utf-8"))).replace("ada@", "grace@")

    *_, refused = answers((lines + lines.splitlines()[-1]).replace("http://127.0.0.1:8000", server_url))

    assert refused["status"] == 412
    assert refused["code"] == "precondition_failed"


def answers(script: str) -> list[dict[str, Any]]:
    """The JSON documents that a script prints."""
    shell = subprocess.run(["/bin/sh", "-eu"], input=script, capture_output=True, text=True, check=False, timeout=60)
    assert shell.returncode == 0, shell.stderr
    found: list[dict[str, Any]] = []
    rest = shell.stdout.strip()
    while rest:
        document, end = json.JSONDecoder().raw_decode(rest)
        found.append(document)
        rest = rest[end:].strip()
    return found
