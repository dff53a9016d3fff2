#!/usr/bin/env bash
# test_plan_cli.sh BUILD: what samp plan prints, on a made-up sensitivity of two layers and a head.
set -u
. "$(dirname "$0")/common.sh"
cd "$work" || exit 1
has() { grep -qE -- "$2" "$1" || { fail "$1 has no line «$2»"; cat "$1"; }; }
lacks() { grep -qE -- "$2" "$1" && fail "$1 has a line «$2»"; }

# group NAME KIND LAYER ALPHA WEIGHT: 6.3 million weights, errors as the formats have them.
group() {
    local choice choices='' comma=''
    for choice in 'nf4a 3250000 4e-3' 'int6 4840000 4e-4' 'fp8_e4m3 6310000 6e-4' 'int8 6420000 2e-5'; do
        set -- "$1" "$2" "$3" "$4" "$5" $choice
        choices="$choices$comma{\"format\":\"$6\",\"rounding\":\"search\",\"bytes\":$7,\"error\":$8,\"kl\":$(awk "BEGIN{print $8*$4}")}"
        comma=,
    done
    printf '{"name":"%s","kind":"%s","layer":%s,"rows":3072,"cols":2048,"alpha":%s,"activation_kl":2e-4,"weights":["%s"],"choices":[%s]}' \
        "$1" "$2" "$3" "$4" "$5" "$choices"
}
{
    printf '{"schema_version":1,"tool":"test","model":"made-up","model_digest":"%064d","calibration":"none","calibration_digest":"%064d","tokens":1,"probe_tokens":1,"bias":1.0,"groups":[' 0 0
    for layer in 0 1; do
        group "layers.$layer.qkv" qkv $layer 1 "model.layers.$layer.self_attn.q_proj.weight"; printf ,
        group "layers.$layer.o" o $layer 2 "model.layers.$layer.self_attn.o_proj.weight"; printf ,
        group "layers.$layer.gate_up" gate_up $layer 3 "model.layers.$layer.mlp.gate_proj.weight"; printf ,
        group "layers.$layer.down" down $layer 4 "model.layers.$layer.mlp.down_proj.weight"; printf ,
    done
    group head head 0 5 lm_head.weight
    printf ']}'
} >s.json

"$samp" plan -s s.json -b 40MB >plain || fail "exit code $?"
has plain '^[0-9.]+ MB of weights, at most [0-9.]+ MB with norms and headers; predicted KL 0\.[0-9]{5} nats'
has plain '^Optimality gap 0: '
has plain '^1\.00 MB more would (lower the predicted KL by 0\.[0-9]+, to 0\.[0-9]+ \(-[0-9.]+ %\)|buy nothing)'
has plain '^The Pareto front'
has plain '<- this plan$'
lacks plain ' ms' # no hardware, no times

"$samp" plan -s s.json >all || fail "exit code $?"
has all 'more would buy nothing: every group has its most accurate format\.$'

# Times: what binds, and where the limit is; a8 only under a limit of time.
"$samp" plan -s s.json --hardware cpu --batch 64 >free || fail "exit code $?"
has free 'ms a token of each of 64 sequences on two cores of an Intel Xeon'
has free 'matrix products [0-9.]+, attention to 512 positions [0-9.]+; (multiplying|reading weights|attention) binds'
has free '^head .* a16 '
lacks free 'fp8'
ms=$(sed -n 's/ ms a token of each.*//p' free)
limit=$(awk "BEGIN{print $ms*0.8}")
"$samp" plan -s s.json --hardware cpu --batch 64 --max-ms-per-token "$limit" >fast || fail "exit code $?"
has fast '^The limit of time binds: '
has fast ' a8'
"$samp" plan -s s.json --hardware cpu --batch 64 --max-ms-per-token "$limit" --a16 >stiff 2>&1
case $? in 0) lacks stiff ' a8' ;; 1) ;; *) fail "--a16 gives $?" ;; esac
"$samp" plan -s s.json --hardware cpu --max-ms-per-token 0.0001 2>none; [ $? = 1 ] || fail "an impossible time"
has none 'cannot be met'
"$samp" plan -s s.json --max-ms-per-token 1 2>none; [ $? = 3 ] || fail "a time without hardware"

# FP8 where a chip multiplies it, not on an A100; a published profile says what its times are.
"$samp" plan -s s.json --hardware h100 --pin 'head=fp8_e4m3' >h100 || fail "exit code $?"
has h100 '^head +fp8_e4m3 1'
"$samp" plan -s s.json --hardware a100 --groups >a100 || fail "exit code $?"
lacks a100 'fp8'
has a100 'at least \(not all formats were measured there\)'
"$samp" plan -s s.json --hardware rtx4090 -b 40MB --out plan.json >/dev/null || fail "exit code $?"
has plan.json '"hardware": "rtx4090"'
has plan.json '"seconds_measured": false'
exit $failed
