#!/usr/bin/env bash
# `make demo`: plays the tour of the README by itself, in a directory of its own, explains each step, and ends.
# TIDELOG names the program (built when absent), DEMO_PAUSE the seconds to read each step (2 on a terminal, else 0), DEMO_BASE_PORT where
# the ports of the network begin (the first free one of some).
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if [ -t 1 ]; then
  bold=$'\033[1m' green=$'\033[32m' dim=$'\033[2m' plain=$'\033[0m' pause=${DEMO_PAUSE:-2}
else
  bold="" green="" dim="" plain="" pause=${DEMO_PAUSE:-0}
fi

if [ -z "${TIDELOG:-}" ]; then
  echo "${dim}building tidelog; the first time takes a few minutes${plain}"
  tests/tools/ensure-cc.sh >/dev/null
  cargo build --locked --quiet -p tidelog-cli --bin tidelog
  TIDELOG=${CARGO_TARGET_DIR:-target}/debug/tidelog
fi

home=$(mktemp -d)
export TIDELOG_DATA_DIR=$home/data
network=""
step_number=0

finish() {
  if [ -n "$network" ]; then
    kill -INT "$network" 2>/dev/null || true
    wait "$network" 2>/dev/null || true
  fi
  rm -rf "$home"
}
trap finish EXIT
trap 'echo; echo "interrupted"; exit 130' INT TERM

step() {
  step_number=$((step_number + 1))
  printf '\n%s%d. %s%s\n' "$bold" "$step_number" "$1" "$plain"
}

say() {
  printf '   %s\n' "$@"
}

# Shows a command as it would be typed, and runs it.
run() {
  local word shown=""
  for word in "$@"; do
    case $word in
      *[!A-Za-z0-9_./=:-]*) shown+=" '$word'" ;;
      *) shown+=" $word" ;;
    esac
  done
  printf '%s$ tidelog%s%s\n' "$green" "$shown" "$plain"
  "$TIDELOG" "$@"
  sleep "$pause"
}

# Waits until the output of a command has a text; replication takes milliseconds, a slow machine may take longer.
until_shows() {
  local text=$1 deadline=$((SECONDS + 60))
  shift
  until grep -qF -- "$text" <<<"$("$TIDELOG" --quiet "$@" 2>/dev/null)"; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      echo "the demo stops here: \`tidelog $*\` does not show \"$text\"" >&2
      "$TIDELOG" status >&2 || true
      tail -20 "$home/network.log" >&2
      exit 1
    fi
    sleep 0.1
  done
}

# Starts the network on the first ports that are free.
start() {
  local base
  for base in ${DEMO_BASE_PORT:-17440 18440 19440 21440 22440}; do
    "$TIDELOG" dev -f examples/shop --base-port "$base" >"$home/network.log" 2>&1 &
    network=$!
    until grep -q "locations run" "$home/network.log"; do
      if ! kill -0 "$network" 2>/dev/null; then
        network=""
        grep -q "cannot be used" "$home/network.log" && continue 2
        cat "$home/network.log" >&2
        exit 1
      fi
      sleep 0.1
    done
    return
  done
  cat "$home/network.log" >&2
  exit 1
}

step "A shop with three regions and two stores"
say "eu, us and ap copy from each other. The stores hang on eu, behind a filter: each gets" \
  "only what is marked for it. The manifests are those that Kubernetes would take."
run plan -f examples/shop --quiet

step "The network runs on this machine: real connections, a database for each location"
start
until_shows '"state": "LOCATION_STATE_SERVING"' status -o json
for edge in "us eu" "eu us" "ap eu" "eu ap" "us ap" "ap us" "eu store-17" "store-17 eu"; do
  until_shows "Streaming" status --location "${edge#* }"
done
grep -E '^(LOG|orders  )' "$home/network.log" || true

step "An order is placed in us, for store-17"
run append --location us --type OrderPlaced --aggregate order-1 --metadata store=store-17 --data '{"total": 10}'
say "us has stored it and asked nobody. A moment later it is at the store, over eu:"
until_shows order-1 read --location store-17
run read --location store-17

step "The store ships it"
run append --location store-17 --type OrderShipped --aggregate order-1
until_shows OrderShipped read --location ap
say "Everywhere the order comes before its shipment: no log ever shows an effect before its cause."
run read --location ap

step "One connection breaks: us -> eu"
run edge cut us eu
run append --location us --type OrderPlaced --aggregate order-2
until_shows order-2 read --location eu
say "eu has it nevertheless: ap forwarded it."
run read --location eu --aggregate order-2
run edge heal us eu

step "us is cut off from everybody"
run edge cut --isolate us
say "Both sides go on writing:"
run append --location us --type PriceChanged --aggregate tea --data '{"price": 3}'
run append --location eu --type PriceChanged --aggregate tea --data '{"price": 4}'
say "Each has an event that the other lacks, and the diff knows why:"
run diff us eu
run status

step "The connections come back"
run edge heal --isolate us
until_shows "hold the same events" diff us eu
run diff us eu
say "The same events, each once. Their order may differ, because neither caused the other:"
run read --location us --aggregate tea
run read --location eu --aggregate tea

step "What a filter keeps out is no loss"
until_shows "a filter keeps it out" diff eu store-23
run diff eu store-23

step "Nothing was altered on the way"
run verify --location us

kill -INT "$network"
wait "$network"
network=""
printf '\n%sThat was the tour.%s The same network, to play with: make run\n' "$bold" "$plain"
