"""Write the table of settings in docs/operations.md from the class that reads them; `--check` only compares."""

import sys
from enum import Enum

from scripts.pages import ROOT, between, keep
from server.settings.settings import Settings

PAGE = ROOT / "docs" / "operations.md"


def main(arguments: list[str]) -> int:
    return keep(PAGE, between(PAGE.read_text(encoding="utf-8"), "settings", table()), arguments)


def table() -> str:
    rows = ["| Setting | Default | Meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = field.default.value if isinstance(field.default, Enum) else field.default
        text = str(default).lower() if isinstance(default, bool) else str(default)
        shown = "" if default in (None, frozenset(), (), "") else f"`{text}`"
        secret = " (secret)" if "SecretStr" in str(field.annotation) else ""
        rows.append(f"| `{name.upper()}`{secret} | {shown} | {field.description} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
