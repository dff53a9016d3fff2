#!/usr/bin/env python3
"""Writes tests/golden/models: a tiny random checkpoint of every family samp reads, its logits by transformers, and GGUF
files of some by llama.cpp's converter. tests/run/test_families.c and tests/quantize/test_import_families.c read them.

usage: golden_models.py LLAMA_CPP_FOLDER [CASE…]
needs torch, transformers, numpy, and for the converter gguf and sentencepiece

A case is config.json and safetensors as save_pretrained writes them (half of them respelled as transformers 4 did), and
logits.bin (container: golden_file.py): tokens i32[150], rows i32[n], logits f32[n][vocab] of those positions, in
float32. Weights are large enough for every layer, bias, norm and position to move the logits by far more than 1e-4.
"""
import json
import pathlib
import shutil
import sys

import numpy as np
import torch
import transformers

import golden_file

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "models"
LENGTH, VOCAB, WINDOW = 150, 128, 16  # more than two KV blocks of 64
COMMON = dict(vocab_size=VOCAB, hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
              num_key_value_heads=2, max_position_embeddings=256, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2,
              pad_token_id=None, tie_word_embeddings=False)
LLAMA3 = dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=8192)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=64)

# name: class of the config, what differs, and how it is written: type, shards, old spelling, members left out or put
# in (as published files have them), GGUF
CASES = {
    "llama2": (transformers.LlamaConfig,
               dict(num_key_value_heads=4, rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=2.0)),
               dict(dtype=torch.float32, shards=True, old=True, omit=["num_key_value_heads", "head_dim"])),
    "llama3": (transformers.LlamaConfig,
               dict(num_attention_heads=2, num_key_value_heads=1, head_dim=16, rope_parameters=LLAMA3,
                    eos_token_id=[2, 3], tie_word_embeddings=True), dict(gguf="split")),
    "mistral": (transformers.MistralConfig, dict(head_dim=12, sliding_window=WINDOW), dict(dtype=torch.float16, old=True)),
    "qwen2": (transformers.Qwen2Config, dict(sliding_window=WINDOW, max_window_layers=0, tie_word_embeddings=True),
              dict(old=True, omit=["layer_types"], put=dict(sliding_window=WINDOW), gguf="single")),
    "qwen2_yarn": (transformers.Qwen2Config,
                   dict(use_sliding_window=True, sliding_window=WINDOW, max_window_layers=1, rope_parameters=YARN), {}),
    "qwen3": (transformers.Qwen3Config, dict(head_dim=16, tie_word_embeddings=True, num_hidden_layers=2),
              dict(gguf="single")),
    "smollm3": (transformers.SmolLM3Config, dict(num_hidden_layers=4, tie_word_embeddings=True, no_rope_layers=None),
                dict(old=True, omit=["no_rope_layers", "layer_types", "tie_word_embeddings"], gguf="single")),
}


def randomize(model, dtype, generator):
    """Matrices spread their input by 1.5, norms lie around 1, biases are as large as what they are added to. All are
    floats that dtype stores exactly. (model.to(dtype) would round the rotary frequencies too.)"""
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.dim() == 2:
            embedding = 0.3 if model.config.tie_word_embeddings else 1.0
            scale = embedding if "embed_tokens" in name else 1.5 / parameter.shape[1] ** 0.5
            noise = noise * scale
        elif not name.endswith("bias"):
            noise = 1 + 0.3 * noise
        parameter.data = noise.to(dtype).to(torch.float32)


def respell(config):
    """transformers 5 -> 4: torch_dtype, and rope_theta apart from rope_scaling."""
    config["torch_dtype"] = config.pop("dtype")
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = None if rope["rope_type"] == "default" else rope


def golden_logits(model, generator):
    tokens = torch.randint(0, VOCAB, (LENGTH,), generator=generator)
    rows = np.append(np.arange(0, LENGTH, 7), LENGTH - 1)
    with torch.no_grad():
        logits = model(tokens[None]).logits[0]
    spread = logits.std().item()
    assert torch.isfinite(logits).all() and 0.3 < spread < 30, spread
    return {"tokens": tokens.numpy().astype(np.int32), "rows": rows.astype(np.int32),
            "logits": logits.numpy()[rows].astype(np.float32)}, spread


def save(folder, model, how):
    shutil.rmtree(folder, ignore_errors=True)
    size = "80KB" if how.get("shards") else "5GB"
    model.to(how.get("dtype", torch.bfloat16)).save_pretrained(folder, max_shard_size=size)
    (folder / "generation_config.json").unlink(missing_ok=True)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    if how.get("old"):
        respell(config)
    for key in how.get("omit", []):
        config.pop(key, None)
    config.update(how.get("put", {}))
    path.write_text(json.dumps(config, indent=1) + "\n")
    for file in folder.iterdir():
        file.chmod(0o644)


def tiny_vocabulary(converter):
    """The tokenizer of the GGUF files: letters for tests that import, not a text anybody wrote."""
    tokens = ["<unk>", "<s>", "</s>", "<|end|>", "a", "b", "ab"] + [f"w{i}" for i in range(VOCAB - 7)]
    writer = converter.gguf_writer
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3] * 4 + [1] * (VOCAB - 4))
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)


def convert(folder, split):
    from conversion import ModelBase, ModelType, get_model_architecture, get_model_class
    import gguf
    hparams = ModelBase.load_hparams(folder, False)
    base = get_model_class(get_model_architecture(hparams, ModelType.TEXT))
    kind = type(base.__name__, (base,), {"set_vocab": tiny_vocabulary, "model_arch": base.model_arch})
    with torch.inference_mode():
        kind(folder, gguf.LlamaFileType.MOSTLY_BF16, folder / "model.gguf", eager=True,
             split_max_tensors=20 if split else 0).write()


def write_case(name):
    kind, changes, how = CASES[name]
    generator = torch.Generator().manual_seed(sorted(CASES).index(name))
    config = kind(**{**COMMON, **changes})
    config._attn_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(config).float().eval()
    randomize(model, how.get("dtype", torch.bfloat16), generator)
    model.tie_weights()
    entries, spread = golden_logits(model, generator)
    folder = FOLDER / name
    save(folder, model, how)
    golden_file.write(str(folder / "logits.bin"), entries)
    if "gguf" in how:
        convert(folder, how["gguf"] == "split")
    bytes_ = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{name}: logits spread by {spread:.2f}, {bytes_} bytes")


def main(llama_cpp, *names):
    sys.path[:0] = [llama_cpp + "/gguf-py", llama_cpp]
    print(f"torch {torch.__version__}, transformers {transformers.__version__}")
    for name in names or CASES:
        write_case(name)


if __name__ == "__main__":
    main(*sys.argv[1:])
