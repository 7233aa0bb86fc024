#!/usr/bin/env bash
# Whole clusters on this machine, each with one node in its own network, mount and process namespaces, joined by a bridge. As root.
#   cluster.sh up NAME N         makes or starts cluster NAME as number N (1 to 9), node 10.77.0.1N; its data stays when it goes down
#   cluster.sh running NAME      whether it runs
#   cluster.sh kubeconfig NAME   prints the path of its kubeconfig
#   cluster.sh load NAME FILE    brings an image (`docker save` form) into it
#   cluster.sh run NAME CMD...   runs a command in its namespaces
#   cluster.sh kill|stop|start NAME DAEMON
#                                crashes a daemon (it comes back), keeps it down, lets it come back; DAEMON is one of etcd, containerd, kube-apiserver,
#                                kube-controller-manager, kube-scheduler, kubelet, kube-proxy
#   cluster.sh freeze|thaw NAME  the whole cluster, pods included, stands still, goes on
#   cluster.sh cut A B           drops every frame between two clusters; this machine still reaches both
#   cluster.sh heal              ends all cuts
#   cluster.sh copy-volumes|restore-volumes NAME
#                                while it is down: keeps a copy of all volumes, puts it back
#   cluster.sh recycle NAME      volumes that nobody claims any more are empty and free again
#   cluster.sh cert-manager NAME brings cert-manager into it
#   cluster.sh down|wipe NAME    ends it; also forgets its data
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
usage() {
  sed -n '2,18p' "${BASH_SOURCE[0]}" | sed 's/^# \{0,1\}//' >&2
  exit 2
}
command=${1:-} name=${2:-}
case $command in
  up | running | kubeconfig | load | run | kill | stop | start | freeze | thaw | cut | copy-volumes | restore-volumes | recycle | cert-manager | down | wipe) [ -n "$name" ] || usage ;;
  heal) ;;
  *) usage ;;
esac
# Part of a path that is removed.
[[ $name =~ ^([a-z][a-z0-9-]{0,10})?$ ]] || { say "$name is no name of a cluster: up to eleven lower-case letters, digits and '-'"; exit 2; }
[ "$(id -u)" = 0 ] || { say "a whole cluster needs root: namespaces, a bridge, mounts"; exit 1; }
directory=$home/clusters/$name
bridge=tidelog0

# What a cluster is killed by: the process that holds its namespaces, and the first process inside of them.
# Only while it is that process: after a restart of the machine its number is somebody else's.
outer() {
  local pid
  pid=$(cat "$directory/outer.pid" 2>/dev/null) || return 0
  ! grep -qaF "$kit/node.sh" "/proc/$pid/cmdline" 2>/dev/null || echo "$pid"
}
inner() { pgrep -P "$(outer)" 2>/dev/null; }
inside() { nsenter -t "$(inner)" -n -m -p -u "$@"; }
kubectl() { "$bin/kubectl" --kubeconfig "$directory/pki/admin.kubeconfig" "$@"; }
# With a time limit: try SECONDS WHAT COMMAND...
try() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      say "$name: $what takes too long; see $directory/log"
      return 1
    fi
    sleep 0.2
  done
}

# The node's last sign of life is younger than this start: on old data `Ready` alone is stale.
node_is_ready() {
  local renewed
  renewed=$(kubectl -n kube-node-lease get lease "node-$name" -o 'jsonpath={.spec.renewTime}') || return 1
  [[ $renewed > $1 ]] && kubectl get node "node-$name" | grep -qw Ready
}

up() {
  local number=${1:-} node service begun
  [[ $number =~ ^[1-9]$ ]] || usage
  if [ -n "$(outer)" ] && kill -0 "$(outer)" 2>/dev/null; then
    say "$name runs already"
    return
  fi
  if [ ! -d /sys/fs/cgroup/cpu ]; then
    say "these clusters need cgroup v1; elsewhere use kind or k3d, and name their contexts (tests/cluster/README.md)"
    exit 1
  fi
  begun=$(date -u +%Y-%m-%dT%H:%M:%S) node=10.77.0.1$number service=10.9$number.0
  mkdir -p "$directory/log"
  "$kit/pki.sh" "$directory/pki" "$name" "$node" "$service.1" 6443
  if ! ip link show "$bridge" >/dev/null 2>&1; then
    ip link add "$bridge" type bridge
    ip addr add 10.77.0.1/24 dev "$bridge"
    ip link set "$bridge" up
  fi
  ip netns add "tidelog-$name"
  ip link add "tl-$name" type veth peer name eth0 netns "tidelog-$name"
  ip link set "tl-$name" master "$bridge" up
  nsenter --net="/run/netns/tidelog-$name" sh -c "ip link set lo up; ip addr add $node/24 dev eth0; ip link set eth0 up; ip route add default via 10.77.0.1"
  setsid nohup nsenter --net="/run/netns/tidelog-$name" unshare --mount --uts --pid --fork --mount-proc --kill-child \
    "$kit/node.sh" "$name" "$number" >"$directory/log/node.log" 2>&1 </dev/null &
  # nsenter becomes unshare, whose one child is the first process of the cluster.
  echo $! >"$directory/outer.pid"
  try 90 "the node" node_is_ready "$begun"
  sed "s/CLUSTER_DNS/$service.10/" "$kit/dns.yaml" | kubectl apply -f - >/dev/null
  volumes 20 | kubectl apply -f - >/dev/null
  kubectl -n kube-system rollout status daemonset/coredns --timeout=90s >/dev/null
}

