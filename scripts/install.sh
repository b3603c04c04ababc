#!/usr/bin/env bash
# Install Debian packages (`install.sh chromium npm`), as root or by sudo.
set -euo pipefail

as_root=()
if ((EUID != 0)); then as_root=(sudo -n); fi
if ! command -v apt-get >/dev/null || { ((EUID != 0)) && ! sudo -n true 2>/dev/null; }; then
  echo "install: these packages are missing, and only root can install them: apt-get install $*" >&2
  exit 1
fi
echo "Installing $*" >&2
export DEBIAN_FRONTEND=noninteractive
${as_root[@]+"${as_root[@]}"} apt-get update -qq >&2
${as_root[@]+"${as_root[@]}"} apt-get install -qq --no-install-recommends "$@" >&2
