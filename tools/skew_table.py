#!/usr/bin/env python3
"""The price of calibrating on the wrong text: a table of KL divergence, calibration by text that is judged.

One plan for all, so that nothing differs but what weights were rounded for: for each calibration samp measure, samp
quantize with its moments, samp eval on every judged text (windows of 512, the second half scored). The stratified mix,
named last, must be within a tenth of the best in every column; the exit status is 1 when it is not. What is there in
the work folder is not made again.

usage: skew_table.py --model FOLDER --samp BIN --plan PLAN.json --work FOLDER --out RESULT.json [--measure "OPTIONS"]
           [--windows N] --calib NAME=JSONL… --judge NAME=TEXT…
"""
import argparse, json, os, sys, time
from compare_peers import kept, run


def judged(o, name, calib):
    sensitivity, folder = f"{o.work}/{name}.json", f"{o.work}/{name}"
    if not os.path.exists(sensitivity):
        run(o.samp, "measure", o.model, "--calib", calib, "--out", sensitivity, *o.measure.split())
    if not os.path.exists(folder):
        run(o.samp, "quantize", o.model, "--plan", o.plan, "--moments", sensitivity + ".safetensors", "--out", folder)
    said = run(o.samp, "eval", folder, "--baseline", o.model, "--score", "second-half", "--windows", o.windows,
               "--keep-logits", f"{o.work}/logits", "--json", *(t for _, t in o.judge))
    root = json.loads(said[said.index("{"):said.rindex("}") + 1])
    return {"calibration": name, "weight_bytes": root["weight_bytes"],
            "kl": {s: r["kl_mean"] for (s, _), r in zip(o.judge, root["texts"])}}


def main():
    a = argparse.ArgumentParser(usage=__doc__)
    for name in "model samp plan work out".split():
        a.add_argument("--" + name, required=True)
    a.add_argument("--measure", default="")
    a.add_argument("--windows", type=int, default=16)  # 4 leave a noise of 4 %
    a.add_argument("--calib", nargs="+", required=True)
    a.add_argument("--judge", nargs="+", required=True)
    o = a.parse_args()
    o.judge = [tuple(t.split("=", 1)) for t in o.judge]
    os.makedirs(o.work, exist_ok=True)
    rows = [kept(f"{o.work}/{name}.result", lambda: judged(o, name, text))
            for name, text in (t.split("=", 1) for t in o.calib)]
    texts = [s for s, _ in o.judge]
    print("\ncalibrated on".ljust(17) + "".join(f"{s:>10}" for s in texts))
    for r in rows:
        print(r["calibration"].ljust(16) + "".join(f"{r['kl'][s]['value']:10.5f}" for s in texts))
    best = {s: min(r["kl"][s]["value"] for r in rows) for s in texts}
    over = {s: rows[-1]["kl"][s]["value"] / best[s] for s in texts}
    print("mix over best".ljust(16) + "".join(f"{over[s]:10.3f}" for s in texts))
    json.dump({"schema_version": 1, "date": time.strftime("%Y-%m-%d"), "windows": o.windows, "context": 512,
               "score": "second-half", "measure": o.measure, "rows": rows, "mix_over_best": over},
              open(o.out, "w"), indent=1)
    sys.exit(max(over.values()) > 1.1)


if __name__ == "__main__":
    main()
