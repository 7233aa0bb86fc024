#!/usr/bin/env bash
# Runs the targets under libFuzzer, guided by coverage, and goes on where the last run stopped:
#
#   tests/fuzz/fuzz.sh [MINUTES] [TARGET...]    each target until it has run for so many minutes in all; 10 and all of them without
#   tests/fuzz/fuzz.sh status                   what was run so far
#   tests/fuzz/fuzz.sh replay TARGET FILE       one input again
#   tests/fuzz/fuzz.sh again [TARGET...]        forget the minutes, and keep the inputs
#
# BUILD=no goes on with the program that was built last; NICE=15 lets others go first.
# Works on stable Rust; needs a C++ compiler and cargo-fuzz, which tests/tools/ensure-cargo-fuzz.sh finds or installs. Everything is kept in
# target/fuzz: `corpus/TARGET` the inputs that reach something new, `state/TARGET` what was run, `artifacts/TARGET` inputs that fail, `log/TARGET`
# what libFuzzer said last. Ends with 1 when an input fails, with 2 when something is missing, with 130 when it is interrupted.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$root/target/fuzz
# An interruption costs so many seconds of work at most.
slice=60
# A target is left after so many findings in one run: the same bug would be found again and again.
findings_max=3
# Bytes of an input, seconds for one input, MiB of the process.
limits=(-max_len=65536 -timeout=60 -rss_limit_mb=4096)

usage() {
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
}

# Builds the one program that holds all targets, and writes their seeds. Sets `targets` and `program`.
build() {
  local cargo_fuzz triple
  triple=$(rustc -vV | sed -n 's/^host: //p')
  program=$work/build/$triple/release/any
  if [ "${BUILD:-yes}" = no ] && [ -x "$program" ]; then
    mapfile -t targets < <(ls "$work/dictionary")
    cd "$work"
    return
  fi
  cargo_fuzz=$("$root/tests/tools/ensure-cargo-fuzz.sh") || exit 2
  mkdir -p "$work"
  cd "$work"
  # A workspace of its own, so that nothing else is built with these flags; with the dependencies of the house, in their versions.
  cmp -s "$root/tests/fuzz/fuzz/targets.toml" Cargo.toml || cp "$root/tests/fuzz/fuzz/targets.toml" Cargo.toml
  [ Cargo.lock -nt "$root/Cargo.lock" ] || cp "$root/Cargo.lock" Cargo.lock
  mapfile -t targets < <(cd "$root" && cargo run --quiet --locked -p tidelog-fuzz --bin tidelog-fuzz-seeds -- "$work")
  [ ${#targets[@]} -gt 0 ] || exit 2
  # Without sanitizers: no room has unsafe code, and the bodies panic where something does not hold. Dependencies are as they are in production,
  # so without `cfg(fuzzing)`.
  "$cargo_fuzz" build --fuzz-dir . --target "$triple" --target-dir "$work/build" --sanitizer none --no-cfg-fuzzing --codegen-units 16 any >&2 || exit 2
}

# State of a target: seconds, executions, coverage, inputs, findings.
read_state() {
  seconds=0 executions=0 coverage=0 inputs=0 findings=0
  [ ! -f "$work/state/$1" ] || read -r seconds executions coverage inputs findings <"$work/state/$1"
}

write_state() {
  mkdir -p "$work/state"
  echo "$seconds $executions $coverage $inputs $findings" >"$work/state/$1.new"
  mv "$work/state/$1.new" "$work/state/$1"
}

show() {
  local rate=0
  [ "$seconds" -eq 0 ] || rate=$((executions / seconds))
  printf '%-18s %3d min %02d s  %12d executions  %8d/s  coverage %6d  corpus %6d  findings %d\n' \
    "$1" $((seconds / 60)) $((seconds % 60)) "$executions" "$rate" "$coverage" "$inputs" "$findings"
}

# Runs a target for so many seconds at most, and counts what it did.
run_slice() {
  local target=$1 limit=$2 begun code=0 log=$work/log/$1 found
  local corpora=("$work/corpus/$target")
  mkdir -p "$work/corpus/$target" "$work/artifacts/$target" "$work/log"
  [ ! -d "$root/tests/fuzz/regressions/$target" ] || corpora+=("$root/tests/fuzz/regressions/$target")
  begun=$(date +%s)
  TIDELOG_FUZZ_TARGET=$target nice -n "${NICE:-0}" "$program" "${corpora[@]}" "${limits[@]}" "-dict=$work/dictionary/$target" \
    "-artifact_prefix=$work/artifacts/$target/" "-max_total_time=$limit" -print_final_stats=1 >"$log" 2>&1 || code=$?
  seconds=$((seconds + $(date +%s) - begun))
  found=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -1)
  executions=$((executions + ${found:-0}))
  found=$(grep -ao 'cov: [0-9]*' "$log" | tail -1 || true)
  coverage=${found#cov: }
  coverage=${coverage:-0}
  inputs=$(find "$work/corpus/$target" -type f | wc -l)
  case $code in
    0) ;;
    # Interrupted: libFuzzer says so, or never came to it.
    72 | 130 | 143) interrupted=true ;;
    *)
      findings=$((findings + 1))
      new=$((new + 1))
      echo "$target FAILS (code $code), see $log:" >&2
      grep -aE -A3 'panicked at|ERROR: libFuzzer|Test unit written to' "$log" | grep -av '^--$' | head -20 >&2 || true
      ;;
  esac
  write_state "$target"
}

