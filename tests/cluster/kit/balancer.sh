#!/usr/bin/env bash
# balancer.sh NAME N: what a cloud does for Services of type LoadBalancer, started by node.sh inside of the cluster. The first one gets the address
# 10.77.0.10N, the next ones 10.77.0.11N and so on; an address is free again when its Service is gone. Services of a namespace with the label
# kit-address=11 get 10.77.0.11N.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
# What fails is tried again.
set +e
name=$1 number=$2
kubectl() { "$bin/kubectl" --kubeconfig "$home/clusters/$name/pki/admin.kubeconfig" "$@"; }
given=/run/balancer
mkdir -p "$given"

give() {
  local namespace=$1 service=$2 address owner asked
  asked=$(kubectl get namespace "$namespace" -o 'jsonpath={.metadata.labels.kit-address}' 2>/dev/null)
  for tens in ${asked:-10 11 12 13 14 15 16 17 18 19}; do
    address=10.77.0.$tens$number
    owner=$(cat "$given/$address" 2>/dev/null)
    if [ -n "$owner" ] && [ "$owner" != "$namespace/$service" ]; then
      [ -z "$(kubectl -n "${owner%%/*}" get service "${owner##*/}" --ignore-not-found -o name 2>&1)" ] || continue
    fi
    echo "$namespace/$service" >"$given/$address"
    ip addr add "$address/24" dev eth0 2>/dev/null
    kubectl -n "$namespace" patch service "$service" --subresource=status --type=merge -p "{\"status\": {\"loadBalancer\": {\"ingress\": [{\"ip\": \"$address\"}]}}}"
    return
  done
  echo "no address is left for $namespace/$service"
}

while :; do
  kubectl get services -A --watch -o 'jsonpath={.metadata.namespace} {.metadata.name} {.spec.type} {.status.loadBalancer.ingress[0].ip}{"\n"}' |
    while read -r namespace service type address; do
      [ "$type" = LoadBalancer ] || continue
      if [ -z "$address" ]; then
        give "$namespace" "$service"
      elif [ ! -e "$given/$address" ]; then
        # Given before this node was started.
        echo "$namespace/$service" >"$given/$address"
        ip addr add "$address/24" dev eth0 2>/dev/null
      fi
    done
  sleep 0.5
done
