#!/usr/bin/env bash
# Run the tests that need more than Python, and install the Debian packages they need; takes pytest's arguments. Without any
# it runs all of them in parallel, but for those that take the time of something: these come afterwards, one by one.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

missing=()
for program in chromium curl git node npm openssl; do
  if ! command -v "$program" >/dev/null; then missing+=("${program/%node/nodejs}"); fi
done
for program in caddy haproxy nginx pgbouncer prometheus redis-server; do  # Debian has nginx where only root looks
  if ! PATH="$PATH:/usr/sbin" command -v "$program" >/dev/null; then missing+=("$program"); fi
done
if ! command -v systemd-analyze >/dev/null; then missing+=(systemd); fi
if ! compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; then missing+=(postgresql); fi
if ((${#missing[@]})); then scripts/install.sh "${missing[@]}"; fi

python=$(scripts/setup.sh requirements-dev.txt)
tests=("$python" -m pytest -o testpaths=tests/system)
if (($#)); then exec "${tests[@]}" -n auto --dist loadfile "$@"; fi
"${tests[@]}" -n auto --dist loadfile -m 'not alone'
"${tests[@]}" -m alone
