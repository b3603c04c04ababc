#!/usr/bin/env bash
# Lock what pyproject.toml asks for, with hashes, for every platform and Python: needs uv. `--upgrade` takes the newest.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

lock() {
  uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
    --no-annotate --no-strip-extras --quiet --custom-compile-command scripts/lock.sh "$@"
}
lock --output-file requirements.txt "$@"
lock --group dev --constraints requirements.txt --output-file requirements-dev.txt "$@"
