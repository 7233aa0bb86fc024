#!/usr/bin/env bash
# Versions that were tried together, and where they are kept: outside of the checkout, because building them takes minutes.
# Sourced by the other scripts.
# shellcheck disable=SC2034
set -euo pipefail
KUBERNETES=1.36.3
HELM=4.3.1
CONTAINERD=2.3.7
COREDNS=1.14.6
# That of ../cert-manager/go.mod.
CERT_MANAGER=1.21.2
# Major version of the PostgreSQL that runs in pods: that of Debian 12.
POSTGRES=15

kit=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
home=${TIDELOG_CLUSTER_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/tidelog/kubernetes-$KUBERNETES}
bin=$home/bin

say() { echo "kit: $*" >&2; }

# Debian's packages $@, installed when one of them is missing.
packages() {
  local package missing=()
  for package; do
    dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" != 0 ]; then
    say "missing: ${missing[*]}; install them, or run this as root on a system with apt-get"
    return 1
  fi
  say "installing ${missing[*]}"
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends --no-remove "${missing[@]}"; } >&2
}
