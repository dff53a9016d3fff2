#!/bin/bash
# The widest tiles of the matrix products keep their sums in registers: of all their multiply
# instructions, at most one in eight may come with a vector register going to or from the stack. A
# compiler that spills loses a quarter of the speed without any other test turning red.
# Usage: test_spills.sh BUILD
set -eu
build=$1
skip() { echo "skipped: $1"; exit 77; }
archive=$build/libsamp_cpu.a
[ -f "$archive" ] || skip "$archive is not there"
cache=$build/CMakeCache.txt
grep -q '^SAMP_SANITIZE:[A-Z]*=.' "$cache" && skip "sanitized kernels are compiled rolled"
compiler=$(sed -n 's/^set(CMAKE_C_COMPILER "\(.*\)")$/\1/p' "$build"/CMakeFiles/*/CMakeCCompiler.cmake)
"$compiler" --version | head -1 | grep -qi clang && skip "Clang keeps the lines' loop rolled"
objdump=$("$compiler" -print-prog-name=objdump)
command -v "$objdump" > /dev/null || skip "no objdump"

# Tiles are functions <kind>_<tokens> (AVX2) or <kind>_<bits of inputs>_<tokens>.
if ar t "$archive" | grep -q matmul_avx2; then
  levels='avx2 avx512 avx512vbmi' widest='^<[A-Z0-9]+_(4|(8|16)_12)>' n_widest=35
elif ar t "$archive" | grep -q matmul_i8mm; then
  levels='dotprod i8mm' widest='^<[A-Z0-9]+_(8|16)_4>' n_widest=28
else
  skip "this architecture has no kernels"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for level in $levels; do (cd "$work" && ar x "$archive" "matmul_$level.c.o"); done
for object in "$work"/*.o; do
  "$objdump" -d --no-show-raw-insn "$object"
done | awk -v widest="$widest" -v n_widest=$n_widest '
  /^[0-9a-f]+ <.*>:/ { name = $2; if (name ~ widest) n++ }
  /[yz]mm.*\(%r[sb]p/ || /[ \t]q[0-9]+,.*\[(sp|x29)/ { stack[name]++ }
  /vpmaddwd|vpdpbusd|sdot|smmla/ { multiply[name]++ }
  END {
    for (name in multiply) {
      if (name !~ widest) continue
      printf "%s %d multiplies, %d stack accesses\n", name, multiply[name], stack[name]
      if (stack[name] * 8 > multiply[name]) bad = 1
    }
    if (n != n_widest) { printf "%d tiles were found, expected %d\n", n, n_widest; bad = 1 }
    exit bad
  }'
