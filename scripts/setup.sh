#!/usr/bin/env bash
# Make or mend the virtual environment for a locked file (`setup.sh requirements.txt`); prints the path of its Python.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

about='import sys; print("%d.%d.%d" % sys.version_info[:3]); sys.exit(sys.version_info < (3, 11))'
candidates=(.venv/bin/python python3 python3.13 python3.12 python3.11)
if [[ -n "${PYTHON:-}" ]]; then candidates=("$PYTHON"); fi

found=
for python in "${candidates[@]}"; do
  if version=$("$python" -c "$about" 2>/dev/null); then exec "$python" -I scripts/environment.py "$@"; fi
  if [[ -n "$version" ]]; then found+="$python is $version, "; fi
done
found=${found:-${PYTHON:+$PYTHON is none, }}
echo "setup: Python 3.11 or newer is needed, but ${found:-there is none, }so install one, or name it: PYTHON=/path/to/python" >&2
exit 1
