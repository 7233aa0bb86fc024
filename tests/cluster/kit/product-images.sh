#!/usr/bin/env bash
# product-images.sh [--quick|--twice|--where]: images of operator, sidecar and command line as files; prints their folder, which holds the programs as well.
# What was compiled before is used again.
#   without    the Dockerfile, built without a daemon: what is released. Tells sizes; ends with an error when an image is not what the chart relies on
#   --twice    the same, and then once more from nothing but the sources and the base image: ends with an error when other images come out
#   --quick    programs of this machine's own build, without optimisation: for playing, and while writing tests
#   --where    only prints the folder
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
root=$(cd "$kit/../../.." && pwd)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)
out=$home/product
mkdir -p "$out"
if [ "${1:-}" = --where ]; then
  echo "$out"
  exit 0
fi

# Programs and images of all three, with the arguments given to buildah.
# (Without --layers: buildah takes a label for the same when only what an argument says has changed. What was compiled is used again all the same.)
build() {
  local target image
  for target in operator sidecar cli; do
    image=docker.io/tidelog/$target:$version
    buildah bud --isolation chroot --pull-never --timestamp "$time" --target "$target" --build-arg "REVISION=$revision" --build-arg "VERSION=$version" "$@" -t "$image" "$root" >&2
  done
}
# What an image is: its content, its settings, the programs in it.
identity() {
  buildah inspect --type image --format '{{.FromImageDigest}}' "docker.io/tidelog/$1:$version"
}
# Fails unless an image is one of a program alone, run by nobody, that says what it is.
check() {
  local target=$1 image=docker.io/tidelog/$1:$version said size
  said=$(buildah inspect --type image --format '{{.OCIv1.Config.User}} {{index .OCIv1.Config.Labels "org.opencontainers.image.version"}} {{index .OCIv1.Config.Labels "org.opencontainers.image.revision"}}' "$image")
  [ "$said" = "65532:65532 $version $revision" ] || { say "image $target: user, version and revision are $said"; exit 1; }
  size=$(gzip -6 <"$out/$target.tar" | wc -c)
  say "figure: image $target has $((size / 100000 / 10)).$((size / 100000 % 10)) MB compressed"
  [ "$size" -lt 30000000 ] || { say "image $target has more than 30 MB"; exit 1; }
}

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
    cp "$folder/$host/debug/$program" "$out/"
    "$kit/image.sh" "docker.io/tidelog/$target:$version" "$work/$target" "{\"Entrypoint\": [\"/$program\"], \"User\": \"65532:65532\"}" "$out/$target.tar"
  done
else
  "$kit/base-image.sh"
  revision=$(git -C "$root" rev-parse HEAD 2>/dev/null || echo unknown)
  # Of the last change, so that the same sources give the same image.
  time=$(git -C "$root" log -1 --format=%ct 2>/dev/null || echo 0)
  build
  for target in operator sidecar cli; do
    image=docker.io/tidelog/$target:$version
    rm -f "$out/$target.tar"
    buildah push -q "$image" "docker-archive:$out/$target.tar:$image" >&2
    container=$(buildah from --pull-never "$image")
    program=tidelog-$target
    [ "$target" != cli ] || program=tidelog
    cp "$(buildah mount "$container")/$program" "$out/$program"
    buildah rm "$container" >/dev/null
    check "$target"
  done
  if [ "${1:-}" = --twice ]; then
    declare -A first
    for target in operator sidecar cli; do first[$target]=$(identity "$target"); done
    # Where buildah keeps what RUN --mount=type=cache names.
    rm -rf "${TMPDIR:-/var/tmp}"/buildah-cache{,-"$(id -u)"}
    build
    for target in operator sidecar cli; do
      [ "$(identity "$target")" = "${first[$target]}" ] || { say "image $target is another one when built again: ${first[$target]}, $(identity "$target")"; exit 1; }
      say "image $target is the same when built again: ${first[$target]}"
    done
  fi
fi
echo "$out"
