#!/usr/bin/env bash
# Prints the folder that holds initdb, pg_ctl and postgres of the newest PostgreSQL on this machine, 14 or later.
# Looks at TIDELOG_POSTGRES_BIN, PATH and the places where distributions put it. As root on a system with apt-get it
# installs PostgreSQL when there is none; otherwise it says what to install. Nothing is started here.
set -euo pipefail

oldest_major=14
# Globs, newest wins. Replaced by the tests of this script.
search=${TIDELOG_POSTGRES_SEARCH-/usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/libexec/postgresql* /opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin}

# The major version of the PostgreSQL in folder $1; nothing when it is incomplete.
major_of() {
  local dir=$1 name
  for name in initdb pg_ctl postgres; do
    [ -x "$dir/$name" ] || return 0
  done
  "$dir/postgres" --version 2>/dev/null | sed -n 's/^postgres (PostgreSQL) \([0-9][0-9]*\).*/\1/p'
}

# All candidate folders, one per line. A link in PATH may point to one program of a complete folder.
candidates() {
  local name path dir
  [ -z "${TIDELOG_POSTGRES_BIN:-}" ] || echo "$TIDELOG_POSTGRES_BIN"
  for name in pg_ctl initdb postgres; do
    path=$(command -v "$name" || true)
    [ -n "$path" ] || continue
    dirname "$(readlink -f "$path")"
    dirname "$path"
  done
  for dir in $search; do
    [ ! -d "$dir" ] || echo "$dir"
  done
}

newest() {
  local dir major best="" best_major=0
  while read -r dir; do
    major=$(major_of "$dir")
    if [ -n "$major" ] && [ "$major" -ge "$oldest_major" ] && [ "$major" -gt "$best_major" ]; then
      best=$dir best_major=$major
    fi
  done < <(candidates)
  [ -n "$best" ] && echo "$best"
}

# A folder named by hand is used or refused, never replaced by another one in silence.
if [ -n "${TIDELOG_POSTGRES_BIN:-}" ]; then
  major=$(major_of "$TIDELOG_POSTGRES_BIN")
  if [ -z "$major" ] || [ "$major" -lt "$oldest_major" ]; then
    echo "TIDELOG_POSTGRES_BIN=$TIDELOG_POSTGRES_BIN: not a folder with initdb, pg_ctl and postgres >= $oldest_major" >&2
    echo "(found version: ${major:-none}); unset it to let PostgreSQL be searched" >&2
    exit 1
  fi
  echo "$TIDELOG_POSTGRES_BIN"
  exit 0
fi

if newest; then
  exit 0
fi

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "no PostgreSQL >= $oldest_major found: installing it with apt-get" >&2
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update -q && apt-get install -y -q --no-install-recommends postgresql; } >&2
  if newest; then
    exit 0
  fi
fi

cat >&2 <<MESSAGE
PostgreSQL $oldest_major or later is needed for the tests (the programs initdb, pg_ctl and postgres; no running server) and was not found.
Install it, then run the command again:
  Debian, Ubuntu   sudo apt-get install postgresql
  Fedora, RHEL     sudo dnf install postgresql-server
  Alpine           sudo apk add postgresql
  Arch             sudo pacman -S postgresql
  macOS            brew install postgresql@17
If it is in a place of its own, name the folder: TIDELOG_POSTGRES_BIN=/path/to/bin
MESSAGE
exit 1
