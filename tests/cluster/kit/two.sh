#!/usr/bin/env bash
# two.sh up|down|test: two clusters, `eu` and `us`, with the images of Tidelog.
#   up     starts them (fresh ones, unless they exist) and prints how to use them; QUICK=1 takes programs without optimisation
#   down   ends them and forgets their data
#   test   for tests: says `ready`, and ends them when its standard input ends
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
names=(eu us)
config=$home/clusters/kubeconfig

start() {
  "$kit/install.sh" node >&2
  local images name number=0 pids=()
  images=$("$kit/product-images.sh" ${QUICK:+--quick})
  for name in "${names[@]}"; do
    number=$((number + 1))
    "$kit/cluster.sh" up "$name" "$number" >&2 &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid"; done
  for name in "${names[@]}"; do
    for image in operator sidecar cli; do "$kit/cluster.sh" load "$name" "$images/$image.tar" 2>>"$home/clusters/$name/log/images.log"; done
  done
  # One file with both contexts.
  KUBECONFIG=$(printf '%s:' "${names[@]/#/$home/clusters/}" | sed 's#:#/pki/admin.kubeconfig:#g') "$bin/kubectl" config view --raw --flatten >"$config.new"
  mv "$config.new" "$config"
}
stop() { for name in "${names[@]}"; do "$kit/cluster.sh" wipe "$name" >&2 || true; done; "$kit/cluster.sh" heal >&2; }

case ${1:-} in
  up)
    start
    cat <<TEXT

Two clusters run: contexts eu and us. To use them:

  export KUBECONFIG=$config PATH=\$PATH:$bin
  kubectl --context eu get nodes

  tests/cluster/kit/cluster.sh cut eu us     cuts the network between them; \`heal\` puts it back
  make cluster-down                          ends them
TEXT
    ;;
  down) stop ;;
  test)
    for name in "${names[@]}"; do
      if "$kit/cluster.sh" running "$name"; then
        say "cluster $name runs already: make cluster-down, or name contexts (tests/cluster/README.md)"
        exit 1
      fi
    done
    trap stop EXIT
    stop
    start
    echo "ready $config"
    cat >/dev/null
    ;;
  *)
    sed -n '2,5p' "${BASH_SOURCE[0]}" | sed 's/^# \{0,1\}//' >&2
    exit 2
    ;;
esac
