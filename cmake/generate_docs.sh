#!/usr/bin/env bash
# generate_docs.sh SAMP OUT: man pages and completions, from the program's own tables.
set -eu
samp=$1 out=$2
mkdir -p "$out/man1"
"$samp" help --man samp >"$out/man1/samp.1"
for command in $("$samp" --help | sed -n 's/^  \([a-z]\+\) .*/\1/p'); do
    "$samp" help --man "$command" >"$out/man1/samp-$command.1"
done
"$samp" completion bash >"$out/samp.bash"
"$samp" completion zsh >"$out/_samp"
