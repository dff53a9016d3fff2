#!/usr/bin/env python3
"""Writes tests/golden/nf4/*.bin: what bitsandbytes' CPU code stores for NF4 (blocks of 64, with and
without double quantization), for its blockwise 8-bit step alone, for torch's float32 mean, and for
LLM.int8 rows. The container is golden_file.py's; tests/golden/README.md lists the files.

usage: golden_bnb.py [OUT_DIR]        needs torch, bitsandbytes, numpy

The rules are written out below in numpy (nf4_quantize, dynamic_quantize, torch_mean, ...), and every
array that the library returns is compared with them bit for bit before a file is written: a rule
that this file states is a rule that holds.
"""
import json
import os
import sys

os.environ["ATEN_CPU_CAPABILITY"] = "avx2"  # the mean's lanes: 8, on every host

import bitsandbytes
import bitsandbytes.functional as bnb
import numpy as np
import torch

import golden_file

torch.set_num_threads(1)
F32 = np.float32
NF4 = np.array([-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
                -0.28444138169288635,
                -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534,
                0.16093020141124725,
                0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
                0.7229568362236023, 1.0], F32)
NF4_MIDPOINTS = ((NF4[:-1] + NF4[1:]) / F32(2)).astype(F32)
BLOCK, NESTED_BLOCK = 64, 256


# ---- the rules --------------------------------------------------------------------------------
def nf4_quantize(x):
    """x: float32 [n] -> (packed u8 [ceil(n/2)], absmax f32 [ceil(n/64)])

    Whole blocks: multiply by 1/max(absmax, 1e-38); the absmax itself is stored as it is. The last,
    shorter block, if any: DIVIDE by max(absmax, 1e-38), and store that maximum. Clamp to [-1, 1].
    Code = number of midpoints strictly below the value: a tie takes the lower code. Even elements go
    to the high nibble; an odd count is padded with the code of 0.0, which is 7.
    """
    tiny, full = F32(1e-38), x.size - x.size % BLOCK
    blocks = x[:full].reshape(-1, BLOCK)
    absmax = np.abs(blocks).max(1, initial=0)
    scaled = (blocks * (F32(1) / np.maximum(absmax, tiny))[:, None]).reshape(-1)
    if full < x.size:
        last = np.maximum(np.abs(x[full:]).max(), tiny)
        absmax, scaled = np.append(absmax, last), np.append(scaled, x[full:] / last)
    scaled = np.append(np.clip(scaled, F32(-1), F32(1)), np.zeros(x.size % 2, F32))
    codes = np.searchsorted(NF4_MIDPOINTS, scaled, side="left").astype(np.uint8)
    return codes[::2] << 4 | codes[1::2], absmax.astype(F32)


def nf4_dequantize(packed, absmax, n):
    """float32 product of table entry and absmax; a 16-bit output is that product rounded to nearest even."""
    codes = np.stack([packed >> 4, packed & 15], 1).reshape(-1)[:n]
    return NF4[codes] * np.repeat(absmax, BLOCK)[:n]


def dynamic_map():
    """256 float32, ascending: 0, 1, and for each of 7 decades i, +-10^(i-6) times the midpoints of
    linspace(0.1, 1, 2^i + 1)."""
    return bnb.create_dynamic_map().numpy()


