#!/usr/bin/env bash
# image.sh NAME ROOT CONFIG FILE: the folder ROOT as an image of one layer, written to FILE in the form of `docker save`. CONFIG is the inner part of the
# image's configuration, JSON: {"Entrypoint": [...], "User": "..."}. The same input gives the same file.
set -euo pipefail
name=$1 root=$2 config=$3 file=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$root" -cf "$work/layer.tar" .
layer=$(sha256sum <"$work/layer.tar" | cut -d' ' -f1)
case $(uname -m) in
  x86_64) architecture=amd64 ;;
  aarch64) architecture=arm64 ;;
  *) architecture=$(uname -m) ;;
esac
cat >"$work/config.json" <<JSON
{"architecture": "$architecture", "os": "linux", "created": "1970-01-01T00:00:00Z", "config": $config,
 "rootfs": {"type": "layers", "diff_ids": ["sha256:$layer"]}, "history": [{"created_by": "image.sh"}]}
JSON
printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]\n' "$name" >"$work/manifest.json"
tar --sort=name --mtime=@0 --owner=0 --group=0 -C "$work" -cf "$file.new" manifest.json config.json layer.tar
mv "$file.new" "$file"
