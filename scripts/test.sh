#!/usr/bin/env bash
# Run the tests that need Python only, in parallel: those that pytest's arguments name, or all of them, which must see every
# answer that the contract declares, and cover 97 % of all branches, 95 % of the endpoints' and each that decides who calls
# and what they may see; of all of them, those that take the time of something come afterwards, one by one. `--html`, given
# first, writes the coverage to htmlcov/.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

python=$(scripts/setup.sh requirements-dev.txt)
options=()
if [[ "${1:-}" == --html ]]; then
  options+=(--cov --cov-report=html)
  shift
fi
if (($#)); then exec "$python" -m pytest -n auto ${options[@]+"${options[@]}"} "$@"; fi

covers() {
  local percent=$1 IFS=,
  shift
  printf '\n=== %s %% of %s ===\n' "$percent" "$*"
  "$python" -m coverage report --fail-under="$percent" --include="$*"
}
"$python" -m pytest -n auto -m 'not alone' --cov --cov-report= --every-status
"$python" -m pytest -m alone --cov --cov-append --cov-report=term --cov-fail-under=97 ${options[@]+"${options[@]}"}
covers 95 'handlers/*'
covers 100 'contract/*' 'security/*' handlers/auth.py handlers/accounts/{provisioning,lockout,sign_in}.py handlers/shared/{call,refresh_cookie,permissions}.py \
  persistence/authorization.py persistence/queries/accounts/{identities,sessions,login_attempts}.py \
  server/dispatch/{authentication,dispatcher}.py server/middleware/{trusted_hosts,csrf}.py
