#!/usr/bin/env bash
# Run a command with DATABASE_URL naming Debian's PostgreSQL: a server of its own behind a socket, gone afterwards. The
# role has a password, and no right but to make databases.
set -euo pipefail

shopt -s nullglob
found=(/usr/lib/postgresql/*/bin)
if ((${#found[@]} == 0)); then "$(dirname "$(readlink -f "$0")")/install.sh" postgresql; found=(/usr/lib/postgresql/*/bin); fi
bin=${found[${#found[@]} - 1]}

folder=$(mktemp -d -t docket-XXXXXX)
as_server=()  # PostgreSQL does not run for root
if ((EUID == 0)); then as_server=(runuser -u postgres --); chown postgres "$folder"; fi
server() { (cd "$folder" && ${as_server[@]+"${as_server[@]}"} "$@"); }
trap 'server "$bin/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null || true; rm -rf "$folder"' EXIT
chmod 0755 "$folder"

server "$bin/initdb" -D "$folder/data" --auth=peer --encoding=UTF8 --locale=C.UTF-8 --no-sync >/dev/null
server sed -i '1i local all docket scram-sha-256' "$folder/data/pg_hba.conf"
settings="-c listen_addresses= -c unix_socket_directories=$folder -c fsync=off -c full_page_writes=off -c max_connections=200"
server "$bin/pg_ctl" -D "$folder/data" -l "$folder/log" -o "$settings" -w start >/dev/null
server "$bin/psql" -qX -h "$folder" -d postgres \
  -c "CREATE ROLE docket LOGIN CREATEDB PASSWORD 'a-secret'" -c 'CREATE DATABASE docket OWNER docket'

DATABASE_URL="postgresql://docket:a-secret@/docket?host=$folder" "$@"
