#!/usr/bin/env bash
# `make test`: all tests, exactly as CI runs them. What no test has to run for, lints for example, is `make check`.
# A step that fails does not stop the later ones, so that one run shows all that is wrong; only a build that fails ends it.
# Each step is a target of the Makefile, to be run again alone.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
tools=tests/tools
# Steps run one after the other, whatever `-j` or `-n` the outer make was given.
unset MAKEFLAGS MFLAGS MAKELEVEL
log=${CARGO_TARGET_DIR:-target}/make-test.log
mkdir -p "$(dirname "$log")"
: >"$log"

# So much of what has no end. Continuous integration asks for longer faults, and goes on with the simulations beside its clusters (.ci/run).
export SEEDS=${SEEDS:-1000} NETWORK_SEEDS=${NETWORK_SEEDS:-10} MINUTES=${MINUTES:-2}

steps=(
  "tools:Tools this machine needs"
  "check-format:Format"
  "house:The house: arrows, sizes, words, links, manifests, generated map"
  "build-tests:Build of all tests"
  "test-unit:Unit, property and documentation tests"
  "test-integration:Conformance, generated files, command line and multi-location tests"
  "sim:Simulation of the state machines, $SEEDS seeds"
  "sim-network:Whole sidecars on a simulated network, $NETWORK_SEEDS seeds"
  "faults:Real processes, databases and connections under faults, $MINUTES minutes"
)
needs_build=" test-unit test-integration sim sim-network faults "
# The programs of the last three were built with the tests.
export BUILT="--workspace --exclude tidelog-house"

if [ -t 1 ] && [ "${CI:-}" != true ]; then
  bold=$'\033[1m' red=$'\033[31m' green=$'\033[32m' plain=$'\033[0m'
  export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-always}
else
  bold="" red="" green="" plain=""
fi

duration() {
  printf '%d min %02d s' $(($1 / 60)) $(($1 % 60))
}

trap 'echo; echo "interrupted"; exit 130' INT TERM

failed=()
built=true
number=0
for step in "${steps[@]}"; do
  target=${step%%:*} title=${step#*:}
  number=$((number + 1))
  printf '\n%s==> [%d/%d] %s%s\n' "$bold" "$number" "${#steps[@]}" "$title" "$plain"
  if [ "$built" = false ] && [[ $needs_build == *" $target "* ]]; then
    echo "${red}--- not run: the tests do not build${plain}"
    failed+=("$target (not run)")
    continue
  fi
  begun=$SECONDS
  if make --no-print-directory "$target" 2>&1 | tee -a "$log"; then
    echo "${green}--- ok${plain} after $(duration $((SECONDS - begun)))"
  else
    echo "${red}--- FAILED${plain} after $(duration $((SECONDS - begun))); again alone: make $target"
    failed+=("$target")
    [ "$target" != build-tests ] || built=false
  fi
done

read -r passed failures skipped < <("$tools/sum-tests.sh" <"$log")
printf '\n%s==> Result%s\n' "$bold" "$plain"
if [ "$skipped" -gt 0 ]; then
  echo "${red}!!! $skipped SKIPPED: these did not run${plain}"
  grep -aE 'SKIPPED( STEP)?: |^test .* \.\.\. ignored' "$log" | sed 's/^/!!!   /' || true
  if [ "${CI:-}" = true ]; then
    echo "!!! CI does not accept skipped tests"
    failed+=("skipped tests")
  fi
fi
echo "$passed passed, $failures failed, $skipped skipped; total time $(duration "$SECONDS"); log: $log"
if [ "${#failed[@]}" -gt 0 ]; then
  list=$(printf ', %s' "${failed[@]}")
  echo "${red}failed: ${list:2}${plain}"
  exit 1
fi
echo "${green}all tests passed${plain}"
