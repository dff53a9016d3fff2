#!/usr/bin/env bash
# generate_docs.sh OUT SAMP…: man pages, completions and the list of findings, from the program's own tables.
# SAMP may be several words: an emulator and the program.
set -eu
out=$1
shift
mkdir -p "$out/man1"
"$@" help --man samp >"$out/man1/samp.1"
for command in $("$@" --help | sed -n 's/^  \([a-z]\+\) .*/\1/p'); do
    "$@" help --man "$command" >"$out/man1/samp-$command.1"
done
"$@" validate --rules >"$out/findings.md"
"$@" completion bash >"$out/samp.bash"
"$@" completion zsh >"$out/_samp"
