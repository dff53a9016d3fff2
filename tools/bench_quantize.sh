#!/usr/bin/env bash
# bench_quantize.sh BUILD MODEL [LAYERS]: 16-bit input that `samp quantize --recipe nf4` takes a second of one core,
# beside the memory copy rate of the same run: for MODEL (a folder of 16-bit weights), and for an 8B model's shapes in
# random bf16 (32 layers unless LAYERS says less, 16 GB and 6 GB of disk under $TMPDIR or /tmp, removed at the end).
# The figures are one JSON object on stdout, for bench/results; what each run took is on stderr.
set -euo pipefail
build=$1 model=$2 layers=${3:-32}
scratch=$(mktemp -d "${TMPDIR:-/tmp}/samp-bench-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
"$build/bench_quantize" make "$scratch/8b-shapes" "$layers"
commit=$(git -C "$(dirname "$0")" rev-parse --short HEAD 2>/dev/null || echo unknown)
printf '{"schema_version": 1, "date": "%s", "commit": "%s", "layers_of_8b": %s, "models": [\n' "$(date -u +%F)" "$commit" "$layers"
"$build/bench_quantize" run "$build/samp" "$model" "$scratch/out" 9
printf ',\n'
"$build/bench_quantize" run "$build/samp" "$scratch/8b-shapes" "$scratch/out" 3
printf ']}\n'
