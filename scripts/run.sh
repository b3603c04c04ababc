#!/usr/bin/env bash
# Start Docket. The first start installs what it needs into .venv; .env.example names the settings.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

python=$(scripts/setup.sh requirements.txt)
exec "$python" -m server serve "$@"
