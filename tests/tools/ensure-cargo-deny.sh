#!/usr/bin/env bash
# Prints the path of cargo-deny. Without one in PATH, the version below is built once (about a minute) into
# ~/.cache/tidelog/tools, which all checkouts share.
set -euo pipefail

version=0.20.2
tools=${TIDELOG_TOOLS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/tidelog/tools}

if command -v cargo-deny >/dev/null 2>&1; then
  command -v cargo-deny
  exit 0
fi

if [ ! -x "$tools/bin/cargo-deny" ] || [ "$("$tools/bin/cargo-deny" --version)" != "cargo-deny $version" ]; then
  echo "cargo-deny is not installed: building version $version into $tools" >&2
  # A debug build: it checks in a second or two, and compiles in a third of the time. Its own target folder keeps the
  # workspace's one free of it.
  if ! cargo install cargo-deny --version "$version" --locked --debug --root "$tools" --target-dir "$tools/build" >&2; then
    echo "cargo-deny $version could not be built; \`cargo install cargo-deny --locked\` shows why" >&2
    exit 1
  fi
  rm -rf "$tools/build"
fi
echo "$tools/bin/cargo-deny"
