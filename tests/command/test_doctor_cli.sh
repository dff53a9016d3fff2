#!/usr/bin/env bash
# test_doctor_cli.sh BUILD: samp doctor as people and scripts see it.
set -u
. "$(dirname "$0")/common.sh"

"$samp" doctor --folder "$work" >"$work/text"; code=$?
[ $code -le 1 ] || fail "exit code $code"
grep -q $'\033' "$work/text" && fail "colour without a terminal"
for group in versions processor limits memory bandwidth 'huge pages' disk gpu self-test models; do
    grep -qE "^ *(ok|warn|broken)  $group " "$work/text" || fail "no group $group"
done
# Lines of checks line up, and those that are not fine end with a command.
sed '/^$/,$d' "$work/text" | grep -vqE '^ *(ok|warn|broken)  .{10}  [^ ]' && fail "a line that does not line up"
grep -qE 'Llama-3.1-8B +[0-9.]+ GB, ([0-9.]+ tok/s|does not fit)' "$work/text" || fail "no table of models"
grep -qE 'reads of [0-9]+ MiB: 1 thread [0-9.]+ GB/s' "$work/text" || fail "no bandwidth"

SAMP_CPU=abacus "$samp" doctor >"$work/broken"; code=$?
[ $code = 1 ] || fail "something broken gives exit code $code"
grep -qE '^broken .*: unset SAMP_CPU$' "$work/broken" || fail "a broken line without its command"
"$samp" doctor --json >"$work/json" || fail "--json"
grep -q '"group": "self-test"' "$work/json" || fail "no self-test in the JSON"
"$samp" doctor /no/such/model >/dev/null 2>"$work/err"; [ $? = 2 ] || fail "a model that is not there"
grep -q '/no/such/model' "$work/err" || fail "the model is not named"
timeout 20 "$samp" doctor --profile "$work/no/such/p.json" 2>"$work/err"; [ $? = 2 ] || fail "--profile without a place"
grep -q 'no/such/p.json' "$work/err" || fail "the place that is not there is not named"
"$samp" doctor --profile "$work/p.json" model 2>/dev/null; [ $? = 3 ] || fail "--profile with a model"
"$samp" plan --sensitivity s.json --hardware abacus 2>"$work/err"; [ $? = 3 ] || fail "unknown hardware"
grep -q 'rtx4090' "$work/err" || fail "the profiles there are, are not named"
echo '{}' >"$work/bad.json"
"$samp" plan --sensitivity s.json --hardware "$work/bad.json" 2>"$work/err"; [ $? = 2 ] || fail "a bad profile"
grep -q 'bad.json.*schema_version' "$work/err" || fail "what is wrong with the profile is not said"
exit $failed
