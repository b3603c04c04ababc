#!/usr/bin/env bash
# Generate clients from openapi.yaml in TypeScript and Python, compile them strictly, and drive them against a live
# server; takes pytest's arguments.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

missing=()
for program in node npm; do
  if ! command -v "$program" >/dev/null; then missing+=("${program/%node/nodejs}"); fi
done
if ((${#missing[@]})); then scripts/install.sh "${missing[@]}"; fi

python=$(scripts/setup.sh requirements-dev.txt)
exec "$python" -m pytest -o testpaths=tests/clients "$@"
