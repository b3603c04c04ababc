#!/usr/bin/env bash
# Judge the code without running it: format, lint, types, the direction of imports, and whether generated/ is fresh.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

python=$(scripts/setup.sh requirements-dev.txt)
"$python" -m ruff format --check --quiet .
"$python" -m ruff check --quiet .
"$python" -m mypy --no-error-summary
imports=$("$python" -c 'from importlinter.cli import lint_imports_command; lint_imports_command()' --no-logo) ||
  { echo "$imports"; exit 1; }
scripts/regen.sh --check
