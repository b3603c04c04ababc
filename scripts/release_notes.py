"""Print what CHANGELOG.md says of the version of the contract: the notes of a release.

`python -m scripts.release_notes v1.2.3` refuses a tag that is not that version, and a version that is not dated.
It takes nothing but the standard library, so that a release needs no environment.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
VERSION = re.compile(r"^info:\n(?:  .*\n)*?  version: (\S+)$", re.MULTILINE)
SECTION = r"^## \[{version}\] - (?P<date>\S+)\n(?P<text>.*?)(?=^## |\Z)"


class NotesError(Exception):
    """Why there is nothing to release: one line."""


def notes(contract: str, changelog: str, tag: str) -> str:
    """The section of the contract's version, without its heading. Raises NotesError."""
    [version] = VERSION.findall(contract)
    if tag != f"v{version}":
        raise NotesError(f"the tag is {tag}, and info.version of openapi.yaml is {version}")
    found = re.search(SECTION.format(version=re.escape(version)), changelog, re.DOTALL | re.MULTILINE)
    if found is None:
        raise NotesError(f"CHANGELOG.md says nothing of {version}")
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", found["date"]):
        raise NotesError(f"CHANGELOG.md says that {version} is {found['date']}: write the day of the release")
    return found["text"].strip() + "\n"


def main(tag: str) -> int:
    contract = (ROOT / "openapi.yaml").read_text(encoding="utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    try:
        print(notes(contract, changelog, tag), end="")
    except NotesError as error:
        print(f"notes: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
