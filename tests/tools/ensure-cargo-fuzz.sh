#!/usr/bin/env bash
# Prints the path of cargo-fuzz, which builds the fuzz targets with libFuzzer. Without one in PATH, the version below is built once (about a
# minute) into ~/.cache/tidelog/tools, which all checkouts share.
# libFuzzer itself is C++: as root on a system with apt-get a missing compiler is installed; otherwise it says what to install.
set -euo pipefail

version=0.13.2
tools=${TIDELOG_TOOLS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/tidelog/tools}

has_cxx() {
  local name
  for name in ${CXX:-} c++ g++ clang++; do
    ! command -v "$name" >/dev/null 2>&1 || return 0
  done
  return 1
}

if ! has_cxx && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "no C++ compiler found: installing g++ with apt-get" >&2
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update -q && apt-get install -y -q --no-install-recommends g++; } >&2 || true
fi
if ! has_cxx; then
  cat >&2 <<'MESSAGE'
A C++ compiler is needed (libFuzzer is built from source) and none of c++, g++, clang++ is in PATH.
Install one, then run the command again:
  Debian, Ubuntu   sudo apt-get install g++
  Fedora, RHEL     sudo dnf install gcc-c++
  Alpine           sudo apk add g++
  Arch             sudo pacman -S gcc
  macOS            xcode-select --install
MESSAGE
  exit 1
fi

if command -v cargo-fuzz >/dev/null 2>&1; then
  command -v cargo-fuzz
  exit 0
fi

if [ ! -x "$tools/bin/cargo-fuzz" ] || [ "$("$tools/bin/cargo-fuzz" --version)" != "cargo-fuzz $version" ]; then
  echo "cargo-fuzz is not installed: building version $version into $tools" >&2
  # A debug build: it only calls cargo. Its own target folder keeps the workspace's one free of it.
  if ! cargo install cargo-fuzz --version "$version" --locked --debug --root "$tools" --target-dir "$tools/build" >&2; then
    echo "cargo-fuzz $version could not be built; \`cargo install cargo-fuzz --locked\` shows why, and what is in PATH is taken as it is" >&2
    exit 1
  fi
  rm -rf "$tools/build"
fi
echo "$tools/bin/cargo-fuzz"
