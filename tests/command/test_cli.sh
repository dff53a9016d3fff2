#!/usr/bin/env bash
# test_cli.sh BUILD: exit codes, error texts and help of the program as a stranger meets them.
set -u
. "$(dirname "$0")/common.sh"

expect 3 'Usage: samp COMMAND' -- "$samp"
expect 0 'Usage: samp COMMAND' -- "$samp" --help
expect 0 'samp 0.' -- "$samp" --version
expect 3 "'frobnicate' is not a samp command" -- "$samp" frobnicate
for command in $("$samp" --help | sed -n 's/^  \([a-z]\+\) .*/\1/p'); do
    expect 0 'Examples:' -- "$samp" "$command" --help
    expect 0 '.SH EXAMPLES' -- "$samp" help --man "$command"
    expect 3 'is not an option' -- "$samp" "$command" --no-such-option
done
expect 3 "'run' is not a samp command; did you mean samp chat?" -- "$samp" run
expect 3 'did you mean samp quantize?' -- "$samp" quantise
expect 3 'samp serve: expected MODEL; samp serve --help' -- "$samp" serve
expect 3 'here it is --listen ADDRESS' -- "$samp" serve m --port=8000
expect 3 'usage: samp serve MODEL' -- "$samp" serve -m m
expect 3 'did you mean --recipe?' -- "$samp" quantize --recip samp
expect 3 'give one of --recipe NAME and --plan FILE' -- "$samp" quantize m --out "$work/o"
expect 3 '--out DIR is missing' -- "$samp" quantize m --recipe samp
expect 2 'm does not exist' -- "$samp" quantize m --recipe samp --dry-run
expect 3 'belong to --budget' -- "$samp" quantize m --recipe samp --calib c --out "$work/o"
expect 3 'belong to --html' -- "$samp" report m --baseline b --peers p
expect 3 'expected one of samp|nf4' -- "$samp" quantize m --recipe q4 --out "$work/o"
expect 2 "$work/none" -- "$samp" inspect "$work/none"
expect 2 'none.gguf' -- "$samp" import "$work/none.gguf" --out "$work/o"
echo 'this is not a model' >"$work/junk.gguf"
expect 2 'junk.gguf' -- "$samp" import "$work/junk.gguf" --out "$work/o"
[ ! -e "$work/o" ] || { echo "FAILED: a refused import left $work/o"; failed=1; }
# What is given where a model folder is wanted: each answer says what to do next.
printf 'GGUF\3\0\0\0' >"$work/m.gguf"
mkdir "$work/download" && cp "$work/m.gguf" "$work/download/m-Q4_0.gguf"
echo '{"text": "x"}' >"$work/calib.jsonl"
wants() { # a command of each kind, with what stands for the model
    expect 2 "$2" -- "$samp" serve -l 127.0.0.1:0 "$1"
    expect 2 "$2" -- "$samp" generate "$1" -p x
    expect 2 "$2" -- "$samp" chat "$1" </dev/null
    expect 2 "$2" -- "$samp" eval "$1" "$work/calib.jsonl"
    expect 2 "$2" -- "$samp" inspect "$1"
    expect 2 "$2" -- "$samp" quantize "$1" --recipe nf4 --out "$work/o"
    expect 2 "$2" -- "$samp" measure "$1" --calib "$work/calib.jsonl" --out "$work/s.json"
    expect 2 "$2" -- "$samp" bench --offline "$1"
}
wants "$work/m.gguf" "is a GGUF file; samp import $work/m.gguf --out DIR"
wants "$work/download" "samp import $work/download/m-Q4_0.gguf --out DIR"
wants "$work/calib.jsonl" 'give the folder of the model it is in'
wants "$work/none" "$work/none does not exist"
mkdir "$work/empty"
expect 2 "$work/empty/config.json" -- "$samp" generate "$work/empty" -p x
expect 1 'SAMP-CFG-001' -- "$samp" validate "$work"
expect 3 'exclude each other' -- "$samp" validate --json --sarif "$work"
expect 0 'SAMP-SHD-006' -- "$samp" validate --rules
expect 0 'git lfs pull' -- "$samp" validate --explain SAMP-SHD-006
expect 3 "no finding's id" -- "$samp" validate --explain SAMP-SHD-999
expect 0 '$69,120 a month' -- "$samp" cost --price 32 --baseline-price 128 --one-time 45000
expect 0 '"dollars_per_year": 829440' -- "$samp" cost --price 32 --baseline-price 128 --json
expect 3 'expected 0 to' -- "$samp" cost --price -1
expect 3 '--price DOLLARS is missing' -- "$samp" cost
expect 2 'writing to standard output failed' -- bash -c "'$samp' --help >/dev/null; '$samp' help quantize >/dev/full"
bash -n <("$samp" completion bash) || failed=1
if command -v zsh >/dev/null; then zsh -n <("$samp" completion zsh) || failed=1; fi
exit $failed
