#!/usr/bin/env bash
# images.sh: the images that every cluster of the kit has, as files in its folder. Nothing is pulled: they are made of programs of this machine.
#   localhost/pause, localhost/coredns, localhost/busybox    what a node needs, and a shell
#   localhost/cert-manager                                   its controllers, for who asks for them
#   docker.io/library/postgres:MAJOR                         PostgreSQL of the distribution under the name of the public image
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
images=$home/images
mkdir -p "$images"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# $1 and every library it is linked with, into the folder $2, at the same paths.
take() {
  local program=$1 root=$2 file
  mkdir -p "$root$(dirname "$program")"
  cp -L "$program" "$root$program"
  for file in $(ldd "$program" 2>/dev/null | grep -o '/[^ ]*'); do
    [ ! -e "$root$file" ] || continue
    mkdir -p "$root$(dirname "$file")"
    cp -L "$file" "$root$file"
  done
}

# The shell and its tools as /bin of folder $1.
busybox() {
  mkdir -p "$1/bin" "$1/tmp"
  chmod 1777 "$1/tmp"
  cp /bin/busybox "$1/bin/"
  local name
  for name in $(/bin/busybox --list | grep -vx busybox); do ln -sf busybox "$1/bin/$name"; done
}

if [ ! -f "$images/pause.tar" ]; then
  mkdir "$work/pause"
  "$("$kit/../../tools/ensure-cc.sh")" -static -Os -s -o "$work/pause/pause" "$kit/images/pause.c"
  "$kit/image.sh" localhost/pause:1 "$work/pause" '{"Entrypoint": ["/pause"]}' "$images/pause.tar"
fi
if [ ! -f "$images/busybox.tar" ]; then
  busybox "$work/busybox"
  "$kit/image.sh" localhost/busybox:1 "$work/busybox" '{"Entrypoint": ["/bin/sh"], "Env": ["PATH=/bin"]}' "$images/busybox.tar"
fi
if [ ! -f "$images/coredns-$COREDNS.tar" ]; then
  mkdir "$work/coredns"
  cp "$bin/coredns" "$work/coredns/"
  "$kit/image.sh" localhost/coredns:1 "$work/coredns" '{"Entrypoint": ["/coredns"]}' "$images/coredns-$COREDNS.tar"
fi
if [ ! -f "$images/cert-manager-$CERT_MANAGER.tar" ]; then
  mkdir "$work/cert-manager"
  cp "$home/cert-manager-$CERT_MANAGER/cert-manager" "$work/cert-manager/"
  "$kit/image.sh" localhost/cert-manager:1 "$work/cert-manager" '{"Entrypoint": ["/cert-manager"]}' "$images/cert-manager-$CERT_MANAGER.tar"
fi
if [ ! -f "$images/postgres-$POSTGRES.tar" ]; then
  programs=$("$kit/../../tools/ensure-postgres.sh")
  [ -x "/usr/lib/postgresql/$POSTGRES/bin/postgres" ] && programs=/usr/lib/postgresql/$POSTGRES/bin
  major=$("$programs/postgres" --version | sed 's/.* \([0-9]*\)\..*/\1/')
  if [ "$major" != "$POSTGRES" ]; then
    say "PostgreSQL $POSTGRES is asked for (tests/cluster/kit/env.sh), this machine has $major"
    exit 1
  fi
  root=$work/postgres
  busybox "$root"
  for name in initdb pg_ctl pg_isready postgres psql; do take "$programs/$name" "$root"; done
  for module in "$(dirname "$programs")"/lib/{dict_snowball,plpgsql}.so; do take "$module" "$root"; done
  mkdir -p "$root/usr/share/postgresql" "$root/usr/share" "$root/var/run/postgresql" "$root/var/lib/postgresql" "$root/etc" "$root/usr/local/bin"
  cp -r "/usr/share/postgresql/$POSTGRES" "$root/usr/share/postgresql/"
  rm -rf "$root/usr/share/postgresql/$POSTGRES/man"
  cp -r /usr/share/zoneinfo "$root/usr/share/" 2>/dev/null || true
  mkdir -p "$root/usr/lib/locale"
  cp -r /usr/lib/locale/C.utf8 "$root/usr/lib/locale/"
  # As in the public image: user and group 999.
  echo "postgres:x:999:999::/var/lib/postgresql:/bin/sh" >"$root/etc/passwd"
  echo "postgres:x:999:" >"$root/etc/group"
  cp "$kit/images/postgres-entrypoint" "$root/usr/local/bin/docker-entrypoint.sh"
  chmod 755 "$root/usr/local/bin/docker-entrypoint.sh"
  "$kit/image.sh" "docker.io/library/postgres:$POSTGRES" "$root" \
    "{\"Entrypoint\": [\"/usr/local/bin/docker-entrypoint.sh\"], \"Cmd\": [\"postgres\"], \"StopSignal\": \"SIGINT\", \"User\": \"999:999\",
      \"Env\": [\"PATH=/usr/local/bin:/bin:$programs\", \"PGDATA=/var/lib/postgresql/data\", \"LANG=C.UTF-8\"]}" "$images/postgres-$POSTGRES.tar"
fi
say "images: $images"
