#!/usr/bin/env bash
# Install the Debian packages of the programs that are named and missing (`programs.sh haproxy psql`).
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

missing=()
for program; do  # Debian has servers where only root looks
  case "$program" in
    java) package=default-jre-headless ;;
    node) package=nodejs ;;
    systemd-analyze) package=systemd ;;
    initdb) package=postgresql ;;
    *) package=$program ;;
  esac
  if ! PATH="$PATH:/usr/sbin:$(printf '%s:' /usr/lib/postgresql/*/bin)" command -v "$program" >/dev/null; then
    missing+=("$package")
  fi
done
if ((${#missing[@]})); then scripts/install.sh "${missing[@]}"; fi
