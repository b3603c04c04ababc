#!/usr/bin/env bash
# Lock what pyproject.toml and the clients in Python ask for, with hashes, for every platform and Python: needs uv.
# `--upgrade` takes the newest. Of what is locked for the server a list is made, sbom.cdx.json (CycloneDX).
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

lock() {
  uv pip compile "$@" --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
    --no-annotate --no-strip-extras --quiet --custom-compile-command scripts/lock.sh
}
lock pyproject.toml --output-file requirements.txt "$@"
lock pyproject.toml --group dev --constraints requirements.txt --output-file requirements-dev.txt "$@"
for client in tests/clients/openapi-generator tests/clients/python examples/cli; do
  lock "$client/requirements.in" --output-file "$client/requirements.txt" "$@"
done

uv tool run --quiet --from cyclonedx-bom==7.5.0 cyclonedx-py requirements requirements.txt --pyproject pyproject.toml \
  --output-reproducible --output-format JSON | python3 -m scripts.sbom
