#!/bin/sh
# Lets a fuzzer loose on everything that reads files and replies of others, each reader for ten minutes or as many seconds as the
# first word says. A second word names one of the readers, which are the files of tests/fuzz. Input that breaks a reader is
# left in target/fuzz/broken.
set -eu
cd "$(dirname "$0")/.."

cargo fuzz --version >/dev/null 2>&1 || cargo install --quiet --locked cargo-fuzz
mkdir -p target/fuzz/broken
for reader in ${2:-import files texts replies}; do
    seeds="$PWD/target/fuzz/seeds/$reader"
    corpus="target/fuzz/corpus/$reader"
    mkdir -p "$seeds" "$corpus"
    # Rust finds wrong reads and writes of memory itself; a sanitizer needs another compiler.
    SEEDS="$seeds" cargo fuzz run --fuzz-dir tests/fuzz --target-dir target/fuzz/build --sanitizer none "$reader" \
        "$corpus" "$seeds" -- -max_total_time="${1:-600}" -artifact_prefix=target/fuzz/broken/ -rss_limit_mb=4096
done
