#!/usr/bin/env bash
# Generate clients from openapi.yaml, compile those in TypeScript and Python strictly, drive them against a live server,
# search the text of those in other languages, and compare the table of docs/clients.md with what came of it; `--write`
# writes it. The rest goes to pytest: `scripts/clients.sh -k orval` tries some generators, and looks at their rows alone.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

scripts/programs.sh java node npm
python=$(scripts/setup.sh requirements-dev.txt)
options=(--check)
if [[ "${1:-}" == --write ]]; then options=(); shift; fi
if (($#)); then options+=(--some); fi
rows=$(mktemp)
trap 'rm -f "$rows"' EXIT
"$python" -m pytest -o testpaths=tests/clients -o timeout=1800 -n 2 --dist loadfile --table="$rows" "$@"
"$python" -m scripts.clients "$rows" ${options[@]+"${options[@]}"}
