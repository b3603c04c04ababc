#!/usr/bin/env bash
# Lock the newest releases that pyproject.toml allows, with their hashes, for every platform and Python: needs uv.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

lock() {
  uv pip compile pyproject.toml --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
    --no-annotate --no-strip-extras --quiet --custom-compile-command scripts/lock.sh "$@"
}
lock --output-file requirements.txt
lock --group dev --constraints requirements.txt --output-file requirements-dev.txt
