#!/usr/bin/env python3
"""Asks the safetensors package (the Rust library) about the files of tests/file/mutants.h and stores its verdicts.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install safetensors==0.8.0
    cmake --preset release && cmake --build --preset release --target test_file_safetensors_verdicts
    /tmp/venv/bin/python tools/compare_safetensors.py build/release/test_file_safetensors_verdicts

Whatever samp accepts the library must accept, with the same tensors; what samp alone refuses must be under one of the rules
in tests/file/test_safetensors_verdicts.c, which name their reasons. Anything else is printed and makes the exit status 1.
The verdicts go to tests/golden/safetensors_verdicts.txt, which the test compares with samp's on every run."""
import argparse
import collections
import hashlib
import importlib.metadata
import io
import pathlib
import struct
import subprocess
import sys

from safetensors import SafetensorError, deserialize

ROOT = pathlib.Path(__file__).resolve().parent.parent


def records(program):
    """(file, verdict, text) of each file; verdict is ok, no or rule."""
    stream = io.BytesIO(subprocess.run([program, "--emit"], check=True, stdout=subprocess.PIPE).stdout)

    def record():
        return stream.read(struct.unpack("<I", stream.read(4))[0])

    while stream.tell() < len(stream.getbuffer()):
        yield record(), record().decode(), record().decode("utf-8", "replace")


def by_library(file):
    """Its tensors, sorted, or None when it refuses the file."""
    try:
        return sorted((name, len(view["data"]), tuple(view["shape"])) for name, view in deserialize(file))
    except SafetensorError:
        return None


def tensors_of(text):
    fields = text.split("\t")
    return sorted((fields[i], int(fields[i + 3]), tuple(int(d) for d in fields[i + 2].split(",") if d))
                  for i in range(0, len(fields) - 1, 4))


def judge(verdict, text, library):
    """A word for the pair of answers; those in capitals are faults."""
    if verdict == "ok":
        if library is None:
            return "SAMP ALONE ACCEPTS"
        return "both accept" if tensors_of(text) == library else "DIFFERENT TENSORS"
    if library is None:
        return "both refuse"
    return f"samp refuses; {text}" if verdict == "rule" else "LIBRARY ALONE ACCEPTS"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="test_file_safetensors_verdicts of a build")
    options = parser.parse_args()
    counts, verdicts, digest = collections.Counter(), [], hashlib.sha256()
    for number, (file, verdict, text) in enumerate(records(options.program)):
        library = by_library(file)
        word = judge(verdict, text, library)
        counts[word] += 1
        digest.update(file)
        verdicts.append("r" if library is None else "a")
        if word.isupper():
            print(f"file {number}: {word}", file, text, library, sep="\n    ")
    summary = [f"{n:6} {word}" for word, n in sorted(counts.items())]
    print("\n".join(summary))
    with open(ROOT / "tests/golden/safetensors_verdicts.txt", "w", encoding="utf-8") as out:
        out.write("# Verdicts on the files of tests/file/mutants.h, a accept and r refuse: tools/compare_safetensors.py\n"
                  f"# safetensors {importlib.metadata.version('safetensors')}\n# sha256 {digest.hexdigest()} of all files\n")
        out.writelines(f"# {line}\n" for line in summary)
        out.writelines("".join(verdicts[i:i + 100]) + "\n" for i in range(0, len(verdicts), 100))
    return any(word.isupper() for word in counts)


if __name__ == "__main__":
    sys.exit(main())
