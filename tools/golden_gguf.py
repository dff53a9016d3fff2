#!/usr/bin/env python3
"""Writes tests/golden/gguf/example.gguf with the gguf package: metadata of every type, and random blocks of every
tensor type samp decodes; and example.bin, the floats the package decodes them to (container: golden_file.py).

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install gguf==0.19.0 numpy
    /tmp/venv/bin/python tools/golden_gguf.py            # made with gguf 0.19.0, numpy 2.4.6
    /tmp/venv/bin/python tools/golden_gguf.py --ggml libggml-base.so   # also checks against llama.cpp's own decoders
"""
import argparse
import ctypes
import pathlib
import sys

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as Type, GGUFWriter, GGUFValueType, dequantize

import golden_file

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "gguf"
# Byte offsets of the fp16 scales in a block.
SCALES = {Type.Q8_0: [0], Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q5_0: [0], Type.Q5_1: [0, 2], Type.Q4_K: [0, 2],
          Type.Q5_K: [0, 2], Type.Q6_K: [208], Type.IQ4_NL: [0]}
ROWS, BLOCKS = 3, 2


def random_blocks(random, kind):
    """[ROWS][BLOCKS*bytes] with every code, and scales that are ordinary, negative, zero, subnormal and the largest."""
    if kind == Type.F32:
        return random.standard_normal((ROWS, 32)).astype(np.float32).view(np.uint8)
    if kind in (Type.F16, Type.BF16):
        bits = random.integers(0, 65536, (ROWS, 32), dtype=np.uint16)
        exponent = 0x7c00 if kind == Type.F16 else 0x7f80
        return np.where(bits & exponent == exponent, bits & 0x83ff, bits).astype(np.uint16).view(np.uint8)
    _, size = GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, (ROWS * BLOCKS, size), dtype=np.uint8)
    special = np.array([0.0117, -0.25, 0.0, 6e-8, 65504.0, 1.0], np.float16)
    for k, at in enumerate(SCALES[kind]):
        scales = np.roll(special, k)[:, None]
        blocks[:, at:at + 2] = np.ascontiguousarray(scales).view(np.uint8)
    return blocks.reshape(ROWS, BLOCKS * size)


def check_ggml(path, kind, blocks, expected):
    """llama.cpp's to_float of this type gives the same bits."""
    class Traits(ctypes.Structure):
        _fields_ = [("name", ctypes.c_char_p), ("block", ctypes.c_int64), ("interleave", ctypes.c_int64),
                    ("size", ctypes.c_size_t), ("quantized", ctypes.c_bool),
                    ("to_float", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64))]
    library = ctypes.CDLL(path)
    library.ggml_get_type_traits.restype = ctypes.POINTER(Traits)
    traits = library.ggml_get_type_traits(int(kind)).contents
    if kind == Type.F32:
        return
    out = np.zeros(expected.size, np.float32)
    source = np.ascontiguousarray(blocks).reshape(-1)
    traits.to_float(source.ctypes.data, out.ctypes.data, out.size)
    differ = np.flatnonzero(out.view(np.uint32) != expected.reshape(-1).view(np.uint32))
    print(f"{kind.name}: {out.size} values, {differ.size} differ from llama.cpp")
    if differ.size:
        sys.exit(f"first: value {differ[0]} is {out[differ[0]]!r}, expected {expected.reshape(-1)[differ[0]]!r}")


def add_metadata(writer):
    writer.add_uint8("t.u8", 255)
    writer.add_int8("t.i8", -128)
    writer.add_uint16("t.u16", 65535)
    writer.add_int16("t.i16", -32768)
    writer.add_uint32("t.u32", 4294967295)
    writer.add_int32("t.i32", -2147483648)
    writer.add_uint64("t.u64", 2**64 - 1)
    writer.add_int64("t.i64", -2**63)
    writer.add_float32("t.f32", 1e-5)
    writer.add_float64("t.f64", 1e-300)
    writer.add_bool("t.bool", True)
    writer.add_string("t.string", "caf\u00e9\n")
    writer.add_array("t.strings", ["", "a", "\u20ac", "<|im_start|>"])
    writer.add_array("t.ints", [1, -2, 3])
    writer.add_array("t.floats", [0.5, -1.25])
    writer.add_array("t.bools", [True, False])
    writer.add_key_value("t.big", [2**40], GGUFValueType.ARRAY, sub_type=GGUFValueType.INT64)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ggml", help="libggml-base.so of a llama.cpp build")
    options = parser.parse_args()
    random = np.random.default_rng(20260101)
    FOLDER.mkdir(parents=True, exist_ok=True)
    writer = GGUFWriter(FOLDER / "example.gguf", "llama")
    add_metadata(writer)
    expected = {}
    for kind in (Type.F32, Type.F16, Type.BF16, *SCALES):
        blocks = random_blocks(random, kind)
        writer.add_tensor(kind.name, blocks if kind != Type.F32 else blocks.view(np.float32), raw_dtype=kind)
        with np.errstate(all="ignore"):
            values = dequantize(blocks.view(np.float32) if kind == Type.F32 else blocks, kind)
        expected[kind.name] = np.ascontiguousarray(values, np.float32)
        if options.ggml:
            check_ggml(options.ggml, kind, blocks, expected[kind.name])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    golden_file.write(FOLDER / "example.bin", expected)


if __name__ == "__main__":
    main()
