#!/usr/bin/env bash
# Makes sure that a C compiler is there: SQLite, BLAKE3 and ring are compiled from C and assembly.
# As root on a system with apt-get it installs one; otherwise it says what to install.
set -euo pipefail

find_compiler() {
  local name
  for name in ${CC:-} cc gcc clang; do
    if command -v "$name" >/dev/null 2>&1; then
      command -v "$name"
      return 0
    fi
  done
  return 1
}

if find_compiler; then
  exit 0
fi

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "no C compiler found: installing gcc with apt-get" >&2
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update -q && apt-get install -y -q --no-install-recommends gcc libc6-dev; } >&2
  if find_compiler; then
    exit 0
  fi
fi

cat >&2 <<'MESSAGE'
A C compiler is needed (SQLite, BLAKE3 and ring are built from source) and none of cc, gcc, clang is in PATH.
Install one, then run the command again:
  Debian, Ubuntu   sudo apt-get install gcc libc6-dev
  Fedora, RHEL     sudo dnf install gcc
  Alpine           sudo apk add gcc musl-dev
  Arch             sudo pacman -S gcc
  macOS            xcode-select --install
MESSAGE
exit 1
