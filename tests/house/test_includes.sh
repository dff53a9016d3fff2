#!/usr/bin/env bash
# Includes go one way: a room may include itself and the rooms above it in STYLE's list, never those below;
# the backends (cpu, reference, cuda) never include each other. Prints every wrong include.
set -eu
cd "$(dirname "$0")/../../src"
rooms=(base format file http model chat constrain backend run eval engine plan quantize serve gateway bench doctor report command)
rank() { for i in "${!rooms[@]}"; do [ "${rooms[$i]}" = "$1" ] && { echo "$i"; return; }; done; echo -1; }
wrong=0 seen=0
while IFS=: read -r file line text; do
    from=${file#./}; from=${from%%/*}
    to=${text#*\"}; to=${to%%\"*}
    case $from in main.c) continue ;; esac
    seen=$((seen + 1))
    if [ ! -f "$to" ]; then
        echo "src/${file#./}:$line: \"$to\" is not a path from src/"; wrong=1; continue
    fi
    a=$(rank "$from") b=$(rank "${to%%/*}")
    if [ "$a" -lt 0 ] || [ "$b" -lt 0 ] || [ "$b" -gt "$a" ]; then
        echo "src/${file#./}:$line: room $from includes $to, which is below it"; wrong=1
    fi
    case ${file#./}:$to in
    backend/cpu/*:backend/reference/* | backend/cpu/*:backend/cuda/* | backend/reference/*:backend/cpu/* | \
    backend/reference/*:backend/cuda/* | backend/cuda/*:backend/cpu/* | backend/cuda/*:backend/reference/*)
        echo "src/${file#./}:$line: backends never include each other ($to)"; wrong=1 ;;
    esac
done < <(grep -rn --include='*.c' --include='*.h' --include='*.cu' -E '^#include "' . | sed -E 's/:#include /:/')
[ "$seen" -gt 100 ] || { echo "only $seen includes were seen: the test itself is broken"; exit 1; }
[ "$wrong" = 0 ] && echo "$seen includes, all in the right direction"
exit "$wrong"
