#!/usr/bin/env bash
# Run the tests that need Python only, in parallel: all of them, which must cover 97 % of the branches, or those that
# pytest's arguments name. `--html`, given first, writes the coverage to htmlcov/.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

python=$(scripts/setup.sh requirements-dev.txt)
options=()
if [[ "${1:-}" == --html ]]; then
  options+=(--cov --cov-report=html)
  shift
fi
if (($# == 0)); then options+=(--cov --cov-report=term --cov-fail-under=97); fi
exec "$python" -m pytest -n auto ${options[@]+"${options[@]}"} "$@"
