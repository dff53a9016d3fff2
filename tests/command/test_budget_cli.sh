#!/usr/bin/env bash
# test_budget_cli.sh BUILD: `samp quantize --budget` on a small real model: what comes out, what is
# kept, a killed run, a second budget, another sample, and the answers no.
set -u
. "$(dirname "$0")/common.sh"
stories=${SAMP_DATA:-}/stories260K
[ -f "$stories/stories260K.bin" ] || { echo "SKIP: no $stories/stories260K.bin"; exit 77; }
cd "$work" || exit 1

"$samp" import "$stories/stories260K.bin" --tokenizer "$stories/tok512.bin" --out model \
    >/dev/null || exit 1
# Forty records of two strata, every text different.
sample() {
    awk -v seed="$1" 'BEGIN { srand(seed); for (i = 0; i < 40; i++) {
        text = "Once upon a time a " (i % 2 ? "dog" : "cat") " counted to " int(rand() * 1e6)
        for (j = 0; j < 40; j++) text = text " and saw a big red ball number " int(rand() * 999) "."
        printf "{\"text\":\"%s\",\"stratum\":\"%s\"}\n", text, i % 2 ? "dogs" : "cats" } }'
}
sample 1 >calib.jsonl
run=("$samp" quantize model --calib calib.jsonl --tokens 4096 --eval-tokens 1024)

expect 3 'needs --calib FILE' -- "$samp" quantize model --budget 1MB --out x
expect 3 '--budget BYTES' -- "${run[@]}" --budget 200kB --recipe samp --out x
expect 2 'none.jsonl' -- "$samp" quantize model --budget 200kB --calib none.jsonl --out x
expect 1 'no plan of model needs less than' -- "${run[@]}" --budget 10kB --out x
[ ! -e x ] || fail 'a refused run left an artifact'

# A dry run measures nothing and writes nothing.
expect 3 'lies in DIR.samp' -- "${run[@]}" --budget 210kB --dry-run
expect 2 'holds no measurement' -- "${run[@]}" --budget 210kB --out a --dry-run
[ ! -e a.samp ] && [ ! -e a ] || fail 'a dry run wrote something'

# What comes out: the table, the files, the proof in samp.json.
"${run[@]}" --budget 210kB --out a/ >a.txt || fail "exit $?"
for word in 'weights' 'bits a weight' 'files' 'predicted KL' 'measured KL' 'same top-1' \
    'perplexity ratio' 'valid: 0 errors' 'cats' 'dogs' 'a.samp holds'; do
    grep -qF "$word" a.txt || fail "the table has no «$word»"
done
for name in sensitivity.json sensitivity.json.safetensors plan.json evaluation.json report.html; do
    [ -s "a.samp/$name" ] || fail "no a.samp/$name"
done
grep -q '"measured"' a/samp.json || fail 'samp.json has no measured KL'
[ "$(stat -c %s a/model.safetensors)" -le 210000 ] || fail 'more than the budget'
expect 0 'a: 0 errors, 0 warnings' -- "$samp" validate --deep a

# The page: other artifacts and peers on it, and what does not fit is refused with its name.
for word in 'Sensitivity map' 'held out' 'cats' 'sensitivity.json, SHA-256'; do
    grep -qF "$word" a.samp/report.html || fail "the page has no «$word»"
done
"$samp" quantize model --recipe samp --out fixed >/dev/null
head -c 4000 calib.jsonl >cats.txt
"$samp" eval fixed -b model --ctx 128 --json cats.txt >fixed.json || fail "eval: exit $?"
grep -q '"quant_type": "samp"' fixed.json || fail 'the evaluation does not name the recipe'

