"""Pages that are derived, whole or between two marks: written, or with `--check` only compared."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def between(text: str, name: str, derived: str) -> str:
    """The text with what stands between `<!-- name -->` and `<!-- end -->` derived anew."""
    found, count = re.subn(
        rf"(?<=<!-- {name} -->\n).*?(?=<!-- end -->)", lambda _match: derived, text, count=1, flags=re.DOTALL
    )
    if count != 1:
        raise ValueError(f"There is no place for {name}: write <!-- {name} --> and <!-- end -->")
    return found


def keep(page: Path, text: str, arguments: list[str], *, by: str = "scripts/regen.sh") -> int:
    """The exit status of writing a page, or of comparing it with what `by` would write."""
    if arguments != ["--check"]:
        page.write_text(text, encoding="utf-8")
    elif not page.exists() or page.read_text(encoding="utf-8") != text:
        print(f"{page.relative_to(ROOT)} is stale: run {by}", file=sys.stderr)
        return 1
    return 0
