#!/usr/bin/env bash
# Fill the database of the settings with demo data: accounts, teams and tasks in eleven languages; `--help` tells more.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

python=$(scripts/setup.sh requirements-dev.txt)
exec "$python" -m scripts.seed "$@"
