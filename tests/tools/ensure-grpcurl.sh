#!/usr/bin/env bash
# Prints the path of grpcurl, which the commands of the guides use. Without one in PATH, the version below is built once with Go into ~/.cache/tidelog/tools.
set -euo pipefail

version=v1.9.3
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tools=${TIDELOG_TOOLS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/tidelog/tools}

if command -v grpcurl >/dev/null 2>&1; then
  command -v grpcurl
  exit 0
fi

if [ ! -x "$tools/bin/grpcurl" ]; then
  mkdir -p "$tools/bin"
  # Tests of several pages may ask at the same time: one builds, the others wait.
  exec 9>"$tools/grpcurl.lock"
  ! command -v flock >/dev/null 2>&1 || flock 9
  if [ ! -x "$tools/bin/grpcurl" ]; then
    if ! go=$("$here/ensure-go.sh"); then
      echo "grpcurl is needed to run the commands that the guides show; without Go, install it: https://github.com/fullstorydev/grpcurl#installation" >&2
      exit 1
    fi
    if [ "$go" != "$(command -v go)" ]; then
      # One that is set belongs to the old one; and the new one is not to look for another.
      unset GOROOT
      export GOTOOLCHAIN=local
    fi
    echo "grpcurl is not installed: building $version into $tools" >&2
    if ! (cd "$tools/bin" && GOFLAGS=-mod=mod GOBIN=$tools/bin "$go" install "github.com/fullstorydev/grpcurl/cmd/grpcurl@$version") >&2; then
      echo "grpcurl $version could not be built; it needs Go 1.21 or later and a module proxy that answers" >&2
      exit 1
    fi
  fi
fi
echo "$tools/bin/grpcurl"
