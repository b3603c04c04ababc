#!/usr/bin/env bash
# Fuzz a real server with a fresh database by what openapi.yaml says; takes schemathesis' options (`fuzz.sh --seed 7`).
# `--plain` has schemathesis know the served document and a token alone, for seven minutes; docs/verification.md lists what it says.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

python=$(scripts/setup.sh requirements-dev.txt)
exec "$python" -m tests.fuzz "$@"
