#!/usr/bin/env bash
# Break what Docket stands on, under people who read and write, and write the table of docs/reliability.md: the long form, in
# which each row goes on until it has its share of 100,000 acknowledged writes. `--short` does each harm once and writes no
# table. The rest goes to pytest: `scripts/faults.sh -k pgbouncer` tries some rows, and mends those alone in the table.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

scripts/programs.sh haproxy initdb nginx openssl pgbouncer redis-server
python=$(scripts/setup.sh requirements-dev.txt)
tests=("$python" -m pytest -o testpaths=tests/faults --durations=10)
if [[ "${1:-}" == --short ]]; then
  if (($# > 1)); then exec "${tests[@]}" "${@:2}"; fi
  "${tests[@]}" -n 4 -m 'not alone'  # they wait for most of the time
  exec "${tests[@]}" -m alone
fi
rows=$(mktemp)
trap 'rm -f "$rows"' EXIT
status=0
"${tests[@]}" -o timeout=0 --long --rows="$rows" "$@" || status=$?
"$python" -m scripts.reliability "$rows" "$@"
exit "$status"
