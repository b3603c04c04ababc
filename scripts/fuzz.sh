#!/usr/bin/env bash
# Fuzz a real server with a fresh database by what openapi.yaml says; takes schemathesis' options (`fuzz.sh --seed 7`).
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

python=$(scripts/setup.sh requirements-dev.txt)
exec "$python" -m tests.fuzz "$@"
