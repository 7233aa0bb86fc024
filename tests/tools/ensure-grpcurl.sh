#!/usr/bin/env bash
# Prints the path of grpcurl, which the commands of the guides use. Without one in PATH, the version below is built once with Go into .tools/.
# As root on a system with apt-get it installs Go when there is none; otherwise it says what to install.
set -euo pipefail

version=v1.9.3
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tools=${TIDELOG_TOOLS_DIR:-$root/.tools}

if command -v grpcurl >/dev/null 2>&1; then
  command -v grpcurl
  exit 0
fi

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
    echo "grpcurl is not installed: building $version into $tools" >&2
    # Outside of the checkout: its modules are none of Go's business.
    if ! (cd "$tools/bin" && GOFLAGS=-mod=mod GOBIN=$tools/bin go install "github.com/fullstorydev/grpcurl/cmd/grpcurl@$version") >&2; then
      echo "grpcurl $version could not be built; it needs Go 1.21 or later and a module proxy that answers" >&2
      exit 1
    fi
  fi
fi
echo "$tools/bin/grpcurl"
