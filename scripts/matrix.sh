#!/usr/bin/env bash
# Try what is supported: a journey under each Python; on the embedded PostgreSQL and on Debian's the tests that take no time
# of anything.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

python=$(scripts/setup.sh requirements-dev.txt)
"$python" -m pytest tests/system/test_pythons.py -o timeout=1800 -v "$@"
env -u DATABASE_URL "$python" -m pytest -n auto -m 'not alone' "$@"
scripts/with_postgres.sh "$python" -m pytest -n auto -m 'not alone' "$@"
