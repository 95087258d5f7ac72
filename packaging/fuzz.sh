#!/bin/sh
# Lets a fuzzer loose on the readers of all formats, for ten minutes or so many seconds as are said. What breaks one is left in
# target/fuzz/broken.
set -eu
cd "$(dirname "$0")/.."

cargo fuzz --version >/dev/null 2>&1 || cargo install --quiet --locked cargo-fuzz
seeds="$PWD/target/fuzz/seeds"
mkdir -p "$seeds" target/fuzz/corpus target/fuzz/broken
# Rust finds wrong reads and writes of memory itself; a sanitizer needs another compiler.
SEEDS="$seeds" cargo fuzz run --fuzz-dir tests/fuzz --target-dir target/fuzz/build --sanitizer none import \
    target/fuzz/corpus "$seeds" -- -max_total_time="${1:-600}" -artifact_prefix=target/fuzz/broken/ -rss_limit_mb=4096
