#!/usr/bin/env bash
# Reads the output of any number of `cargo test` runs and prints three numbers: passed, failed, skipped.
# Skipped are the ignored tests of each `test result:` line, and every test that says `SKIPPED: <why>` because it could not
# run on this machine; libtest counts the latter as passed, so they are taken off there. A check that is no test says
# `SKIPPED STEP: <why>`. Lines that begin with `!!!` repeat what was said before.
set -euo pipefail

awk '
  {
    line = $0
    gsub(/\033\[[0-9;]*[A-Za-z]/, "", line)
    gsub(/\r/, "", line)
    if (line ~ /^!!!/) next
    rest = line
    while (match(rest, /test result: (ok|FAILED)\. [0-9]+ passed; [0-9]+ failed; [0-9]+ ignored/)) {
      split(substr(rest, RSTART, RLENGTH), word, " ")
      passed += word[4]
      failed += word[6]
      skipped += word[8]
      rest = substr(rest, RSTART + RLENGTH)
    }
    if (line ~ /SKIPPED: /) {
      said += 1
    } else if (line ~ /SKIPPED STEP: /) {
      skipped += 1
    }
  }
  END {
    passed -= said
    if (passed < 0) passed = 0
    printf "%d %d %d\n", passed, failed, skipped + said
  }
'
