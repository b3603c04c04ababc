#!/usr/bin/env bash
# Run the tests that need more than Python, and install the Debian packages they need; takes pytest's arguments.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

missing=()
for program in chromium node npm; do
  if ! command -v "$program" >/dev/null; then missing+=("${program/%node/nodejs}"); fi
done
if ! compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; then missing+=(postgresql); fi
if ((${#missing[@]})); then scripts/install.sh "${missing[@]}"; fi

python=$(scripts/setup.sh requirements-dev.txt)
exec "$python" -m pytest -n auto --dist loadfile tests/system "$@"
