#!/usr/bin/env python3
"""KL divergence at equal bytes: samp's plans beside llama.cpp's files, bitsandbytes' NF4 and the fixed recipe, all made
and measured in this run on the same windows of every text (512 tokens, the second half scored).

Files of llama.cpp are made with an importance matrix of the calibration text and measured by llama.cpp itself, its own
8-bit activations included; bitsandbytes NF4 is our recipe "nf4", equal to its files byte for byte, its head left in 16
bits. Bytes are those of the weights alone. Needs the Python package gguf to count them in a GGUF. A model that is
published in 4 bits only: llama-quantize --allow-requantize PUBLISHED.gguf F16.gguf F16, and samp import of the same.

usage: compare_peers.py --gguf F16.gguf --model FOLDER --llama BIN_FOLDER --samp BIN --sensitivity S.json
           --calib TEXT --work FOLDER --out RESULT.json [--windows N] [--budgets MB,…] [--peers NAME,…]
           STRATUM=TEXT…
"""
import argparse, json, os, re, subprocess, sys, time

PEERS = [("Q4_0 pure", "Q4_0", True), ("IQ4_NL pure", "IQ4_NL", True), ("Q4_1 pure", "Q4_1", True)] + [
    (t, t, False) for t in "Q4_0 Q4_1 IQ4_NL IQ4_XS Q4_K_S Q4_K_M Q5_K_M Q6_K Q8_0".split()]
BUDGETS = [75.8, 84.2, 89.9, 100.3, 103.7, 110.3, 136.6]  # MB: the sizes of peers


def run(*command):
    start = time.time()
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    print(f"  {time.time() - start:6.1f} s  {' '.join(map(str, command))[:110]}", flush=True)
    return done.stdout + done.stderr


def kept(path, make):
    """What make() returns, or what it returned in an earlier run."""
    if not os.path.exists(path):
        value = make()
        with open(path + ".tmp", "w") as f:
            json.dump(value, f)
        os.rename(path + ".tmp", path)
    return json.load(open(path))


def gguf_bytes(path):
    from gguf import GGUFReader
    return int(sum(t.n_bytes for t in GGUFReader(path).tensors))


def llama_kl(o, path, stratum, text):
    base = f"{o.work}/{stratum}.base"
    windows = ["-c", 512, "--chunks", o.windows, "-t", o.threads]
    if not os.path.exists(base):
        run(f"{o.llama}/llama-perplexity", "-m", o.gguf, "-f", text, "--kl-divergence-base", base + ".tmp", *windows)
        os.rename(base + ".tmp", base)
    said = run(f"{o.llama}/llama-perplexity", "-m", path, "-f", text, "--kl-divergence-base", base, "--kl-divergence",
               *windows)
    value, error = re.search(r"Mean\s+KLD:\s+([\d.eE+-]+)\s*±\s*([\d.eE+-]+)", said).groups()
    return {"value": float(value), "low": float(value) - 1.96 * float(error), "high": float(value) + 1.96 * float(error)}


def peer(o, name, kind, pure):
    path = f"{o.work}/{name.replace(' ', '-')}.gguf"
    if not os.path.exists(path):
        run(f"{o.llama}/llama-quantize", "--imatrix", o.imatrix, *(["--pure"] if pure else []), o.gguf, path + ".tmp", kind,
            o.threads)
        os.rename(path + ".tmp", path)
    return {"name": name, "engine": "llama.cpp", "weight_bytes": gguf_bytes(path),
            "kl": {s: llama_kl(o, path, s, t) for s, t in o.texts}}


def samp_kl(o, folder, name, extra):
    said = run(o.samp, "eval", folder, "--baseline", o.model, "--score", "second-half", "--windows", o.windows,
               "--keep-logits", f"{o.work}/logits", "--json", *(t for _, t in o.texts))
    root = json.loads(said[said.index("{"):said.rindex("}") + 1])
    return {"name": name, "engine": "samp", "weight_bytes": root["weight_bytes"], **extra,
            "kl": {s: r["kl_mean"] for (s, _), r in zip(o.texts, root["texts"])},
            "top1": {s: r["top1_agreement"]["value"] for (s, _), r in zip(o.texts, root["texts"])}}


