#!/usr/bin/env bash
# Run the timing, million-row, soak and fault tests, one by one, and show what they measure; takes pytest's arguments.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

python=$(scripts/setup.sh requirements-dev.txt)
exec "$python" -m pytest -o testpaths=tests/proof -o timeout=0 -s "$@"
