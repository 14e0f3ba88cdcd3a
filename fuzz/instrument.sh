#!/bin/sh
# Stands for rustc while cargo builds the crates of this workspace for a fuzzer (scripts/fuzz.sh): they
# count which branches an input takes and report what they compare. Other crates stay as they are, so
# that they need no second build.
exec "$@" \
  -Cpasses=sancov-module \
  -Cllvm-args=-sanitizer-coverage-level=4 \
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
  -Cllvm-args=-sanitizer-coverage-pc-table \
  -Cllvm-args=-sanitizer-coverage-trace-compares
