#!/usr/bin/env bash
# All test programs of the workspace, by the arguments of `cargo test` that select it. Those against an API server mostly wait, for
# leases that run out and for requests that are answered late: they run beside the others, and what they say is shown afterwards.
set -euo pipefail

beside=$(mktemp)
# A job of its own: what it starts may be interrupted, and all of it ends with this.
set -m
# `api-server` is the only one whose name begins so.
RUST_TEST_THREADS=4 cargo test "$@" --no-fail-fast --test 'ap*' >"$beside" 2>&1 &
job=$!
set +m
finish() {
  kill -- "-$job" 2>/dev/null || true
  rm -f "$beside"
}
trap finish EXIT
trap 'exit 130' INT TERM

code=0
cargo test "$@" --no-fail-fast --test '[!a]*' --test 'a[!p]*' || code=$?
wait "$job" || code=$?
cat "$beside"
exit "$code"
