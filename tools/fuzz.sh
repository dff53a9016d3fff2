#!/usr/bin/env bash
# fuzz.sh BUILD SECONDS: runs each fuzzer from its stored corpus; new finds stay in BUILD/corpus, a crash ends with 1.
set -eu
build=$1 seconds=$2
for fuzzer in "$build"/fuzz_*; do
    [ -x "$fuzzer" ] || continue
    name=$(basename "$fuzzer")
    mkdir -p "$build/corpus/$name"
    echo "$name for $seconds s"
    "$fuzzer" -max_total_time="$seconds" -rss_limit_mb=4096 -timeout=20 -print_final_stats=1 -artifact_prefix="$build/$name-" \
        "$build/corpus/$name" "tests/fuzz/corpus/$name" 2>&1 | grep -E 'stat::number_of_executed|ERROR|SUMMARY|crash' || true
    if ls "$build/$name"-crash-* "$build/$name"-oom-* "$build/$name"-timeout-* >/dev/null 2>&1; then exit 1; fi
done
