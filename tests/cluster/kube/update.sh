#!/usr/bin/env bash
# update.sh VERSION: writes go.mod and go.sum for another version of Kubernetes, with the versions of everything else that it was released with.
# Then change KUBERNETES in ../kit/env.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
version=$1 staging=0.${1#1.}
upstream=$(go mod download -json "k8s.io/kubernetes@v$version" | sed -n 's/.*"GoMod": "\(.*\)",/\1/p')
{
  echo "module tidelog.dev/tests/cluster/kube"
  echo
  sed -n '/^go /p;/^godebug /p' "$upstream"
  echo
  echo "require k8s.io/kubernetes v$version"
  echo
  sed -n '/^require (/,/^)/p' "$upstream"
  echo
  # Its own parts live beside it in one repository, and are released as modules of their own.
  echo "replace ("
  sed -n 's#^[[:space:]]*\(k8s.io/[a-z0-9-]*\) => ./staging.*#\t\1 => \1 v'"$staging"'#p' "$upstream"
  echo ")"
} >go.mod
go mod tidy
