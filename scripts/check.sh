#!/usr/bin/env bash
# Judge the code without running it: format, lint, types, the direction of imports, the chain of migrations, and whether
# generated/ is fresh.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

python=$(scripts/setup.sh requirements-dev.txt)
"$python" -m ruff format --check --quiet .
"$python" -m ruff check --quiet .
"$python" -m mypy --no-error-summary
imports=$("$python" -c 'from importlinter.cli import lint_imports_command; lint_imports_command()' --no-logo) ||
  { echo "$imports"; exit 1; }
"$python" - <<'END'
import sys
from server.complaints import CommandError
from server.database.revision import list_migrations
try:
    list_migrations()
except CommandError as error:
    sys.exit(str(error))
END
scripts/regen.sh --check
