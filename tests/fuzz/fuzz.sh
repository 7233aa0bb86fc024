#!/usr/bin/env bash
# Runs the targets under libFuzzer, guided by coverage: `tests/fuzz/fuzz.sh MINUTES [TARGET...]`, 10 minutes for each target without
# arguments. Works on stable Rust; needs cargo-fuzz (`cargo install cargo-fuzz --locked`) and a C++ compiler. What was found interesting is kept
# in target/fuzz/corpus, so that the next run goes on there; an input that fails is left in target/fuzz/artifacts/TARGET.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
minutes=${1:-10}
shift || true
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  targets=(wire events texts manifests filters filter-payloads configuration rows hostile-source hostile-target)
fi
if ! command -v cargo-fuzz >/dev/null 2>&1; then
  echo "cargo-fuzz is not installed: cargo install cargo-fuzz --locked" >&2
  exit 1
fi

mkdir -p "$here/../../target/fuzz"
cd "$here/../../target/fuzz"
cp "$here/fuzz/targets.toml" Cargo.toml
# The dependencies of the house, in their versions.
[ -f Cargo.lock ] || cp "$here/../../Cargo.lock" Cargo.lock
cargo run --quiet --manifest-path "$here/../../Cargo.toml" -p tidelog-fuzz --bin tidelog-fuzz-seeds -- corpus
failed=0
for target in "${targets[@]}"; do
  # Without sanitizers: no room has unsafe code, and the bodies panic where something does not hold.
  cargo fuzz run --fuzz-dir . --sanitizer none "$target" -- -max_total_time=$((minutes * 60)) -max_len=65536 -timeout=60 -rss_limit_mb=4096 \
    -print_final_stats=1 || failed=1
done
exit $failed
