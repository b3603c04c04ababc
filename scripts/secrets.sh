#!/usr/bin/env bash
# Make what compose.yaml wants in the folder `secrets` and is not there yet: random secrets, and a certificate for a trial
# at https://localhost, which that of your host replaces. The folder is made where it is started.
set -euo pipefail

umask 077  # no other account enters the folder; the containers get its files, under accounts of their own
mkdir -p secrets && cd secrets
for name in secret_key postgres_password metrics_token; do
  if [[ ! -e $name ]]; then
    openssl rand -hex 32 | tr -d '\n' >"$name.new"
    mv "$name.new" "$name"
  fi
done
if [[ ! -e redis_url ]]; then
  password=$(openssl rand -hex 32)
  printf 'requirepass %s\n' "$password" >redis_conf
  printf 'redis://:%s@redis:6379/0' "$password" >redis_url.new
  mv redis_url.new redis_url  # last, so that the one is never without the other
fi
if [[ ! -e tls_key ]]; then
  openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
    -keyout tls_key.new -out tls_certificate 2>/dev/null
  mv tls_key.new tls_key  # last, so that the one is never without the other
fi
chmod 0444 ./*
