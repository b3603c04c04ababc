#!/usr/bin/env bash
# Start the page beside a server: DOCKET is its address, http://127.0.0.1:8000 by default. Takes the options of vite.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"

if [[ ! -d node_modules || package-lock.json -nt node_modules ]]; then
  npm ci --ignore-scripts --no-audit --no-fund
  touch node_modules
fi
exec npm run dev -- "$@"