def dynamic_quantize(x):
    """x: float32 [n] -> (codes u8 [n], absmax f32 [ceil(n/256)]): the library's CPU rule, which is
    NOT the nearest entry.

    Multiply by 1/absmax, clamp, map [-1, 1] to a 16-bit bin by truncating
    (v + 1) * 0.5 * 65535 + 0.5, and take the bin's code: the number of map midpoints strictly below
    -1 + 2 * bin / 65535. An all-zero block gets code 0.
    """
    table = dynamic_map()
    midpoints = F32(0.5) * (table[:-1] + table[1:])
    bins = F32(-1) + (F32(2) * np.arange(65536, dtype=F32)) / F32(65535)
    code_of_bin = np.searchsorted(midpoints, bins, side="left").astype(np.uint8)
    codes, absmax = np.zeros(x.size, np.uint8), []
    for start in range(0, x.size, NESTED_BLOCK):
        block = x[start:start + NESTED_BLOCK]
        absmax.append(np.abs(block).max())
        if absmax[-1] > 0:
            v = np.clip(block * (F32(1) / absmax[-1]), F32(-1), F32(1))
            bin_index = ((v + F32(1)) * F32(0.5) * F32(65535) + F32(0.5)).astype(np.uint16)
            codes[start:start + NESTED_BLOCK] = code_of_bin[bin_index]
    return codes, np.array(absmax, F32)


def dynamic_dequantize(codes, absmax):
    return dynamic_map()[codes] * np.repeat(absmax, NESTED_BLOCK)[:codes.size]


