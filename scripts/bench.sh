#!/usr/bin/env bash
# Measure Docket beside FastAPI as commonly written; `--help` names the options.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

python=$(scripts/setup.sh requirements-dev.txt)
exec "$python" -m benchmarks.run "$@"
