#!/usr/bin/env bash
# test_eval_cli.sh BUILD: `samp eval --task` on a small real model: the table, the paired figures,
# the log of answers, and what is refused; and `samp inspect --follow`.
set -u
. "$(dirname "$0")/common.sh"
stories=${SAMP_DATA:-}/stories260K
[ -f "$stories/stories260K.bin" ] || { echo "SKIP: no $stories/stories260K.bin"; exit 77; }
cd "$work" || exit 1

"$samp" import "$stories/stories260K.bin" --tokenizer "$stories/tok512.bin" --out model \
    >/dev/null || exit 1
"$samp" quantize model --recipe nf4 --out nf4 >/dev/null || exit 1
mkdir test dev
for subject in big_dogs cats; do
    for n in 1 2 3 4 5 6; do echo "What did they see $n?,a dog,a cat,\"a ball, red\",no,ABCD" |
        sed -E "s/ABCD/$(printf %s ABCD | cut -c $((n % 4 + 1)))/"; done >test/${subject}_test.csv
    printf 'Who ran?,a dog,a cat,we,no,B\nWho sat?,a dog,a cat,we,no,A\n' >dev/${subject}_dev.csv
done
cat >ends.jsonl <<'E2'
{"query": "Question: Who is happy?", "choices": ["the girl", "mathematics of rings"], "gold": 0}
{"query": "Question: Where did they go?", "choices": ["kwxz qq", "to the park"], "gold": 1}
E2

expect 0 'big_dogs' -- "$samp" eval model --task test
expect 0 'acc_norm' -- "$samp" eval model --task ends.jsonl
expect 0 '2-shot' -- "$samp" eval model --task test --shots 2 --dev dev
expect 0 'lost / gained' -- "$samp" eval nf4 --baseline model --task test --shots 1 --dev dev
"$samp" eval nf4 -b model --task test --task ends.jsonl --questions 2 --answers log --json >out.json ||
    fail "json: exit $?"
[ "$(wc -l <log)" = 6 ] || fail "$(wc -l <log) answers, expected 2 of each file"
grep -q '"mcnemar_p"' out.json || fail 'no mcnemar_p'
[ "$(grep -c '"subject"' out.json)" = 4 ] || fail 'expected three subjects and all'
grep -q '"baseline_log_likelihoods":\[-' log || fail 'the log has no log-likelihoods'
# A model paired with itself changes nothing.
"$samp" eval model -b model --task ends.jsonl --json | grep -q '"changed": 0' || fail 'it changed'

expect 3 'give either TEXT files or --task' -- "$samp" eval model
expect 3 'give either TEXT files or --task' -- "$samp" eval model text --task test
expect 3 'go together' -- "$samp" eval model --task test --shots 2
expect 3 'are for --task' -- "$samp" eval model text --answers x
expect 2 '3 examples are wanted' -- "$samp" eval model --task test --shots 3 --dev dev
expect 2 'no .csv or .jsonl file' -- "$samp" eval model --task model
expect 2 'none.csv' -- "$samp" eval model --task none.csv
printf 'q,a,b,E\n' >bad.csv
expect 2 'line 1: the answer is "E"' -- "$samp" eval model --task bad.csv

# One tensor's way, for people and machines.
weight=model.layers.1.mlp.down_proj
expect 0 'unit vectors' -- "$samp" inspect nf4 --follow $weight --against model
expect 0 '"error_from_source"' -- "$samp" inspect nf4 --follow $weight.weight --against model --json
expect 0 'decoded' -- "$samp" inspect model --follow model.norm
expect 2 'has no weight nothing' -- "$samp" inspect model --follow nothing
expect 3 'is for --follow' -- "$samp" inspect model --against model
exit $failed
