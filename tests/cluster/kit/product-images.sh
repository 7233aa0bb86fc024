#!/usr/bin/env bash
# product-images.sh: builds the Dockerfile without a daemon, and prints the folder with operator.tar, sidecar.tar and cli.tar. What was compiled before is used
# again.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
root=$(cd "$kit/../../.." && pwd)
"$kit/base-image.sh"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)
revision=$(git -C "$root" rev-parse HEAD 2>/dev/null || echo unknown)
out=$home/product
mkdir -p "$out"
for target in operator sidecar cli; do
  image=docker.io/tidelog/$target:$version
  buildah bud --isolation chroot --pull-never --layers --target "$target" --build-arg "REVISION=$revision" --timestamp 0 -t "$image" "$root" >&2
  rm -f "$out/$target.tar"
  buildah push -q "$image" "docker-archive:$out/$target.tar:$image" >&2
done
echo "$out"
