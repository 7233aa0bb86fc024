#!/usr/bin/env bash
# Prints the path of a python3 that has what docs/guides/python needs: a virtual environment below .tools/, filled once by pip.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tools=${TIDELOG_TOOLS_DIR:-$root/.tools}
requirements=$root/docs/guides/python/requirements.txt
environment=$tools/python
# What was installed, to see that the requirements have changed since.
stamp=$environment/requirements.txt

if ! cmp -s "$requirements" "$stamp"; then
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
  if ! cmp -s "$requirements" "$stamp"; then
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
