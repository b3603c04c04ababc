#!/usr/bin/env bash
# Run the tests that need more than Python, and install the Debian packages they need; takes pytest's arguments. Without any
# it runs all of them in parallel, but for those that take the time of something: these come afterwards, one by one.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

scripts/programs.sh caddy chromium curl git haproxy initdb nginx node npm openssl pgbouncer prometheus redis-server \
  systemd-analyze
python=$(scripts/setup.sh requirements-dev.txt)
tests=("$python" -m pytest -o testpaths=tests/system -o timeout=1800)
if (($#)); then exec "${tests[@]}" -n auto --dist loadfile "$@"; fi
"${tests[@]}" -n auto --dist loadfile -m 'not alone'
"${tests[@]}" -m alone