def cascade(rows):
    """rows: float32 [n, 4, lanes]; the sum over n in torch's four-level cascade: every 2^power terms
    a level is emptied into the next."""
    n = rows.shape[0]
    log2 = (n - 1).bit_length() if n > 1 else 0  # rounded up
    power = max(4, log2 // 4)
    level, i = np.zeros((4,) + rows.shape[1:], F32), 0
    while i + (1 << power) <= n:
        for _ in range(1 << power):
            level[0] += rows[i]
            i += 1
        for j in range(1, 4):
            level[j] += level[j - 1]
            level[j - 1] = 0
            if i & ((1 << power) - 1) << (j * power):
                break
    for row in rows[i:]:
        level[0] += row
    return level[0] + level[1] + level[2] + level[3]


def torch_mean(x):
    """torch's float32 mean of a contiguous vector: AVX2 (8 lanes), one thread (torch splits vectors
    of 32,768 elements and more between threads).

    Vectors of 8 (single numbers if fewer than 8 in all) go round-robin into 4 columns, each summed by
    the cascade; leftover vectors are added to column 0; columns 1, 2, 3 are added to column 0. The
    total starts with the leftover numbers in order, then takes the 8 lanes in order. One division.
    """
    lanes = 8 if x.size >= 8 else 1
    n_vectors = x.size // lanes
    vectors = x[:n_vectors * lanes].reshape(n_vectors, lanes)
    quads = n_vectors // 4
    column = cascade(vectors[:quads * 4].reshape(quads, 4, lanes))
    for vector in vectors[quads * 4:]:
        column[0] += vector
    lane_sums = ((column[0] + column[1]) + column[2]) + column[3]
    total = F32(0)
    for value in x[n_vectors * lanes:]:
        total += value
    for value in lane_sums:
        total += value
    return F32(total / F32(x.size))


def int8_rows(x):
    """x: float16 [rows, cols] -> (CB i8, SCB f32): SCB = absmax of the row, CB = x * (127 / SCB) in
    float32, ties to even."""
    absmax = np.abs(x).max(1).astype(F32)
    return np.rint(x.astype(F32) * (F32(127) / absmax)[:, None]).astype(np.int8), absmax


# ---- inputs -----------------------------------------------------------------------------------
def splitmix(seed, n):
    """n float32 in [0.5, 1.5), multiples of 2^-24, that C can draw too (tests/golden/README.md)."""
    with np.errstate(over="ignore"):
        x = (np.arange(1, n + 1,
                       dtype=np.uint64) + np.uint64(seed << 32)) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return (x >> np.uint64(40)).astype(F32) / F32(2**24) + F32(0.5)


def around(values, absmax):
    """Blocks of absmax, then absmax times each value, the next float below and the next above."""
    below, above = np.nextafter(values, F32(-9)), np.nextafter(values, F32(9))
    near = np.concatenate([values, below, above]).astype(F32) * F32(absmax)
    rows = [np.append(F32(absmax), near[i:i + BLOCK - 1]) for i in range(0, near.size, BLOCK - 1)]
    return np.concatenate([np.pad(row, (0, BLOCK - row.size)) for row in rows]).astype(F32)


def adversarial(rng, smallest, normal):
    """Blocks of 64 chosen to break a quantizer, and 37 elements left over at the end; given the
    smallest subnormal and the smallest normal number of the dtype."""
    one = np.ones(BLOCK, F32)
    noise = lambda scale: (rng.standard_normal(BLOCK) * scale).astype(F32)
    outlier, lone = noise(1e-3), 0 * one
    outlier[17], lone[63] = -50, 3
    signs = np.where(np.arange(BLOCK) % 2, F32(-1), F32(1))
    blocks = [0 * one, -0.0 * one, np.where(np.arange(BLOCK) % 3, F32(0), F32(-0.0)), 0.7 * one,
              -0.3 * one, 5 * signs, outlier, lone,
              np.linspace(-1, 1, BLOCK), np.linspace(0, 3, BLOCK), smallest * one, smallest * signs,
              smallest * rng.integers(-40, 41, BLOCK),
              normal * noise(1), normal * signs, np.append(one[:1], smallest * one[1:]),
              around(NF4_MIDPOINTS, 1), around(NF4_MIDPOINTS, 0.25), around(NF4_MIDPOINTS, 3),
              around(-NF4_MIDPOINTS, 1.1), around(NF4, 0.013),
              np.where(np.arange(BLOCK) < 32, noise(1e-6), noise(10)), noise(0.02)[:37]]
    return np.concatenate([np.asarray(b, F32) for b in blocks])


def extreme(rng, largest):
    """The largest finite number of the dtype with both signs in one block, ordinary blocks around it."""
    x = rng.standard_normal((5, BLOCK))
    x[2] = largest * np.where(np.arange(BLOCK) % 2, -1, 1)
    return x


def to_dtype(x, dtype):
    return torch.from_numpy(np.ascontiguousarray(x, F32)).to({"f32": torch.float32,
                                                              "f16": torch.float16,
                                                              "bf16": torch.bfloat16}[dtype])


def bits(tensor):
    """A golden_file value: bfloat16 as its 16-bit patterns."""
    tensor = tensor.detach().contiguous()
    return ("bf16",
            tensor.view(torch.int16).numpy()) if tensor.dtype == torch.bfloat16 else tensor.numpy()


def same(a, b, what):
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    assert a.dtype == b.dtype and a.tobytes() == b.tobytes(), what


# ---- files ------------------------------------------------------------------------------------
def nf4_case(path, x):
    """x: tensor. Entries: input, shape, weight, and a state dict's parts, plain.* without and dq.*
    with double quantization."""
    flat = x.float().reshape(-1).numpy()
    packed, absmax = nf4_quantize(flat)
    entries = {"input": bits(x), "shape": np.array(x.shape, np.int32)}
    for prefix, nested in (("plain.", False), ("dq.", True)):
        weight, state = bnb.quantize_4bit(x, blocksize=BLOCK, compress_statistics=nested, quant_type="nf4")
        parts = {key: value.numpy() for key, value in state.as_dict(packed=True).items()}
        same(weight.numpy().reshape(-1), packed, (path, "codes"))
        scales = absmax
        if nested:
            offset = torch_mean(absmax)
            codes, nested_absmax = dynamic_quantize(absmax - offset)
            same(parts["absmax"], codes, (path, "absmax codes"))
            same(parts["nested_absmax"], nested_absmax, (path, "nested absmax"))
            same(parts["nested_quant_map"], dynamic_map(), (path, "dynamic map"))
            stored = json.loads(parts["quant_state.bitsandbytes__nf4"].tobytes())["nested_offset"]
            same(F32(stored), offset, (path, "offset"))
            scales = dynamic_dequantize(codes, nested_absmax) + offset
        else:
            same(parts["absmax"], absmax, (path, "absmax"))
        restored = bnb.dequantize_4bit(weight, state).reshape(x.shape)
        rule = torch.from_numpy(nf4_dequantize(packed, scales, flat.size)).reshape(x.shape).to(x.dtype)
        assert restored.dtype == x.dtype
        same(restored.view(torch.uint8).numpy(), rule.view(torch.uint8).numpy(), (path, "restored"))
        entries["weight"] = bits(weight)
        for key, value in parts.items():
            if key not in ("quant_map", "nested_quant_map"):  # constants: see maps.bin
                entries[prefix + key] = value
        entries[prefix + "dequantized"] = bits(restored)
    golden_file.write(path, entries)


def dynamic_case(path, rng):
    """The 8-bit step alone: noise; every map entry and midpoint with its neighbours; a zero block; a short one."""
    table = dynamic_map()
    middle = (table[:-1] + table[1:]) / F32(2)
    edges = np.concatenate([table, middle, np.nextafter(middle, F32(-9)), np.nextafter(middle, F32(9))])
    edges = np.concatenate([np.append(F32(1), edges[i:i + 255]) for i in range(0, edges.size, 255)])
    edges = np.append(edges, np.zeros(-edges.size % 256, F32))
    noise, small = rng.standard_normal(2048), rng.uniform(0, 1e-3, 77)
    x = np.concatenate([noise, edges, edges * F32(0.37), np.zeros(256), small]).astype(F32)
    codes, state = bnb.quantize_blockwise(torch.from_numpy(x), blocksize=NESTED_BLOCK)
    restored = bnb.dequantize_blockwise(codes, state).numpy()
    rule_codes, rule_absmax = dynamic_quantize(x)
    same(codes.numpy(), rule_codes, "dynamic codes")
    same(state.absmax.numpy(), rule_absmax, "dynamic absmax")
    same(restored, dynamic_dequantize(rule_codes, rule_absmax), "dynamic restored")
    golden_file.write(path, {"input": x, "codes": rule_codes, "absmax": rule_absmax, "dequantized": restored})


def mean_case(path):
    """torch's mean over splitmix(length, length) for each length."""
    lengths = [*range(1, 140), 255, 256, 257, 511, 513, 1000, 1728, 4608, 5184, 13824, 20011, 32767, 65537, 262144]
    inputs = [splitmix(n, n) for n in lengths]
    means = np.array([torch.from_numpy(x).mean().item() for x in inputs], F32)
    same(means, np.array([torch_mean(x) for x in inputs], F32), "mean")
    in_double = np.array([x.astype(np.float64).mean() for x in inputs]).astype(F32)
    golden_file.write(path, {"length": np.array(lengths, np.int32), "mean": means})
    print(f"mean: {len(lengths)} lengths, all equal to the rule; "
          f"a double-precision mean rounds to the same bits in {(in_double == means).sum()}")


def int8_case(path, rng):
    """LLM.int8 rows (weights are float16 there); the last row has absmax 127, so that its halves are exact ties."""
    ties = np.append(127, np.arange(95) - 47.5)[None]
    x = np.concatenate([rng.standard_normal((13, 96)) * 0.02, rng.standard_t(3, (3, 96)), ties]).astype(np.float16)
    cb, scb, _ = bnb.int8_vectorwise_quant(torch.from_numpy(x.copy()))
    restored = bnb.int8_vectorwise_dequant(cb, scb).numpy()
    rule_cb, rule_scb = int8_rows(x)
    same(cb.numpy(), rule_cb, "CB")
    same(scb.numpy(), rule_scb, "SCB")
    same(restored, rule_cb * rule_scb[:, None] * F32(7.874015718698502e-3), "int8 restored")
    golden_file.write(path, {"input": x, "shape": np.array(x.shape, np.int32), "CB": rule_cb, "SCB": rule_scb,
                             "dequantized": restored})


def int8_product_case(path):
    """Linear8bitLt on one token at a time, as bitsandbytes decodes. Columns: noise of standard deviation 1, where 3.0 finds
    about 1 in 370; two that are large in every second token; and values on and beside both thresholds."""
    rng = np.random.default_rng(20261125)
    rows, cols, tokens = 40, 200, 8
    weights = (rng.standard_normal((rows, cols)) * 0.05).astype(np.float16)
    x = rng.standard_normal((tokens, cols)).astype(np.float16)
    x[::2, 17], x[1::4, 130] = 31.5, -60.25
    x[2, :6] = [3, -3, np.nextafter(np.float16(3), np.float16(0)), 6, -6, np.nextafter(np.float16(6), np.float16(0))]
    x[7] = np.clip(x[7], -2.9, 2.9)
    cb, scb, _ = bnb.int8_vectorwise_quant(torch.from_numpy(weights.copy()))
    entries = {"CB": cb.numpy(), "SCB": scb.numpy(), "shape": np.array([rows, cols, tokens], np.int32), "input": x}
    for threshold in (0.0, 3.0, 6.0):
        state = bitsandbytes.MatmulLtState()
        state.CB, state.SCB, state.threshold, state.has_fp16_weights = cb, scb, threshold, False
        state.is_training = False  # or the CPU multiplies in floats
        out, codes, scales = [], [], []
        for token in torch.from_numpy(x.copy()):
            out.append(bitsandbytes.matmul(token[None], cb, state=state).numpy())
            ca, sca, _ = bnb.int8_vectorwise_quant(token[None].clone(), threshold=threshold)
            codes.append(ca.numpy())
            scales.append(sca.numpy())
        entries |= {f"out_{threshold:g}": np.concatenate(out), f"codes_{threshold:g}": np.concatenate(codes),
                    f"scales_{threshold:g}": np.concatenate(scales)}
    golden_file.write(path, entries)


def main(out):
    os.makedirs(out, exist_ok=True)
    rng = np.random.default_rng(20261124)
    gauss = lambda *shape: rng.standard_normal(shape) * 0.02
    student = lambda *shape: rng.standard_t(3, shape) * 0.02
    cases = {
        "gauss_f32": gauss(67, 512),  # 536 blocks: 3 nested blocks, the last one short
        "gauss_bf16": gauss(131, 259),  # odd count, rows that are no multiple of 64
        "student_f16": student(96, 192), "student_bf16": student(60, 288),
        "one_f32": gauss(1, 1), "two_f32": gauss(1, 2), "n63_f32": gauss(7, 9), "n64_f32": gauss(1, 64),
        "n65_f16": gauss(5, 13), "n96_bf16": gauss(2, 48),
        "zero_f32": np.zeros((4, 64)), "zero_tail_f32": np.zeros((3, 27)),
        "adversarial_f32": adversarial(rng, 1e-45, 1.2e-38)[None],
        "adversarial_f16": adversarial(rng, 6e-8, 6.2e-5)[None],
        "adversarial_bf16": adversarial(rng, 1e-40, 1.2e-38)[None],
        "extreme_f32": extreme(rng, np.finfo(F32).max), "extreme_f16": extreme(rng, 65504),
        "extreme_bf16": extreme(rng, 3.3895314e38),
    }
    for name, x in cases.items():
        nf4_case(f"{out}/{name}.bin", to_dtype(x, name.rsplit("_", 1)[1]))
    golden_file.write(out + "/maps.bin", {"quant_map": NF4, "nested_quant_map": dynamic_map()})
    dynamic_case(out + "/dynamic8.bin", rng)
    mean_case(out + "/mean.bin")
    int8_case(out + "/llm_int8.bin", rng)
    int8_product_case(out + "/llm_int8_product.bin")
    print(f"torch {torch.__version__}, bitsandbytes {bitsandbytes.__version__}, numpy {np.__version__}: files in {out}")


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    main(sys.argv[1] if len(sys.argv) > 1 else here + "/../tests/golden/nf4")
