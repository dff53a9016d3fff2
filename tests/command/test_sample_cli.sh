#!/usr/bin/env bash
# test_sample_cli.sh BUILD: samp sample as its user meets it: files, pipes, exit codes, memory.
set -u
. "$(dirname "$0")/common.sh"
cd "$work" || exit 1

# log N SEED CODE: N requests, CODE % of them code, the others chat; every text different.
log() {
    awk -v n="$1" -v seed="$2" -v code="$3" 'BEGIN {
        srand(seed)
        head = "{\"messages\":[{\"role\":\"user\",\"content\":\""
        tail = "\"}]}\n"
        program = head "def f_%d_%d(x):\\n    return x + %d\\n\\nfor i in range(%d):\\n" \
            "    print(f_%d(i))" tail
        letter = head "Could you please tell me what I should write to my friend %d_%d about the " \
            "party? Thank you, mail me at user%d@example.com" tail
        for (i = 0; i < n; i++) {
            if (i % 100 < code) printf program, seed, i, rand() * 1e6, rand() * 99, i
            else printf letter, seed, i, rand() * 1e6
        }
    }'
}

log 3000 1 70 >log.jsonl
expect 0 'calib.jsonl: 200 records' -- "$samp" sample log.jsonl --out calib.jsonl --records 200
[ "$(wc -l <calib.jsonl)" = 200 ] || fail "calib.jsonl has $(wc -l <calib.jsonl) lines"
code=$(grep -c '"stratum":"code"' calib.jsonl)
[ "$code" = 140 ] || fail "not 70 % code: $code of 200"
grep -q '@example.com' calib.jsonl && fail 'an e-mail address was not redacted'
grep -qF '[EMAIL]' calib.jsonl || fail 'no placeholder'
grep -qF "$(sha256sum calib.jsonl | cut -c1-64)" calib.fingerprint.json ||
    fail 'the fingerprint names other bytes'

# The same bytes again, from a file, a pipe and standard input but for the name of the source.
"$samp" sample log.jsonl --out again.jsonl --records 200 >/dev/null
cmp -s calib.jsonl again.jsonl || fail 'two runs differ'
"$samp" sample - --out piped.jsonl --records 200 <log.jsonl >/dev/null
cmp -s <(sed 's/"source":"log.jsonl"/"source":"-"/' calib.jsonl) piped.jsonl ||
    fail 'standard input differs'
"$samp" sample log.jsonl --out other.jsonl --records 200 --seed 2 >/dev/null
cmp -s calib.jsonl other.jsonl && fail 'another seed drew the same'
expect 0 '"sha256"' -- "$samp" sample log.jsonl --out j.jsonl --json
expect 0 'not redacted' -- "$samp" sample log.jsonl --out raw.jsonl --no-redact
grep -q '@example.com' raw.jsonl || fail '--no-redact redacted'
expect 0 'at most' -- "$samp" sample --help
"$samp" sample log.jsonl --out small.jsonl --bytes 5kB --no-redact --json |
    grep -q '"kept": [1-9]' || fail '--bytes'

# The article's failure: a calibration of 5 % code for traffic of 70 %.
log 3000 2 5 >prose.jsonl
"$samp" sample prose.jsonl --out wrong.jsonl --records 200 >/dev/null
expect 0 'the mixes agree' -- "$samp" sample --compare calib.jsonl log.jsonl
expect 1 'skewed:' -- "$samp" sample --compare wrong.jsonl log.jsonl
expect 0 'the mixes agree' -- "$samp" sample --compare wrong.jsonl log.jsonl --max-skew 0.7
sed 's/{"messages"/{"team":"a","body":{"messages"/; s/$/}/' log.jsonl >wrapped.jsonl
expect 0 'wrapped.c.jsonl: 50' -- "$samp" sample wrapped.jsonl --out wrapped.c.jsonl --records 50 \
    --field body --stratum-field team
expect 0 'the mixes agree' -- "$samp" sample --compare wrapped.c.jsonl wrapped.jsonl \
    --field body --stratum-field team
expect 1 '"skewed": true' -- "$samp" sample --compare log.jsonl prose.jsonl --json

# Damaged and foreign lines are counted, not fatal.
head -n 5 log.jsonl >damaged.jsonl
printf '{broken\n{"text":"a\xffb\\ud800 and a tail"}\n17\n' >>damaged.jsonl
expect 0 '2 of 8 lines are no records' -- "$samp" sample damaged.jsonl --out d.jsonl
expect 0 'damaged.jsonl, line 6:' -- "$samp" sample damaged.jsonl --out d.jsonl
expect 2 'none of 2 lines is a record' -- "$samp" sample <(echo x; echo y) --out none.jsonl
gzip -k log.jsonl
expect 2 'zcat log.jsonl.gz | samp sample -' -- "$samp" sample log.jsonl.gz --out none.jsonl
expect 2 'absent.jsonl' -- "$samp" sample absent.jsonl --out none.jsonl
expect 3 'give --out FILE, or --compare' -- "$samp" sample log.jsonl
expect 3 'takes two logs' -- "$samp" sample --compare log.jsonl
expect 3 'expected 1 to 10000' -- "$samp" sample log.jsonl --out x.jsonl --records 0
[ ! -e none.jsonl ] && [ ! -e none.fingerprint.json ] || fail 'a failed run left files'
ls -A | grep -qE '\.tmp-|^\.samp' && fail 'temporary files are left'
expect 2 '/proc/self' -- "$samp" sample log.jsonl --out /proc/self/out.jsonl

# A full disk under the sample: nothing appears.
if [ -w /dev/full ] && mkdir full && mount -t tmpfs -o size=64k tmpfs full 2>/dev/null; then
    expect 2 'full' -- "$samp" sample log.jsonl --out full/c.jsonl --records 3000
    [ -z "$(ls -A full)" ] || fail "files are left on the full disk: $(ls -A full)"
    umount full
fi

# Bounded memory: a pipe of 60,000 records with 200 MB of address space, sanitizers apart.
if ! nm "$samp" 2>/dev/null | grep -q __asan_init; then
    log 60000 3 50 | (ulimit -v 204800; "$samp" sample - --out bounded.jsonl >/dev/null) ||
        fail 'more than 200 MB'
fi
exit $failed
