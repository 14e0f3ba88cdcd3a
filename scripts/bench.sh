#!/usr/bin/env bash
# Times rbuild beside docker and buildah, where they are, and writes a report.
#
#   scripts/bench.sh [-n 3] [--only steps,tree] [--docker "WORDS"] [--wipe-docker] ..   (--help lists all)
#   scripts/bench.sh --smoke        tiny sizes, once, rbuild alone: whether everything builds
#   scripts/bench.sh report         the report again, from the figures of the last run
#
# The bases are made from Debian's packages and served on the loopback interface. Contexts, stores and the heavy base go to
# BENCH_WORK (/var/tmp/rbuild-bench), which is kept for the next run; the report goes to BENCH_OUT (BENCH_WORK/report).
# RBUILD names the binary; without it a release build is made.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
work=${BENCH_WORK:-/var/tmp/rbuild-bench}
out=${BENCH_OUT:-$work/report}
target=${CARGO_TARGET_DIR:-$here/target}

cargo build --quiet --manifest-path "$here/Cargo.toml" --locked -p benches
runner=$target/debug/benches
if [[ ${1:-} == report ]]; then exec "$runner" "$@" --out "$out"; fi

if [[ -z ${RBUILD:-} ]]; then
  cargo build --quiet --release --manifest-path "$here/Cargo.toml" --locked -p rbuild
  export RBUILD=$target/release/rbuild
fi

# The registry takes the heavy base in, so it gets a storage of its own that begins with the others.
bases=${RBUILD_TEST_BASES:-$("$here/scripts/bases.sh")}
storage=$work/$(basename "$bases")
if [[ ! -d $storage ]]; then
  mkdir -p "$work"
  rm -rf "$storage.new"
  cp -a --reflink=auto "$bases" "$storage.new"
  mv "$storage.new" "$storage"
fi
source "$here/scripts/registry.sh"
registry_start "$storage" writable
trap registry_stop EXIT
"$runner" run --registry "$registry_address" --work "$work" --out "$out" "$@"
