#!/usr/bin/env bash
# install.sh api|helm|node: what real clusters are made of, built once from Go modules and Debian packages, reused by later runs and other checkouts.
#   api    etcd, kube-apiserver and kubectl: enough for custom resources, roles and reconciling
#   helm   also Helm, for the chart
#   node   also kubelet, controllers, scheduler, proxy, containerd, CoreDNS, cert-manager and the images every cluster needs: real pods (as root)
# Prints the directory of the programs.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
part=${1:-}
case $part in
  api | helm | node) ;;
  *) sed -n '2,6s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
mkdir -p "$bin"
# Several test runs may ask at once: one builds, the others wait.
exec 9>"$home/install.lock"
! command -v flock >/dev/null 2>&1 || flock 9

export CGO_ENABLED=0 GOBIN=$bin GOFLAGS=-buildvcs=false

go() {
  [ -n "${go_program:-}" ] || go_program=$("$kit/../../tools/ensure-go.sh")
  # One that is set may belong to another Go.
  env -u GOROOT "$go_program" "$@"
}

# Program $1 of the module in ../kube, under the names that follow.
build() {
  local program=$1 name package flags=()
  shift
  if [ ! -x "$bin/$program-$KUBERNETES" ]; then
    say "building Kubernetes $KUBERNETES ($*): some minutes, once"
    for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
      flags+=(-X "$package.gitVersion=v$KUBERNETES" -X "$package.gitMajor=1" -X "$package.gitMinor=$(cut -d. -f2 <<<"$KUBERNETES")" -X "$package.gitTreeState=clean")
    done
    (cd "$kit/../kube" && go build -trimpath -ldflags "-s -w ${flags[*]}" -o "$bin/$program-$KUBERNETES.new" "./$program") >&2
    mv "$bin/$program-$KUBERNETES.new" "$bin/$program-$KUBERNETES"
  fi
  for name; do ln -sf "$program-$KUBERNETES" "$bin/$name"; done
}

# Packages of module $1 at version $2, each as the program of its last name.
fetch() {
  local module=$1 version=$2 path programs=() missing=false
  shift 2
  for path; do
    programs+=("$module/$path@v$version")
    [ -x "$bin/$(basename "$path")" ] || missing=true
  done
  [ "$missing" = true ] || return 0
  say "building $module $version"
  go install -trimpath -ldflags "-s -w" "${programs[@]}" >&2
}

packages openssl curl
build api etcd kube-apiserver kubectl
[ "$part" = api ] || fetch helm.sh/helm/v4 $HELM cmd/helm
if [ "$part" = node ]; then
  packages runc containernetworking-plugins iproute2 iptables nftables conntrack socat busybox-static buildah debootstrap gcc libc6-dev procps
  build node kube-controller-manager kube-scheduler kubelet kube-proxy
  fetch github.com/containerd/containerd/v2 $CONTAINERD cmd/containerd cmd/ctr cmd/containerd-shim-runc-v2
  if [ ! -x "$bin/coredns" ]; then
    say "building CoreDNS $COREDNS"
    go install -trimpath -ldflags "-s -w" "github.com/coredns/coredns@v$COREDNS" >&2
  fi
  if [ ! -d "$home/cert-manager-$CERT_MANAGER" ]; then
    say "building cert-manager $CERT_MANAGER"
    (
      cd "$kit/../cert-manager"
      rm -rf "$home/cert-manager.new"
      mkdir -p "$home/cert-manager.new/crds"
      go build -trimpath -ldflags "-s -w" -o "$home/cert-manager.new/" .
      cp "$(go list -m -f '{{.Dir}}' github.com/cert-manager/cert-manager)"/deploy/crds/*.yaml "$home/cert-manager.new/crds/"
      chmod -R u+w "$home/cert-manager.new"
    ) >&2
    mv "$home/cert-manager.new" "$home/cert-manager-$CERT_MANAGER"
  fi
  "$kit/images.sh" >&2
fi
echo "$bin"
