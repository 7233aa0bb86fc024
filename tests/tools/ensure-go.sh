#!/usr/bin/env bash
# Prints the path of a Go that builds what the tests need. As root on a system with apt-get it installs Go when there is none. One older than 1.21, as that of
# Debian 12, fetches a newer one through its module proxy, checked against its checksum database, into ~/.cache/tidelog/tools; one from 1.21 on fetches what
# a module asks for by itself.
set -euo pipefail

oldest_minor=21
newer=1.26.3
tools=${TIDELOG_TOOLS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/tidelog/tools}

# The minor version of the Go in PATH; one that has no such number is a development version, so a new one.
minor_of_go() {
  local minor
  minor=$(go version 2>/dev/null | sed -n 's/^go version go1\.\([0-9][0-9]*\).*/\1/p')
  echo "${minor:-999}"
}

if ! command -v go >/dev/null 2>&1 && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "no Go found: installing it with apt-get" >&2
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update -q && apt-get install -y -q --no-install-recommends golang-go; } >&2 || true
fi
if ! command -v go >/dev/null 2>&1; then
  echo "Go 1.$oldest_minor or later is needed, and there is none: https://go.dev/doc/install" >&2
  exit 1
fi
if [ "$(minor_of_go)" -ge "$oldest_minor" ]; then
  command -v go
  exit 0
fi

mkdir -p "$tools"
exec 8>"$tools/go.lock"
! command -v flock >/dev/null 2>&1 || flock 8
if [ ! -x "$tools/go-$newer/bin/go" ]; then
  echo "$(go version) is too old: fetching Go $newer into $tools (about 80 MB)" >&2
  folder=$tools/go-fetch
  trap 'rm -rf "$folder"' EXIT
  rm -rf "$folder"
  mkdir -p "$folder"
  toolchain=golang.org/toolchain@v0.0.1-go$newer.$(go env GOHOSTOS)-$(go env GOHOSTARCH)
  found=$(cd "$folder" && GO111MODULE=on GOFLAGS=-modcacherw GOMODCACHE=$folder/modules go mod download -json "$toolchain" \
    | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",*$/\1/p') || found=
  if [ -z "$found" ]; then
    echo "Go $newer could not be fetched; install Go 1.$oldest_minor or later, or let \`go env GOPROXY\` name a module proxy that answers" >&2
    exit 1
  fi
  # A module may hold neither go.mod files nor permissions: Go from 1.21 on mends both in the same way.
  find "$found" -name _go.mod -execdir mv {} go.mod ';'
  chmod -R +x "$found/bin" "$found/pkg/tool"
  rm -rf "${tools:?}/go-$newer"
  mv "$found" "$tools/go-$newer"
fi
echo "$tools/go-$newer/bin/go"