# What a dry run says is what was written, to the byte; the plan says it too.
bytes_of() { stat -c %s "$1/model.safetensors" | sed ':a;s/\B[0-9]\{3\}\>/,&/;ta'; }
expect 0 "$(bytes_of fixed)" -- "$samp" quantize model --recipe samp --dry-run
expect 0 "$(bytes_of a)" -- "$samp" quantize model --plan a.samp/plan.json --dry-run
expect 0 "$(bytes_of a)" -- "${run[@]}" --budget 210kB --out a --dry-run
expect 0 'it fits, and leaves' -- "$samp" quantize model --plan a.samp/plan.json --out new --dry-run
expect 0 "$(bytes_of a) bytes of files" -- "$samp" plan -s a.samp/sensitivity.json -b 210kB
[ ! -e new ] || fail 'a dry run wrote a folder'
cat >peers.json <<'JSON'
[{"name": "Q4_<K>", "weight_bytes": 180000, "kl": {"cats": {"value": 0.1, "low": 0.09, "high": 0.11}}}]
JSON
sensitivity=a.samp/sensitivity.json
page=("$samp" report a -b model --repetitions 0 --html page.html --sensitivity "$sensitivity")
expect 0 'weights on disk' -- "${page[@]}" -e a.samp/evaluation.json -e fixed.json --peers peers.json
for word in 'Q4_&lt;K&gt;' 'fixed recipe' 'Predicted against measured' 'dogs'; do
    grep -qF "$word" page.html || fail "the page has no «$word»"
done
if command -v xmllint >/dev/null; then
    xmllint --noout page.html || fail 'the page is not well-formed'
fi
echo '{"peers": [{"name": "x", "weight_bytes": 1}]}' >bad.json
expect 2 'bad.json: "kl" of peer "x"' -- "${page[@]}" --peers bad.json
expect 2 'expected an array of peers' -- "${page[@]}" --peers fixed.json
page=("$samp" report a -b model --repetitions 0 --html)
expect 2 'plan.json: "calibration" is missing' -- "${page[@]}" q.html -s a.samp/plan.json
expect 2 'no/such/page.html' -- "${page[@]}" no/such/page.html

# The baseline's logits are kept, used again, and not for a baseline that runs otherwise.
"$samp" inspect model >text.txt
kept() { "$samp" eval a -b model --ctx 32 --keep-logits kept --json "$@" text.txt | grep -v seconds; }
kept >one.json; kept >two.json
cmp -s one.json two.json || fail 'kept logits gave other figures'
[ "$(ls kept | wc -l)" = 1 ] || fail 'kept logits were not used again'
kept --kv int8 >three.json
[ "$(ls kept | wc -l)" = 2 ] || fail 'logits of another cache were used'

# Again: nothing is done twice. Another budget: nothing is measured twice.
measured=$(stat -c '%Y %i' a.samp/sensitivity.json)
before=$(cksum <a/samp.json)
[ "$("${run[@]}" --budget 210kB --out a | grep -c 'done before')" = 3 ] || fail 'something was done twice'
[ "$(cksum <a/samp.json)" = "$before" ] || fail 'a second run changed samp.json'
expect 2 'use --force' -- "${run[@]}" --budget 300kB --out a
expect 0 'valid: 0 errors' -- "${run[@]}" --budget 300kB --out a --force
[ "$(stat -c '%Y %i' a.samp/sensitivity.json)" = "$measured" ] || fail 'measured twice for another budget'

# Killed at several moments and run again: the same bytes as undisturbed.
"${run[@]}" --budget 210kB --out b >/dev/null &
for pause in 0.2 0.5 0.8 1.2 1.6; do
    sleep "$pause"; kill -KILL $! 2>/dev/null; wait $! 2>/dev/null
    "${run[@]}" --budget 210kB --out b >/dev/null 2>&1 &
done
wait $! || fail 'the last run after kills failed'
"${run[@]}" --budget 210kB --out c >/dev/null || fail "exit $?"
cmp -s b/model.safetensors c/model.safetensors || fail 'a killed run gave other weights'
cmp -s <(grep -v '"moments"\|"run"\|manifest_sha256' b/samp.json) \
    <(sed 's/c\.samp/b.samp/' c/samp.json | grep -v '"moments"\|"run"\|manifest_sha256') ||
    fail 'a killed run gave another samp.json'
[ ! -e b.samp/sensitivity.json.samp-partial ] || fail 'a partial measurement was left'

# Another sample is another measurement, and never silently replaces an artifact.
sample 2 >calib.jsonl
expect 2 '--force replaces it' -- "${run[@]}" --budget 210kB --out b
# A plain text holds out its end.
for i in $(seq 400); do echo "The cat number $i sat on the mat and looked at the moon."; done >plain.txt
expect 0 'unnamed' -- "$samp" quantize model --budget 210kB --calib plain.txt --tokens 2048 --out p
exit $failed
