#!/usr/bin/env bash
# Build the image where there is no Docker, and lay it into a new FOLDER: `root` is its files, `image.json` how it is run.
# Debian's buildah does it, as root, upon a base that debootstrap makes as debian:bookworm-slim is made; the base is kept.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
target=${1:?'Which folder? scripts/image.sh FOLDER'}

missing=()
for program in buildah debootstrap; do
  if ! PATH="$PATH:/usr/sbin" command -v "$program" >/dev/null; then missing+=("$program"); fi
done
if ((${#missing[@]})); then scripts/install.sh "${missing[@]}"; fi

base=docker.io/library/debian:bookworm-slim
store=${TMPDIR:-/var/tmp}/docket-images  # of our own: no other build takes our base for the real one
export BUILDAH_ISOLATION=chroot
image() { command buildah --root "$store/root" --runroot "$store/run" --storage-driver vfs "$@"; }
folder=$(mktemp -d -t docket-XXXXXX)
trap 'rm -rf "$folder"' EXIT

if ! image inspect --type image "$base" >/dev/null 2>&1; then
  debootstrap --variant=minbase bookworm "$folder/base" >&2
  left_out=(doc info locale man)
  printf 'path-exclude /usr/share/%s/*\n' "${left_out[@]}" >"$folder/base/etc/dpkg/dpkg.cfg.d/docker"
  for name in "${left_out[@]}"; do rm -rf "$folder/base/usr/share/$name"; done
  rm -rf "$folder"/base/var/{cache/apt,lib/apt/lists,log}/*
  container=$(image from scratch)
  image add --quiet "$container" "$folder/base" / >/dev/null
  image commit --quiet --rm "$container" "$base" >/dev/null
fi

behind_a_mirror=()
if [[ -n "${PIP_INDEX_URL:-}" ]]; then behind_a_mirror+=(--build-arg "PIP_INDEX_URL=$PIP_INDEX_URL"); fi
if [[ -n "${PIP_CERT:-}" ]]; then
  behind_a_mirror+=(--volume "$PIP_CERT:/run/pip.crt:ro" --build-arg PIP_CERT=/run/pip.crt)
fi
image bud --format docker --pull-never "${behind_a_mirror[@]}" --tag docket . >&2

container=$(image from --pull-never docket)
mkdir -p "$target"
cp --archive "$(image mount "$container")" "$target/root"
image inspect --type image docket >"$target/image.json"
image rm "$container" >/dev/null
image rmi --prune >/dev/null  # what the image before was
