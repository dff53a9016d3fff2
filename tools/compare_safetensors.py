#!/usr/bin/env python3
"""Compares samp's safetensors reader with the safetensors package (the Rust library) on mutated files.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install safetensors==0.8.0
    cmake --preset release && cmake --build --preset release --target samp_file
    /tmp/venv/bin/python tools/compare_safetensors.py --build build/release --files 20000

Whatever samp accepts the library must accept, with the same tensors; what samp alone refuses must be one of its stricter
rules (STRICTER below, file/safetensors.h). Anything else is printed and makes the exit status 1."""
import argparse
import collections
import json
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

from safetensors import SafetensorError, deserialize

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Parts of samp's sentences for files it refuses by its own rules.
STRICTER = ("is there twice", "\" twice", "name is ", "holds control byte", "more than 8 dimensions", "holds a NUL",
            "expected an object", "expected '{'", "expected a string as dtype")

CHECKER = r"""
#include "file/safetensors.h"
#include <stdio.h>
#include <stdlib.h>
/* Reads (u32 length, bytes) from standard input; one line each: "ok name dtype shape bytes, ..." or "no sentence". */
int main(void)
{
    unsigned length;
    while (fread(&length, 4, 1, stdin) == 1) {
        unsigned char *bytes = malloc(length ? length : 1);
        if (!bytes || fread(bytes, 1, length, stdin) != length) return 1;
        samp_error error = {0};
        samp_safetensors *file;
        if (samp_safetensors_parse(&file, bytes, length, length, "file", &error) != SAMP_OK) {
            printf("no %s\n", error.message);
        } else {
            printf("ok %zu", samp_safetensors_count(file));
            for (size_t i = 0; i < samp_safetensors_count(file); i++) {
                const samp_tensor_info *tensor = samp_safetensors_at(file, i);
                printf("\t%s\t%s\t", tensor->name, samp_dtype_name(tensor->dtype));
                for (int d = 0; d < tensor->rank; d++) printf("%llu,", (unsigned long long)tensor->shape[d]);
                printf("\t%llu", (unsigned long long)tensor->bytes);
            }
            printf("\n");
        }
        samp_safetensors_close(file);
        free(bytes);
        fflush(stdout);
    }
    return 0;
}
"""

PIECES = [b'{', b'}', b'[', b']', b',', b':', b'"', b'""', b' ', b'\n', b'\t', b'\0', b'null', b'true', b'1', b'0', b'-', b'-0', b'00',
          b'1.0', b'1e2', b'18446744073709551615', b'18446744073709551616', b'4294967296', b'\\u0000', b'\\ud800',
          b'\\ud83d\\ude00', b'\xff', b'\xc0\xaf', b'\xc3\xa9', b'\xef\xbb\xbf', b'"dtype"', b'"shape"', b'"data_offsets"',
          b'"__metadata__"', b'"F32"', b'"F4"', b'"F6_E2M3"', b'"f32"', b'"BF16"', b'[0,0]', b'[]', b'{}', b'"x":1,', b'"x":[[{}]],']


def header(tensors, metadata=None):
    parts = {} if metadata is None else {"__metadata__": metadata}
    parts.update({name: {"dtype": dtype, "shape": shape, "data_offsets": list(offsets)}
                  for name, dtype, shape, offsets in tensors})
    return json.dumps(parts, separators=(",", ":"), ensure_ascii=False).encode()


def originals():
    """(header, bytes of data) of good files."""
    yield header([]), 0
    yield header([("a", "F32", [], (0, 4))]), 4
    yield header([("a", "F16", [2, 3], (0, 12)), ("b", "U8", [0], (12, 12)), ("c", "I64", [1], (12, 20))]), 20
    yield header([("b", "BF16", [2], (2, 6)), ("a", "BOOL", [2], (0, 2))], {"format": "pt", "k": "v\n"}), 6
    yield header([("a", "F4", [2, 2], (0, 2)), ("b", "F6_E3M2", [4], (2, 5)), ("c", "F8_E8M0", [1], (5, 6))]), 6
    yield header([("model.layers.0.mlp.up_proj.weight", "F8_E4M3", [3, 5], (0, 15)), ("\u20ac", "C64", [1], (15, 23))]), 23
    yield b'{"a":{"other":[1,{"x":-1.5e3}],"dtype":"U16","shape":[1],"data_offsets":[0,2]}}  ', 2


