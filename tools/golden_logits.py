#!/usr/bin/env python3
"""Writes tests/golden/logits_smollm2.bin: logits of the demo model on tests/golden/logit_text.txt, by
an engine that is not ours. The container is golden_file.py's; entries: tests/golden/README.md.

usage: golden_logits.py SmolLM2-135M-Instruct.Q4_1.gguf [OUT.bin]
needs torch, transformers, accelerate, gguf, tokenizers, tiktoken, numpy

transformers loads the GGUF, dequantizes it to float32 and runs LlamaForCausalLM twice: as it comes, in
float32, and in float64 throughout. The file holds the float64 results rounded to float32; the largest
difference between the two runs is printed, and is what a float32 engine may differ by. 4 windows of 512
tokens, each from an empty cache; no BOS; special tokens in the text are recognised.
"""
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import gguf
import numpy as np
import torch
import transformers

import golden_file
import golden_tokenizer
from golden_bnb import splitmix

WINDOWS, WINDOW, TOP, PROBES = 4, 512, 8, 8


class RotaryFloat64(torch.nn.Module):
    """transformers keeps rotary angles in float32 whatever the model's dtype; the same in float64."""

    def __init__(self, config):
        super().__init__()
        head_dim = config.hidden_size // config.num_attention_heads
        theta = config.rope_parameters["rope_theta"]
        self.frequencies = theta ** (-torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)

    def forward(self, x, position_ids):
        angles = position_ids[..., None].double() * self.frequencies
        angles = torch.cat([angles, angles], -1)
        return angles.cos(), angles.sin()


def to_float64(model):
    """All of it: transformers computes norms, rotary angles and eager softmax in float32 even then."""
    model.double().set_attn_implementation("sdpa")
    model.model.rotary_emb = RotaryFloat64(model.config)
    for module in model.modules():
        if isinstance(module, transformers.models.llama.modeling_llama.LlamaRMSNorm):
            module.forward = lambda x, m=module: torch.nn.functional.rms_norm(x, x.shape[-1:],
                                                                              m.weight,
                                                                              m.variance_epsilon)


def probe_ids(n_vocab):
    """[WINDOWS, WINDOW, PROBES] pseudo-random token ids."""
    draw = splitmix(1, WINDOWS * WINDOW * PROBES) - np.float32(0.5)
    return (draw * np.float32(n_vocab)).astype(np.int64).reshape(WINDOWS, WINDOW, PROBES)


def measure(logits, in_float32, probe_id, targets):
    """One window. logits: float64 [WINDOW, n_vocab], in_float32: the same by the float32 run.
    -> (entries of the file, differences of the float32 run, gaps between the best two logits)"""
    assert logits.dtype == torch.float64
    float32 = lambda t: t.numpy().astype(np.float32)
    top, log_p, error = logits.topk(TOP), logits.log_softmax(-1), in_float32.double() - logits
    log_q = in_float32.double().log_softmax(-1)
    entries = {
        "log_sum_exp": float32(logits.logsumexp(-1)),
        "top_id": top.indices.numpy().astype(np.int32),
        "top_logit": float32(top.values),
        "probe_id": probe_id.astype(np.int32),
        "probe_logit": float32(logits.gather(1, torch.from_numpy(probe_id))),
        "mean_nll": -log_p[torch.arange(WINDOW - 1), targets].mean(0, keepdim=True).numpy()}
    kl = (log_p.exp() * (log_p - log_q)).sum(-1).mean().item()
    same = (in_float32.argmax(-1) == top.indices[:, 0]).sum().item()
    differences = [error.abs().max().item(), error.pow(2).mean().item(), kl, same]
    return entries, differences, (top.values[:, 0] - top.values[:, 1]).numpy()


def main(gguf_path, out):
    here = os.path.dirname(os.path.abspath(__file__))
    folder, name = os.path.split(os.path.abspath(gguf_path))
    fields = gguf.GGUFReader(gguf_path).fields
    vocab = {token: i for i, token in enumerate(fields["tokenizer.ggml.tokens"].contents())}
    merges = [tuple(pair.split(" ")) for pair in fields["tokenizer.ggml.merges"].contents()]
    tokenizer = golden_tokenizer.smollm2(vocab, merges)
    text = open(here + "/../tests/golden/logit_text.txt", encoding="utf-8").read()
    tokens = golden_tokenizer.encode(tokenizer, text)
    print(f"{len(tokens)} tokens")
    assert len(tokens) >= WINDOWS * WINDOW, len(tokens)
    tokens = np.array(tokens[:WINDOWS * WINDOW], np.int32)

    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=name, dtype=torch.float32, attn_implementation="eager").eval()
    batch = torch.from_numpy(tokens.astype(np.int64)).reshape(WINDOWS, WINDOW)
    with torch.no_grad():
        in_float32 = [model(row[None]).logits[0] for row in batch]
        to_float64(model)
        windows = [measure(model(row[None]).logits[0], *rest) for *rest, row in
                   zip(in_float32, probe_ids(model.config.vocab_size), batch[:, 1:], batch)]
    entries, differences, gaps = zip(*windows)
    joined = {name: np.concatenate([e[name] for e in entries]) for name in entries[0]}
    golden_file.write(out, {"tokens": tokens, **joined})
    worst, square, kl, same = np.array(differences).T
    gaps = np.concatenate(gaps)
    print(f"torch {torch.__version__}, transformers {transformers.__version__}; {tokens.size} positions")
    print(f"float32 against float64: largest logit difference {worst.max():.3g}, "
          f"root mean square {square.mean() ** 0.5:.3g}, mean KL {kl.mean():.3g}, same top-1 {int(same.sum())}")
    print(f"gap between the best two logits: smallest {gaps.min():.3g}, {(gaps < 1e-3).sum()} below 0.001")
    print(f"mean negative log likelihood of each window: {joined['mean_nll'].tolist()}")


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    main(sys.argv[1],
         sys.argv[2] if len(sys.argv) > 2 else here + "/../tests/golden/logits_smollm2.bin")
