#!/usr/bin/env bash
# Prints the path of grpcurl, which the commands of the guides use. Without one in PATH, the version below is built once with Go into .tools/.
# As root on a system with apt-get it installs Go when there is none; otherwise it says what to install. A Go that is too old for grpcurl, as
# that of Debian 12, fetches a newer one through its module proxy, checked against its checksum database, for this build only.
set -euo pipefail

version=v1.9.3
# The oldest Go that builds grpcurl, and the one that is fetched when there is only an older one.
oldest_minor=21
newer_go=1.24.11
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tools=${TIDELOG_TOOLS_DIR:-$root/.tools}

if command -v grpcurl >/dev/null 2>&1; then
  command -v grpcurl
  exit 0
fi

# The minor version of the Go in PATH; one that has no such number is a development version, so a new one.
minor_of_go() {
  local minor
  minor=$(go version 2>/dev/null | sed -n 's/^go version go1\.\([0-9][0-9]*\).*/\1/p')
  echo "${minor:-999}"
}

# Fetches the newer Go into folder $1. Go from 1.21 on does this by itself; the steps are the same: the module, whose files lost their
# permissions and whose go.mod files are renamed, because modules may hold neither.
fetch_go() {
  local folder=$1 toolchain found
  rm -rf "$folder"
  mkdir -p "$folder"
  toolchain=golang.org/toolchain@v0.0.1-go$newer_go.$(go env GOHOSTOS)-$(go env GOHOSTARCH)
  found=$(cd "$folder" && GO111MODULE=on GOFLAGS=-modcacherw GOMODCACHE=$folder/modules go mod download -json "$toolchain" \
    | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",*$/\1/p')
  # One after the other, since `if` takes `set -e` away from what it asks.
  [ -n "$found" ] && mv "$found" "$folder/go" && rm -rf "$folder/modules" \
    && find "$folder/go" -name _go.mod -execdir mv {} go.mod ';' \
    && chmod -R +x "$folder/go/bin" "$folder/go/pkg/tool"
}

if [ ! -x "$tools/bin/grpcurl" ]; then
  if ! command -v go >/dev/null 2>&1 && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "neither grpcurl nor Go found: installing Go with apt-get" >&2
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -q && apt-get install -y -q --no-install-recommends golang-go; } >&2 || true
  fi
  if ! command -v go >/dev/null 2>&1; then
    cat >&2 <<'MESSAGE'
grpcurl is needed to run the commands that the guides show, and is neither in PATH nor can be built: there is no Go.
Install one of them, then run the command again:
  grpcurl   https://github.com/fullstorydev/grpcurl#installation
  Go        https://go.dev/doc/install (1.21 or later), with which grpcurl is then built here
MESSAGE
    exit 1
  fi
  mkdir -p "$tools/bin"
  # Tests of several pages may ask at the same time: one builds, the others wait.
  exec 9>"$tools/grpcurl.lock"
  ! command -v flock >/dev/null 2>&1 || flock 9
  if [ ! -x "$tools/bin/grpcurl" ]; then
    go=go
    if [ "$(minor_of_go)" -lt "$oldest_minor" ]; then
      echo "$(go version) cannot build grpcurl: fetching Go $newer_go into $tools for it (about 80 MB)" >&2
      trap 'rm -rf "$tools/newer-go"' EXIT
      if ! fetch_go "$tools/newer-go" >&2; then
        echo "Go $newer_go could not be fetched; install Go 1.$oldest_minor or later, or grpcurl, or let \`go env GOPROXY\` name a module proxy that answers" >&2
        exit 1
      fi
      go=$tools/newer-go/go/bin/go
      # One that is set belongs to the old one; and the new one is not to look for another.
      unset GOROOT
      export GOTOOLCHAIN=local
    fi
    echo "grpcurl is not installed: building $version into $tools" >&2
    if ! (cd "$tools/bin" && GOFLAGS=-mod=mod GOBIN=$tools/bin "$go" install "github.com/fullstorydev/grpcurl/cmd/grpcurl@$version") >&2; then
      echo "grpcurl $version could not be built; it needs Go 1.$oldest_minor or later and a module proxy that answers" >&2
      exit 1
    fi
  fi
fi
echo "$tools/bin/grpcurl"
