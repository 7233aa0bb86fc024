#!/usr/bin/env bash
# `make test`: everything that must be true before a change is merged, and exactly what CI runs.
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

steps=(
  "tools:Tools this machine needs"
  "check-format:Format"
  "house:The house: arrows, sizes, words, links, manifests, generated map"
  "deny:Dependency rules: licences, bans, sources"
  "lint:Lints"
  "check-docs:Documentation of the code"
  "build-tests:Build of all tests"
  "test-unit:Unit, property and documentation tests"
  "test-integration:Conformance, generated files, command line and multi-location tests"
  "sim:Simulation of the state machines, 20,000 seeds"
  "sim-network:Whole sidecars on a simulated network, 200 seeds"
  "faults:Real processes, databases and connections under faults, 5 minutes"
)
needs_build=" test-unit test-integration sim sim-network faults "
# Those with virtual time need a processor and nothing else: they run beside the last one, which waits most of the time, and give way to it.
beside=" sim sim-network "
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

trap 'kill $(jobs -p) 2>/dev/null || true; echo; echo "interrupted"; exit 130' INT TERM

failed=()
# judge TARGET SECONDS OUTCOME
judge() {
  if [ "$3" = 0 ]; then
    echo "${green}--- ok${plain} after $(duration "$2")"
  else
    echo "${red}--- FAILED${plain} after $(duration "$2"); again alone: make $1"
    failed+=("$1")
  fi
}
built=true
number=0
waiting=()
for step in "${steps[@]}"; do
  target=${step%%:*} title=${step#*:}
  number=$((number + 1))
  heading=$(printf '\n%s==> [%d/%d] %s%s' "$bold" "$number" "${#steps[@]}" "$title" "$plain")
  if [ "$built" = false ] && [[ $needs_build == *" $target "* ]]; then
    echo "$heading"
    echo "${red}--- not run: the tests do not build${plain}"
    failed+=("$target (not run)")
    continue
  fi
  if [[ $beside == *" $target "* ]]; then
    echo "$heading: in the background, told of below"
    (
      begun=$SECONDS outcome=0
      nice -n 19 make --no-print-directory "$target" >"$log.$target" 2>&1 || outcome=$?
      echo "$((SECONDS - begun)) $outcome" >"$log.$target.end"
    ) &
    waiting+=("$! $target")
    continue
  fi
  echo "$heading"
  begun=$SECONDS outcome=0
  make --no-print-directory "$target" 2>&1 | tee -a "$log" || outcome=$?
  judge "$target" "$((SECONDS - begun))" "$outcome"
  [ "$target" != build-tests ] || [ "$outcome" = 0 ] || built=false
done
for one in ${waiting[@]+"${waiting[@]}"}; do
  read -r pid target <<<"$one"
  printf '\n%s==> from the background: %s%s\n' "$bold" "$target" "$plain"
  wait "$pid"
  tee -a "$log" <"$log.$target"
  read -r seconds outcome <"$log.$target.end"
  judge "$target" "$seconds" "$outcome"
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