minutes=10
case ${1:-} in
  -h | --help | help)
    usage
    exit 0
    ;;
  status)
    for file in "$work"/state/*; do
      [ -f "$file" ] || continue
      read_state "${file##*/}"
      show "${file##*/}"
    done
    exit 0
    ;;
  again)
    shift
    if [ $# -eq 0 ]; then rm -rf "$work/state"; fi
    for target in "$@"; do rm -f "$work/state/$target"; done
    exit 0
    ;;
  replay)
    [ $# -eq 3 ] || { usage >&2; exit 2; }
    file=$(realpath "$3")
    build
    TIDELOG_FUZZ_TARGET=$2 exec "$program" "${limits[@]}" "$file"
    ;;
  [0-9]*)
    minutes=$1
    shift
    ;;
esac
[[ $minutes =~ ^[0-9]+$ ]] || { echo "MINUTES is a whole number, not \`$minutes\`" >&2; exit 2; }

build
wanted=("$@")
[ ${#wanted[@]} -gt 0 ] || wanted=("${targets[@]}")
for target in "${wanted[@]}"; do
  [[ " ${targets[*]} " == *" $target "* ]] || { echo "there is no target \`$target\`; there are: ${targets[*]}" >&2; exit 2; }
done

if [[ " ${wanted[*]} " == *" rows-postgres "* ]]; then
  TIDELOG_POSTGRES_BIN=${TIDELOG_POSTGRES_BIN:-$("$root/tests/tools/ensure-postgres.sh")} || exit 2
  export TIDELOG_POSTGRES_BIN
fi

interrupted=false
trap 'interrupted=true' INT TERM
failed=()
for target in "${wanted[@]}"; do
  read_state "$target"
  new=0
  while [ "$seconds" -lt $((minutes * 60)) ] && [ "$new" -lt "$findings_max" ] && [ "$interrupted" = false ]; do
    left=$((minutes * 60 - seconds))
    run_slice "$target" $((left < slice ? left : slice))
  done
  show "$target"
  if [ "$new" -gt 0 ] || [ -n "$(find "$work/artifacts/$target" -type f 2>/dev/null | head -1)" ]; then failed+=("$target"); fi
  [ "$interrupted" = false ] || { echo "interrupted; the next run goes on here" >&2; exit 130; }
done
if [ ${#failed[@]} -gt 0 ]; then
  for target in "${failed[@]}"; do
    for file in "$work/artifacts/$target"/*; do
      echo "fails: tests/fuzz/fuzz.sh replay $target $file" >&2
    done
  done
  echo "what is fixed is moved to tests/fuzz/regressions/TARGET, where every run of the tests tries it again" >&2
  exit 1
fi
