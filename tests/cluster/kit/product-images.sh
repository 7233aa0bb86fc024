#!/usr/bin/env bash
# product-images.sh [--quick]: images of operator, sidecar and command line as files; prints their folder. What was compiled before is used again.
#   without    the Dockerfile, built without a daemon: what is released
#   --quick    programs of this machine's own build, without optimisation: for playing, and while writing tests
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
root=$(cd "$kit/../../.." && pwd)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)
out=$home/product
mkdir -p "$out"

if [ "${1:-}" = --quick ]; then
  host=$(rustc -vV | sed -n 's/^host: //p')
  folder=${CARGO_TARGET_DIR:-$root/target}/static
  (cd "$root" && RUSTFLAGS="-C target-feature=+crt-static -C strip=debuginfo" CARGO_TARGET_DIR=$folder \
    cargo build --locked --target "$host" -p tidelog-operator -p tidelog-sidecar -p tidelog-cli) >&2
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  for target in operator sidecar cli; do
    program=tidelog-$target
    [ "$target" != cli ] || program=tidelog
    mkdir -p "$work/$target/etc/ssl/certs"
    cp /etc/ssl/certs/ca-certificates.crt "$work/$target/etc/ssl/certs/"
    cp "$folder/$host/debug/$program" "$work/$target/"
    "$kit/image.sh" "docker.io/tidelog/$target:$version" "$work/$target" "{\"Entrypoint\": [\"/$program\"], \"User\": \"65532:65532\"}" "$out/$target.tar"
  done
else
  "$kit/base-image.sh"
  revision=$(git -C "$root" rev-parse HEAD 2>/dev/null || echo unknown)
  for target in operator sidecar cli; do
    image=docker.io/tidelog/$target:$version
    buildah bud --isolation chroot --pull-never --layers --target "$target" --build-arg "REVISION=$revision" -t "$image" "$root" >&2
    rm -f "$out/$target.tar"
    buildah push -q "$image" "docker-archive:$out/$target.tar:$image" >&2
  done
fi
echo "$out"
