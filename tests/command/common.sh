# common.sh, read by test_*_cli.sh BUILD: the program, a folder to work in, and what a test says.
# A script ends with: exit $failed
samp=$1/samp
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
fail() { echo "FAILED: $*"; failed=1; }

# expect CODE WORD -- COMMAND…: the exit code, and WORD somewhere in what was printed.
expect() {
    local code=$1 word=$2; shift 3
    local got out
    out=$("$@" 2>&1); got=$?
    if [ "$got" != "$code" ] || ! grep -qF -- "$word" <<<"$out"; then
        fail "$*: exit $got (expected $code), output without «$word»:"; echo "$out" | head -5
    fi
}
