#!/usr/bin/env python3
"""Compares the speed of samp's tokenizers with Hugging Face's, one thread each, on 1 MB of prose and on texts
that are hard for a tokenizer: one letter, spaces, digits, random letters.

usage: bench_tokenizer.py BUILD PROSE FOLDER...     needs tokenizers
BUILD holds bench_tokenizer, PROSE is a text file (its first MB is taken), each FOLDER has a tokenizer.json.
A line a text: megabytes a second of both, their ratio, and whether the ids are as many. A run of the other side that
takes longer than a minute is given up."""
import os
import random
import subprocess
import sys
import tempfile

N_BYTES, RUNS, LIMIT_SECONDS = 1000000, 3, 60


def texts(prose):
    draw = random.Random(5)
    with open(prose, encoding="utf-8") as file:
        head = file.read(N_BYTES)
    return {"prose": head, "one letter": "a" * N_BYTES, "spaces": " " * N_BYTES,
            "digits": "1234567890" * (N_BYTES // 10),
            "random letters": "".join(draw.choice("etaoinshrdlu") for _ in range(N_BYTES))}


OTHER = """
import json, sys, time, tokenizers
tokenizer = tokenizers.Tokenizer.from_file(sys.argv[1])
text = open(sys.argv[2], encoding="utf-8", newline="").read()
best, count = 1e9, 0
for _ in range(int(sys.argv[3])):
    start = time.process_time()
    count = len(tokenizer.encode(text, add_special_tokens=False).ids)
    best = min(best, time.process_time() - start)
print(best, count)
"""


def other_seconds(folder, path):
    """(seconds, tokens) of Hugging Face's tokenizers; None: longer than the limit."""
    command = [sys.executable, "-c", OTHER, folder + "/tokenizer.json", path, str(RUNS)]
    environment = {**os.environ, "RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    try:
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True,
                             timeout=LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        return None
    seconds, count = run.stdout.split()
    return float(seconds), int(count)


def our_seconds(build, folder, path):
    run = subprocess.run([build + "/bench_tokenizer", folder, path], capture_output=True, text=True, check=True)
    seconds, count = run.stdout.split()
    return float(seconds), int(count)


def main(build, prose, folders):
    with tempfile.TemporaryDirectory() as scratch:
        for folder in folders:
            print(folder)
            for name, text in texts(prose).items():
                path = scratch + "/text"
                with open(path, "w", encoding="utf-8", newline="") as out:
                    out.write(text)
                size = os.path.getsize(path) / 1e6
                ours, other = our_seconds(build, folder, path), other_seconds(folder, path)
                theirs = f"tokenizers {size / other[0]:6.2f} MB/s, ratio {other[0] / ours[0]:6.1f}" if other else \
                    f"tokenizers over {LIMIT_SECONDS} s"
                same = "" if not other else ", as many ids" if other[1] == ours[1] else \
                    f", {ours[1]} ids against {other[1]}"
                print(f"  {name:16} samp {size / ours[0]:6.2f} MB/s, {theirs}{same}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
