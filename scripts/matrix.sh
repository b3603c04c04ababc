#!/usr/bin/env bash
# Try what is supported: a journey under each Python, the tests on the embedded PostgreSQL and on Debian's.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

python=$(scripts/setup.sh requirements-dev.txt)
"$python" -m pytest tests/system/test_pythons.py -v "$@"
env -u DATABASE_URL "$python" -m pytest -n auto "$@"
scripts/with_postgres.sh "$python" -m pytest -n auto "$@"
