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
command -v objdump > /dev/null || skip "no objdump"
cache=$build/CMakeCache.txt
grep -q '^SAMP_SANITIZE:[A-Z]*=.' "$cache" && skip "sanitized kernels are compiled rolled"
compiler=$(sed -n 's/^CMAKE_C_COMPILER:[A-Z]*=//p' "$cache")
"$compiler" --version | head -1 | grep -qi clang && skip "Clang keeps the lines' loop rolled"
[ "$(uname -m)" = x86_64 ] || skip "not an x86-64 build"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && ar x "$archive" matmul_avx2.c.o matmul_avx512.c.o matmul_avx512vbmi.c.o)
for object in "$work"/*.o; do
  objdump -d --no-show-raw-insn "$object"
done | awk '
  /^[0-9a-f]+ <.*>:/ { name = $2; if (name ~ /^<(BYTE|NIBBLE|NIBBLE32|INT5|INT6)_(4|(8|16)_12)>/) n++ }
  /[yz]mm.*\(%r[sb]p/ { stack[name]++ }
  /vpmaddwd|vpdpbusd/ { multiply[name]++ }
  END {
    for (name in multiply) {
      if (name !~ /_(4|(8|16)_12)>/ || name ~ /_(8|16)_4>/) continue
      printf "%s %d multiplies, %d stack accesses\n", name, multiply[name], stack[name]
      if (stack[name] * 8 > multiply[name]) bad = 1
    }
    if (n != 25) { printf "%d tiles were found, expected 25\n", n; bad = 1 }
    exit bad
  }'
