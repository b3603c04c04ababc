#!/usr/bin/env bash
# Measure Docket beside FastAPI as commonly written; `--help` names the options.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ ! -x .venv/bin/python ]]; then
  echo "bench: there is no .venv yet: run scripts/test.sh first" >&2
  exit 1
fi
exec .venv/bin/python -m benchmarks.run "$@"
