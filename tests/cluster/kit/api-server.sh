#!/usr/bin/env bash
# api-server.sh DIRECTORY PORT: etcd and a Kubernetes API server on 127.0.0.1, ports PORT to PORT+2. Says `ready` when it is, and ends, with all that
# it started, when its standard input does: so whoever started it may die in any way. DIRECTORY goes
# with it; meanwhile DIRECTORY/admin.kubeconfig is for the administrator.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
directory=$1 port=$2
mkdir -p "$directory"
cd "$directory"
"$kit/pki.sh" "$directory/pki" test 127.0.0.1 10.96.0.1 "$port"
cp pki/admin.kubeconfig admin.kubeconfig

store=http://127.0.0.1:$((port + 1)) peers=http://127.0.0.1:$((port + 2))
pids=()
finish() {
  # SIGTERM would take the API server seconds when its store goes too.
  { kill -9 "${pids[@]}" && wait; } 2>/dev/null || true
  cd /
  rm -rf "$directory"
}
trap finish EXIT
"$bin/etcd" --data-dir "$directory/etcd" --unsafe-no-fsync --log-level warn \
  --listen-client-urls "$store" --advertise-client-urls "$store" \
  --listen-peer-urls "$peers" --initial-advertise-peer-urls "$peers" --initial-cluster "default=$peers" \
  </dev/null >etcd.log 2>&1 &
pids+=($!)
"$bin/kube-apiserver" --etcd-servers="$store" --bind-address=127.0.0.1 --advertise-address=127.0.0.1 --secure-port="$port" \
  --endpoint-reconciler-type=none --service-cluster-ip-range=10.96.0.0/16 --authorization-mode=RBAC \
  --tls-cert-file=pki/apiserver.crt --tls-private-key-file=pki/apiserver.key --client-ca-file=pki/ca.crt \
  --service-account-issuer=https://kubernetes.default.svc.cluster.local \
  --service-account-signing-key-file=pki/accounts.key --service-account-key-file=pki/accounts.pub \
  --disable-admission-plugins=ServiceAccount </dev/null >apiserver.log 2>&1 &
pids+=($!)

deadline=$((SECONDS + 60))
until [ "$(curl -s --cacert pki/ca.crt --cert pki/admin.crt --key pki/admin.key "https://127.0.0.1:$port/readyz")" = ok ]; do
  for pid in "${pids[@]}"; do
    kill -0 "$pid" 2>/dev/null || { tail -n 5 etcd.log apiserver.log >&2; exit 1; }
  done
  [ "$SECONDS" -lt "$deadline" ] || { say "not ready after 60 s"; tail -n 5 etcd.log apiserver.log >&2; exit 1; }
  sleep 0.05
done
echo ready
cat >/dev/null