# A default storage class and $1 volumes, which honour fsGroup (hostPath does not).
volumes() {
  cat <<YAML
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: local, annotations: {storageclass.kubernetes.io/is-default-class: "true"}}
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: WaitForFirstConsumer
YAML
  local i
  for ((i = 1; i <= $1; i++)); do
    mkdir -p "$directory/disk/volumes/$i"
    cat <<YAML
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: volume-$i}
spec:
  capacity: {storage: 20Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: local
  persistentVolumeReclaimPolicy: Retain
  local: {path: /var/lib/volumes/$i}
  nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [node-$name]}]}]}}
YAML
  done
}

down() {
  local first freezer=/sys/fs/cgroup/freezer/tidelog-$name
  [ ! -e "$freezer/freezer.state" ] || echo THAWED >"$freezer/freezer.state"
  first=$(inner || true)
  # Everything in a process namespace goes with its first process.
  [ -z "$first" ] || kill -9 "$first" 2>/dev/null || true
  for _ in $(seq 100); do
    [ -n "$(outer)" ] && kill -0 "$(outer)" 2>/dev/null || break
    sleep 0.1
  done
  rm -f "$directory/outer.pid"
  ip netns del "tidelog-$name" 2>/dev/null || true
  ip link del "tl-$name" 2>/dev/null || true
  for _ in 1 2 3 4 5; do
    find /sys/fs/cgroup/*/"tidelog-$name" -depth -type d -exec rmdir {} + 2>/dev/null && break
    [ -n "$(find /sys/fs/cgroup/*/"tidelog-$name" -maxdepth 0 2>/dev/null)" ] || break
    sleep 0.3
  done
}

shift 2 2>/dev/null || shift
case $command in
  up) up "$@" ;;
  running) [ -n "$(outer)" ] && kill -0 "$(outer)" 2>/dev/null ;;
  kubeconfig) echo "$directory/pki/admin.kubeconfig" ;;
  load) inside "$bin/ctr" -n k8s.io images import --no-unpack=false "$(realpath "$1")" >/dev/null ;;
  run) inside "$@" ;;
  kill) inside sh -c "kill -9 \$(cat /run/$1.pid)" ;;
  stop) inside sh -c "touch /run/$1.stop; kill -9 \$(cat /run/$1.pid)" ;;
  start) inside rm -f "/run/$1.stop" ;;
  freeze) echo FROZEN >"/sys/fs/cgroup/freezer/tidelog-$name/freezer.state" ;;
  thaw) echo THAWED >"/sys/fs/cgroup/freezer/tidelog-$name/freezer.state" ;;
  cut)
    nft -f - <<RULES
table bridge tidelog {
  chain cut {
    type filter hook forward priority 0; policy accept;
    iifname "tl-$name" oifname "tl-$1" counter drop
    iifname "tl-$1" oifname "tl-$name" counter drop
  }
}
RULES
    ;;
  heal) nft delete table bridge tidelog 2>/dev/null || true ;;
  copy-volumes)
    rm -rf "$directory/disk/copy"
    cp -a "$directory/disk/volumes" "$directory/disk/copy"
    ;;
  restore-volumes)
    rm -rf "$directory/disk/volumes"
    cp -a "$directory/disk/copy" "$directory/disk/volumes"
    ;;
  recycle)
    # One at a time: what one has seen released, another one may have made free already, and somebody may have it by now.
    exec 9>"$directory/recycle.lock"
    flock 9
    for volume in $(kubectl get persistentvolumes -o 'jsonpath={range .items[?(@.status.phase=="Released")]}{.metadata.name}{"\n"}{end}'); do
      number=${volume#volume-}
      find "$directory/disk/volumes/$number" -mindepth 1 -delete
      kubectl patch persistentvolume "$volume" --type=json -p '[{"op": "remove", "path": "/spec/claimRef"}]' >/dev/null
    done
    ;;
  cert-manager)
    kubectl apply --server-side -f "$home/cert-manager-$CERT_MANAGER/crds" >/dev/null
    kubectl wait --for=condition=Established crd/certificates.cert-manager.io crd/issuers.cert-manager.io --timeout=30s >/dev/null
    kubectl apply -f "$kit/cert-manager.yaml" >/dev/null
    kubectl -n cert-manager rollout status deployment/cert-manager --timeout=90s >/dev/null
    ;;
  down) down ;;
  wipe)
    down
    rm -rf "$directory"
    ;;
esac
