#!/usr/bin/env bash
# Refuse a breaking change of openapi.yaml without a version that says so, naming its line. `--release` then keeps it as
# contracts/<version>.yaml, which later ones are compared with.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

missing=()
for program in node npm; do
  if ! command -v "$program" >/dev/null; then missing+=("${program/%node/nodejs}"); fi
done
if ((${#missing[@]})); then scripts/install.sh "${missing[@]}"; fi

folder=build/redocly
locked=tests/system/redocly
if ! cmp -s "$locked/package-lock.json" "$folder/node_modules/installed.json"; then
  mkdir -p "$folder"
  cp "$locked"/package*.json "$folder"
  npm ci --prefix "$folder" --ignore-scripts --no-audit --no-fund --silent
  cp "$locked/package-lock.json" "$folder/node_modules/installed.json"
fi
python=$(scripts/setup.sh requirements-dev.txt)
export REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true
exec "$python" -m scripts.contracts "$folder/node_modules/.bin/redocly" "$@"