def plan(o, megabytes):
    folder, file = f"{o.work}/plan-{megabytes}", f"{o.work}/plan-{megabytes}.json"
    if not os.path.exists(folder):
        run(o.samp, "plan", "--sensitivity", o.sensitivity, "--budget", f"{megabytes}MB", "--out", file)
        run(o.samp, "quantize", o.model, "--plan", file, "--out", folder)
    return samp_kl(o, folder, f"plan {megabytes} MB", {"predicted_kl": json.load(open(file))["predicted_kl"]})


def recipe(o, name, label):
    folder = f"{o.work}/recipe-{name}"
    if not os.path.exists(folder):
        run(o.samp, "quantize", o.model, "--recipe", name, "--out", folder)
    return samp_kl(o, folder, label, {})


def table(rows, strata):
    best = {}
    print(f"\n{'':26}{'MB':>7}  " + "".join(f"{s:>9}" for s in strata) + "   of the best peer no larger")
    for r in sorted(rows, key=lambda r: (r["weight_bytes"], r["engine"] == "samp")):
        mean = [r["kl"][s]["value"] for s in strata]
        ratios = ""
        if r["name"].startswith("plan"):
            peers = [p for p in rows if p["engine"] == "llama.cpp" and p["weight_bytes"] <= r["weight_bytes"] * 1.005]
            r["of_best_peer"] = {s: r["kl"][s]["value"] / min(p["kl"][s]["value"] for p in peers) for s in strata}
            r["mean_of_best_peer"] = sum(mean) / min(sum(p["kl"][s]["value"] for s in strata) for p in peers)
            ratios = "".join(f"{r['of_best_peer'][s]:7.2f}" for s in strata) + f"   mean {r['mean_of_best_peer']:.2f}"
        print(f"{r['name']:26}{r['weight_bytes'] / 1e6:7.1f}  " + "".join(f"{m:9.4f}" for m in mean) + "   " + ratios)


def main():
    a = argparse.ArgumentParser(usage=__doc__)
    for name in "gguf model llama samp sensitivity calib work out".split():
        a.add_argument("--" + name, required=True)
    a.add_argument("--windows", type=int, default=4)
    a.add_argument("--threads", type=int, default=os.cpu_count())
    a.add_argument("--budgets", default=",".join(map(str, BUDGETS)))
    a.add_argument("--peers", default=",".join(name for name, _, _ in PEERS))
    a.add_argument("texts", nargs="+")
    o = a.parse_args()
    o.texts = [tuple(t.split("=", 1)) for t in o.texts]
    os.makedirs(o.work, exist_ok=True)
    rows = []
    for mb in map(float, o.budgets.split(",")):
        rows.append(kept(f"{o.work}/plan-{mb}.result", lambda: plan(o, mb)))
    rows.append(kept(f"{o.work}/samp.result", lambda: recipe(o, "samp", "fixed recipe (samp)")))
    rows.append(kept(f"{o.work}/nf4.result", lambda: recipe(o, "nf4", "bitsandbytes NF4")))
    o.imatrix = f"{o.work}/imatrix.gguf"
    if not os.path.exists(o.imatrix):
        run(f"{o.llama}/llama-imatrix", "-m", o.gguf, "-f", o.calib, "-c", 512, "-t", o.threads, "-o", o.imatrix)
    for name, kind, pure in PEERS:
        if name in o.peers.split(","):
            rows.append(kept(f"{o.work}/{name.replace(' ', '-')}.result", lambda: peer(o, name, kind, pure)))
    table(rows, [s for s, _ in o.texts])
    json.dump({"schema_version": 1, "date": time.strftime("%Y-%m-%d"), "windows": o.windows, "context": 512,
               "score": "second-half", "models": rows}, open(o.out, "w"), indent=1)


if __name__ == "__main__":
    main()
