#!/usr/bin/env bash
# base-image.sh: the base image of the Dockerfile under its public name, made of packages of the distribution and the Rust toolchain of this machine, so
# that the same file builds where nothing can be pulled. Kept in buildah's storage.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
root=$(cd "$kit/../../.." && pwd)
tag=$(sed -n 's/^ARG RUST=//p' "$root/Dockerfile")
toolchain=$(rustc --print sysroot)
version=$(rustc --version)
[[ "$(cut -d' ' -f2 <<<"$version")" == "${tag%%-*}".* ]] || { say "the Dockerfile wants Rust ${tag%%-*}, this machine has $version"; exit 1; }
name=docker.io/library/rust:$tag
if [ "$(buildah inspect --type image --format '{{index .OCIv1.Config.Labels "tidelog.made-of"}}' "$name" 2>/dev/null)" = "$version" ]; then
  exit 0
fi
say "making $name"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
debootstrap --variant=minbase --include=ca-certificates,gcc,libc6-dev,make "${tag#*-}" "$work/root" >"$work/log" 2>&1 || { tail -n 5 "$work/log" >&2; exit 1; }
# Whom this machine trusts: what is fetched during a build may come by way of somebody else.
cp -L /etc/ssl/certs/ca-certificates.crt "$work/root/etc/ssl/certs/ca-certificates.crt"
mkdir -p "$work/root/usr/local/cargo/bin" "$work/root/usr/local/rust"
cp -r "$toolchain/bin" "$toolchain/lib" "$work/root/usr/local/rust/"
rm -rf "$work/root/var/cache/apt/archives" "$work/root/usr/local/rust/lib/rustlib/src"
container=$(buildah from scratch)
buildah copy -q "$container" "$work/root" / >/dev/null
buildah config --env CARGO_HOME=/usr/local/cargo --env PATH=/usr/local/rust/bin:/usr/local/cargo/bin:/usr/bin:/bin --label "tidelog.made-of=$version" "$container"
buildah commit -q --rm "$container" "$name" >/dev/null
