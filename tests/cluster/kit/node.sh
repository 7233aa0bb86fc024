#!/usr/bin/env bash
# node.sh NAME N: the first process of a cluster, started by cluster.sh in fresh network, mount, process and host name namespaces. Its daemons are started
# again when they end, unless /run/DAEMON.stop exists.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
# What fails is tried again.
set +e
name=$1 number=$2
node=10.77.0.1$number pods=10.8$number.0 services=10.9$number.0 host=node-$name
directory=$home/clusters/$name
pki=$directory/pki log=$directory/log disk=$directory/disk
export PATH=$bin:$PATH
hostname "$host"

# Own copies of every path that the daemons have built in.
mount --make-rshared /
mount -t tmpfs tmpfs /run
mkdir -p /run/lock
for path in /var/lib/kubelet /var/lib/containerd /var/lib/cni /etc/cni/net.d /var/log/pods /var/log/containers; do
  mkdir -p "$path" "$disk$path"
  mount --bind "$disk$path" "$path"
done
: >/run/resolv.conf
mkdir -p /var/lib/volumes "$disk/volumes"
mount --bind "$disk/volumes" /var/lib/volumes
# The kubelet writes these for the whole machine, unless they have the wanted value.
shield() {
  local copy
  copy=/run/shield.$(basename "$1")
  echo "$2" >"$copy"
  mount --bind "$copy" "$1"
}
shield /proc/sys/vm/overcommit_memory 1
shield /proc/sys/kernel/panic 10
shield /proc/sys/kernel/panic_on_oops 1
sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1 net.ipv4.conf.all.route_localnet=1

# An own part of every hierarchy of control groups; this process and all daemons are in its `system`.
for controller in cpu cpuacct cpuset memory devices freezer blkio pids systemd; do
  group=/sys/fs/cgroup/$controller/tidelog-$name
  [ -d "/sys/fs/cgroup/$controller" ] || continue
  mkdir -p "$group/system"
  if [ "$controller" = cpuset ]; then
    for path in "$group" "$group/system"; do
      for file in cpuset.cpus cpuset.mems; do cat "/sys/fs/cgroup/cpuset/$file" >"$path/$file"; done
    done
  fi
  echo $$ >"$group/system/cgroup.procs"
done

cat >/etc/cni/net.d/10-bridge.conflist <<JSON
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "$pods.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
cat >"$directory/containerd.toml" <<TOML
version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.erofs", "io.containerd.snapshotter.v1.zfs"]
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = "localhost/pause:1"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["/usr/lib/cni"]
    conf_dir = "/etc/cni/net.d"
  [plugins.'io.containerd.cri.v1.runtime'.containerd]
    default_runtime_name = "runc"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
        SystemdCgroup = false
TOML
cat >"$directory/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $pki/kubelet-server.crt
tlsPrivateKeyFile: $pki/kubelet-server.key
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /tidelog-$name
failCgroupV1: false
failSwapOn: false
clusterDNS: [$services.10]
clusterDomain: cluster.local
resolvConf: /run/resolv.conf
oomScoreAdj: 0
# Nothing can be pulled again.
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi, nodefs.available: "0%", imagefs.available: "0%"}
nodeStatusUpdateFrequency: 5s
nodeLeaseDurationSeconds: 8
# Files of a ConfigMap or Secret follow it within 5 s, not within the 60 s of a kubelet as it comes: nobody waits here for what it does by the clock.
syncFrequency: 5s
YAML
cat >"$directory/proxy.yaml" <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
hostnameOverride: $host
clusterCIDR: $pods.0/24
clientConnection: {kubeconfig: $pki/proxy.kubeconfig}
oomScoreAdj: 0
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
YAML

# daemon NAME ARGUMENT...
daemon() {
  local daemon=$1
  (
    while :; do
      "$bin/$@" >>"$log/$daemon.log" 2>&1 &
      echo $! >"/run/$daemon.pid"
      wait $!
      sleep 0.5
      while [ -e "/run/$daemon.stop" ]; do sleep 0.1; done
    done
  ) &
}
ready() { [ "$(curl -s --cacert "$pki/ca.crt" --cert "$pki/admin.crt" --key "$pki/admin.key" "https://$node:6443/readyz")" = ok ]; }

daemon etcd --data-dir "$directory/etcd" --unsafe-no-fsync --log-level warn
daemon containerd --config "$directory/containerd.toml"
daemon kube-apiserver --etcd-servers=http://127.0.0.1:2379 --advertise-address="$node" --service-cluster-ip-range="$services.0/24" \
  --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" --client-ca-file="$pki/ca.crt" \
  --kubelet-certificate-authority="$pki/ca.crt" --kubelet-client-certificate="$pki/kubelet-client.crt" --kubelet-client-key="$pki/kubelet-client.key" \
  --kubelet-preferred-address-types=InternalIP --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
  --service-account-issuer=https://kubernetes.default.svc.cluster.local \
  --service-account-signing-key-file="$pki/accounts.key" --service-account-key-file="$pki/accounts.pub"
until [ -S /run/containerd/containerd.sock ] && "$bin/ctr" version >/dev/null 2>&1; do sleep 0.1; done
for image in "$home"/images/*.tar; do "$bin/ctr" -n k8s.io images import "$image"; done >>"$log/images.log" 2>&1
until ready; do sleep 0.1; done
daemon kube-controller-manager --kubeconfig="$pki/controllers.kubeconfig" --authentication-kubeconfig="$pki/controllers.kubeconfig" \
  --authorization-kubeconfig="$pki/controllers.kubeconfig" --leader-elect=false --use-service-account-credentials=true --root-ca-file="$pki/ca.crt" \
  --service-account-private-key-file="$pki/accounts.key" --cluster-signing-cert-file="$pki/ca.crt" --cluster-signing-key-file="$pki/ca.key"
daemon kube-scheduler --kubeconfig="$pki/scheduler.kubeconfig" --authentication-kubeconfig="$pki/scheduler.kubeconfig" \
  --authorization-kubeconfig="$pki/scheduler.kubeconfig" --leader-elect=false
daemon kubelet --config="$directory/kubelet.yaml" --kubeconfig="$pki/kubelet.kubeconfig" --hostname-override="$host" --node-ip="$node"
daemon kube-proxy --config="$directory/proxy.yaml"
"$kit/balancer.sh" "$name" "$number" >>"$log/balancer.log" 2>&1 &
trap 'exit 0' TERM INT
# Orphans are reaped while it waits.
while :; do
  sleep 3600 &
  wait $!
done
