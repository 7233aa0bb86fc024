#!/usr/bin/env bash
# pki.sh DIRECTORY CLUSTER NODE_IP SERVICE_IP PORT: a certificate authority for one cluster, keys for its parts and a kubeconfig for each client.
set -euo pipefail
directory=$1 cluster=$2 node=$3 service=$4 port=$5
mkdir -p "$directory"
cd "$directory"
[ ! -f done ] || exit 0
umask 077

new_key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }

# certificate NAME SUBJECT [NAMES]
certificate() {
  new_key "$1"
  openssl req -new -key "$1.key" -subj "$2" -out "$1.csr"
  {
    echo "keyUsage=critical,digitalSignature"
    echo "extendedKeyUsage=serverAuth,clientAuth"
    [ -z "${3:-}" ] || echo "subjectAltName=$3"
  } >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -extfile "$1.ext" -out "$1.crt" 2>/dev/null
  rm "$1.csr" "$1.ext"
}

kubeconfig() {
  cat >"$1.kubeconfig" <<YAML
apiVersion: v1
kind: Config
current-context: $cluster
contexts:
- name: $cluster
  context: {cluster: $cluster, user: $cluster-$1}
clusters:
- name: $cluster
  cluster: {server: "https://$node:$port", certificate-authority-data: $(base64 -w0 ca.crt)}
users:
- name: $cluster-$1
  user: {client-certificate-data: $(base64 -w0 "$1.crt"), client-key-data: $(base64 -w0 "$1.key")}
YAML
}

new_key ca
openssl req -x509 -new -key ca.key -days 3650 -subj "/CN=$cluster" -addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature -out ca.crt 2>/dev/null
names=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,DNS:localhost
certificate apiserver /CN=kube-apiserver "$names,IP:127.0.0.1,IP:$node,IP:$service"
certificate kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client
certificate kubelet-server "/CN=node-$cluster" "DNS:node-$cluster,IP:$node,IP:127.0.0.1"
certificate admin /O=system:masters/CN=admin
certificate controllers /CN=system:kube-controller-manager
certificate scheduler /CN=system:kube-scheduler
certificate proxy /CN=system:kube-proxy
certificate kubelet "/O=system:nodes/CN=system:node:node-$cluster"
for client in admin controllers scheduler proxy kubelet; do kubeconfig $client; done
# Signs the tokens of service accounts.
new_key accounts
openssl ec -in accounts.key -pubout -out accounts.pub 2>/dev/null
touch done