def mutate(rng, text, data):
    text = bytearray(text)
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3, 6))):
        at = rng.randrange(len(text) + 1)
        kind = rng.randrange(7)
        if kind == 0 and text:
            text[at % len(text)] ^= 1 << rng.randrange(8)
        elif kind == 1 and text:
            del text[at:at + rng.choice((1, 1, 2, 5, 20))]
        elif kind == 2:
            text[at:at] = rng.choice(PIECES)
        elif kind == 3:
            text[at:at + rng.choice((1, 1, 2, 4))] = rng.choice(PIECES)
        elif kind == 4:
            digits = [i for i, c in enumerate(text) if 48 <= c <= 57]
            if digits:
                text[rng.choice(digits)] = rng.choice(b"0123456789")
        elif kind == 5 and len(text) > 4:
            begin = rng.randrange(len(text))
            end = min(len(text), begin + rng.randrange(60))
            text[at:at] = text[begin:end]
        elif kind == 6:
            data = max(0, data + rng.choice((-1, 1, 4, -4, 100)))
    length = len(text)
    if rng.random() < 0.05:
        length = rng.choice((0, 1, length + 1, length - 1, length + data, 100_000_000, 100_000_001, 2**63, 2**64 - 1, 2**64 - 8))
    file = struct.pack("<Q", length % 2**64) + bytes(text) + bytes(data)
    return file[:rng.randrange(9)] if rng.random() < 0.01 else file


def by_library(file):
    """(accepted, description or error)"""
    try:
        tensors = deserialize(file)
    except SafetensorError as error:
        return False, str(error)
    return True, sorted((name, len(view["data"]), tuple(view["shape"])) for name, view in tensors)


def by_samp(checker, file):
    checker.stdin.write(struct.pack("<I", len(file)) + file)
    checker.stdin.flush()
    line = checker.stdout.readline().decode("utf-8", "replace").rstrip("\n")
    if line.startswith("no "):
        return False, line[3:]
    fields = line.split("\t")[1:]
    return True, sorted((fields[i], int(fields[i + 3]), tuple(int(d) for d in fields[i + 2].split(",") if d))
                        for i in range(0, len(fields), 4))


def judge(file, samp, library):
    """A word for the pair of answers; those in capitals are faults."""
    if samp[0] != library[0]:
        if samp[0]:
            return "SAMP ALONE ACCEPTS"
        return "samp stricter" if any(part in samp[1] for part in STRICTER) else "LIBRARY ALONE ACCEPTS"
    if not samp[0]:
        return "both refuse"
    return "both accept" if samp[1] == library[1] else "DIFFERENT TENSORS"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, help="build folder with libsamp_file.a and what it needs")
    parser.add_argument("--files", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    build = pathlib.Path(options.build)
    rng = random.Random(options.seed)
    good = list(originals())
    counts, rules = collections.Counter(), collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        source, program = pathlib.Path(folder, "check.c"), pathlib.Path(folder, "check")
        source.write_text(CHECKER)
        subprocess.run(["cc", "-std=c17", "-D_GNU_SOURCE", "-I", ROOT / "src", source, build / "libsamp_file.a",
                        build / "libsamp_format.a", build / "libsamp_base.a", "-ljansson", "-lcrypto", "-lpthread", "-lm",
                        "-o", program], check=True)
        checker = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(options.files):
            file = mutate(rng, *rng.choice(good))
            samp, library = by_samp(checker, file), by_library(file)
            word = judge(file, samp, library)
            counts[word] += 1
            if word == "samp stricter":
                rules[next(part for part in STRICTER if part in samp[1])] += 1
            if word.isupper():
                print(word, file, samp[1], library[1], sep="\n    ")
        checker.stdin.close()
        checker.wait()
    for word, n in sorted(counts.items()):
        print(f"{word:24}{n:8}")
    for rule, n in sorted(rules.items()):
        print(f"    {rule:20}{n:8}")
    return any(word.isupper() for word in counts)


if __name__ == "__main__":
    sys.exit(main())
