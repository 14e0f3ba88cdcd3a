#!/usr/bin/env bash
# Runs the fuzz targets, two at a time, each for a while:
#
#   scripts/fuzz.sh [SECONDS [TARGET..]]      30 seconds and all targets, unless told
#
# Begins with what fuzz/corpus holds and adds nothing to it. What breaks a target is left in
# target/fuzz/found, and its path shown: it belongs into fuzz/corpus/TARGET, under a name that says
# what it is about. Needs a C++ compiler and no nightly toolchain.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-30}
targets=("${@:2}")
((${#targets[@]})) || mapfile -t targets < <(ls fuzz/corpus)
found=$PWD/target/fuzz/found
mkdir -p "$found"

# Optimised, and counting: the programs lie beside those of the other builds, which stay as they are.
CARGO_PROFILE_DEV_OPT_LEVEL=2 CARGO_INCREMENTAL=0 RUSTC_WORKSPACE_WRAPPER=$PWD/fuzz/instrument.sh \
  cargo build --locked -p rbuild-fuzz --features libfuzzer --bins

# The stores of some targets are small and short-lived: in memory they cost a twentieth.
in_memory=/dev/shm
[[ -w $in_memory ]] || in_memory=/tmp
scratch=$(mktemp -d "${TMPDIR:-$in_memory}/rbuild-fuzz.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

fuzz() {
  local target=$1 log=$scratch/$1.log
  mkdir -p "$scratch/$target/new" "$scratch/$target/tmp"
  # The first folder takes what is new, the others are only read.
  if TMPDIR=$scratch/$target/tmp "target/debug/fuzz-$target" \
    -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=65536 \
    -artifact_prefix="$found/$target-" -print_final_stats=1 \
    "$scratch/$target/new" "fuzz/corpus/$target" >"$log" 2>&1; then
    awk -v name="$target" '/number_of_executed_units/ { runs = $2 } /cov: / { for (i = 1; i < NF; i++) if ($i == "cov:") edges = $(i + 1) }
      END { printf "%-12s %9d inputs, %6d edges\n", name, runs, edges }' "$log"
  else
    echo "fuzz: $target is broken by an input:" >&2
    tail -n 40 "$log" >&2
    return 1
  fi
}

failed=0
for target in "${targets[@]}"; do
  while (($(jobs -rp | wc -l) >= 2)); do wait -n || failed=1; done
  fuzz "$target" &
done
while [[ -n $(jobs -p) ]]; do wait -n || failed=1; done
exit "$failed"
