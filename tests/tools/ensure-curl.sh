#!/usr/bin/env bash
# Prints the path of curl, with which the guides look at metrics and health.
# As root on a system with apt-get it installs one; otherwise it says what to install.
set -euo pipefail

if command -v curl; then
  exit 0
fi

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "no curl found: installing it with apt-get" >&2
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update -q && apt-get install -y -q --no-install-recommends curl; } >&2 || true
  if command -v curl; then
    exit 0
  fi
fi

cat >&2 <<'MESSAGE'
curl is needed to run the commands that the guides show, and is not in PATH.
Install it, then run the command again:
  Debian, Ubuntu   sudo apt-get install curl
  Fedora, RHEL     sudo dnf install curl
  Alpine           sudo apk add curl
  Arch             sudo pacman -S curl
  macOS            brew install curl
MESSAGE
exit 1
