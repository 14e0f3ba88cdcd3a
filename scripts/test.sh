#!/usr/bin/env bash
# All checks, on a Debian machine with Rust: installs what they need, makes the base images, runs everything.
#
#   scripts/test.sh
#
# As root, or as a user who may become root by sudo: the end-to-end tests build as root and as the ordinary user `tester`.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf '\n== %s (%d s)\n' "$*" "$SECONDS" >&2; }

say "what the tests need"
scripts/setup.sh --tests
say "base images"
RBUILD_TEST_BASES=$(scripts/bases.sh)
export RBUILD_TEST_BASES

say "format"
cargo fmt --all --check
say "lints"
cargo clippy --workspace --all-targets --locked -- -D warnings
say "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
say "build"
cargo build --locked -p rbuild
say "tests"
cargo test --workspace --locked --doc
if cargo nextest --version >/dev/null 2>&1; then
  cargo nextest run --workspace --locked --no-fail-fast
else
  cargo test --workspace --locked --no-fail-fast --lib --bins --tests
fi
say "fuzz targets"
scripts/fuzz.sh 30
say "benchmarks: whether they run, not how fast"
cargo test -p benches --locked --bench micro
scratch=$(mktemp -d /var/tmp/rbuild-bench.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
BENCH_WORK=$scratch RBUILD=${CARGO_TARGET_DIR:-target}/debug/rbuild scripts/bench.sh --smoke
