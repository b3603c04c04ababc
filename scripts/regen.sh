#!/usr/bin/env bash
# Write generated/ from openapi.yaml, docs/security.md from the tests, docs/permissions.md and docs/scopes.md from contract and policy, the
# tables of docs/operations.md from the settings, of README.md from the contract, of contract/README.md from the engine's
# tests. `--check` changes nothing and fails when one of them is stale.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

python=$(scripts/setup.sh requirements-dev.txt)
out=generated
if [[ "${1:-}" == --check ]]; then
  out=$(mktemp -d)
  trap 'rm -rf "$out"' EXIT
fi
"$python" -m scripts.rules openapi.yaml "$out"
if [[ "$out" != generated ]]; then
  diff -ru --exclude=__pycache__ generated "$out" || { echo "generated/ is stale: run scripts/regen.sh" >&2; exit 1; }
fi
"$python" -m scripts.security_page "$@"
"$python" -m scripts.permissions "$@"
"$python" -m scripts.scopes "$@"
"$python" -m scripts.operations "$@"
"$python" -m scripts.readme "$@"
"$python" -m scripts.support "$@"
