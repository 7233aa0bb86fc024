#!/bin/sh
# What the public image of PostgreSQL does with its environment, as far as it is used: makes the database in an empty PGDATA with POSTGRES_USER,
# POSTGRES_PASSWORD, POSTGRES_DB and POSTGRES_INITDB_ARGS, then runs the server. As whatever user it is started.
set -eu
: "${PGDATA:=/var/lib/postgresql/data}" "${POSTGRES_USER:=postgres}"
: "${POSTGRES_DB:=$POSTGRES_USER}"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  : "${POSTGRES_PASSWORD:?a new database needs POSTGRES_PASSWORD}"
  mkdir -p "$PGDATA"
  chmod 700 "$PGDATA"
  umask 077
  printf '%s\n' "$POSTGRES_PASSWORD" >/tmp/password
  # shellcheck disable=SC2086
  initdb --username="$POSTGRES_USER" --pwfile=/tmp/password --encoding=UTF8 --locale=C.UTF-8 ${POSTGRES_INITDB_ARGS:-} -D "$PGDATA"
  rm /tmp/password
  echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
  # Not reachable by others until it is complete.
  pg_ctl -D "$PGDATA" -w -o "-c listen_addresses=" start
  [ "$POSTGRES_DB" = postgres ] || echo "CREATE DATABASE \"$POSTGRES_DB\"" | psql -q -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d postgres
  pg_ctl -D "$PGDATA" -m fast -w stop
fi
[ $# -gt 0 ] || set -- postgres
if [ "$1" = postgres ]; then
  shift
  set -- postgres -c "listen_addresses=*" "$@"
fi
exec "$@"
