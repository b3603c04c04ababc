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
apt() { ${as_root[@]+"${as_root[@]}"} apt-get -qq -o DPkg::Lock::Timeout=600 "$@" >&2; }  # a new machine updates itself
for left in {9..0}; do  # an update waits for no lock
  if apt update; then break; elif ((left)); then sleep 10; else exit 1; fi
done
apt install --no-install-recommends "$@"
