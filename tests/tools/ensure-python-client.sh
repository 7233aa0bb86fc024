#!/usr/bin/env bash
# Prints the path of a python3 that has what docs/guides/python needs: a virtual environment below ~/.cache/tidelog/tools, filled once by pip.
# As root on a system with apt-get it installs Python when there is none; otherwise it says what to install.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tools=${TIDELOG_TOOLS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/tidelog/tools}
requirements=$root/docs/guides/python/requirements.txt
environment=$tools/python
# What was installed, to see that the requirements have changed since.
stamp=$environment/requirements.txt

is_current() {
  [ -x "$environment/bin/python3" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$(cat "$requirements")" ]
}

if ! is_current; then
  if ! python3 -c 'import ensurepip, venv' 2>/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "no python3 with venv found: installing it with apt-get" >&2
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -q && apt-get install -y -q --no-install-recommends python3 python3-venv; } >&2 || true
  fi
  if ! command -v python3 >/dev/null 2>&1; then
    cat >&2 <<'MESSAGE'
python3 (3.9 or later) is needed to run the Python client that the guides show, and is not in PATH.
Install it, then run the command again:
  Debian, Ubuntu   sudo apt-get install python3 python3-venv
  Fedora, RHEL     sudo dnf install python3
  macOS            brew install python
MESSAGE
    exit 1
  fi
  mkdir -p "$tools"
  # Tests of several pages may ask at the same time: one installs, the others wait.
  exec 9>"$tools/python.lock"
  ! command -v flock >/dev/null 2>&1 || flock 9
  if ! is_current; then
    echo "the Python client needs packages: installing them into $environment" >&2
    if ! python3 -m venv "$environment" >&2; then
      echo "no virtual environment could be made at $environment (Debian, Ubuntu: apt-get install python3-venv)" >&2
      exit 1
    fi
    if ! "$environment/bin/python3" -m pip install --quiet --disable-pip-version-check -r "$requirements" >&2; then
      echo "the packages of $requirements could not be installed; \`$environment/bin/python3 -m pip install -r $requirements\` shows why" >&2
      exit 1
    fi
    cp "$requirements" "$stamp"
  fi
fi
echo "$environment/bin/python3"
