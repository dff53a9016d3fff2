#!/usr/bin/env python3
"""Makes tests/golden/artifacts: a tiny random Llama quantized by bitsandbytes and by compressed-tensors, as they save it.

    python3 -m venv /tmp/venv
    /tmp/venv/bin/pip install torch==2.15.0 transformers==5.23.0 bitsandbytes==0.50.2 compressed-tensors==0.20.0 accelerate
    /tmp/venv/bin/python tools/golden_artifacts.py

Each folder holds config.json and model.safetensors. samp validate must find nothing wrong with them (tests/quantize/
test_validate_foreign.c), and must find what the test then damages."""
import pathlib
import shutil
import tempfile

import torch
from compressed_tensors.compressors import ModelCompressor
from compressed_tensors.quantization import (QuantizationArgs, QuantizationConfig, QuantizationScheme,
                                             apply_quantization_config)
from transformers import BitsAndBytesConfig, LlamaConfig, LlamaForCausalLM

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/artifacts"

BITSANDBYTES = {
    "bnb_nf4": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True,
                "bnb_4bit_compute_dtype": torch.bfloat16},
    "bnb_fp4": {"load_in_4bit": True, "bnb_4bit_quant_type": "fp4"},
    "bnb_int8": {"load_in_8bit": True},
}

COMPRESSED = {
    "ct_w4a16": {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 32},
    "ct_w8a8": {"num_bits": 8, "type": "int", "strategy": "channel"},
    "ct_fp8": {"num_bits": 8, "type": "float", "strategy": "channel"},
}


def original(folder):
    torch.manual_seed(1)
    config = LlamaConfig(vocab_size=32, hidden_size=64, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
                         num_key_value_heads=1, max_position_embeddings=64, bos_token_id=1, eos_token_id=2,
                         tie_word_embeddings=False)
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)


def by_compressed_tensors(folder, out, weights):
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    arguments = QuantizationArgs(symmetric=True, **weights)
    activations = None if weights["num_bits"] == 4 else QuantizationArgs(
        num_bits=8, type=weights["type"], symmetric=True, strategy="token", dynamic=True)
    scheme = QuantizationScheme(targets=["Linear"], weights=arguments, input_activations=activations)
    apply_quantization_config(model, QuantizationConfig(config_groups={"group_0": scheme}, ignore=["lm_head"],
                                                        quantization_status="frozen"))
    largest = 448 if weights["type"] == "float" else 2 ** (weights["num_bits"] - 1) - 1
    for module in model.modules():
        if hasattr(module, "weight_scale"):
            groups = module.weight.data.float().reshape(*module.weight_scale.shape, -1)
            module.weight_scale.data.copy_(groups.abs().amax(-1) / largest)
    compressor = ModelCompressor.from_pretrained_model(model)
    compressor.compress_model(model)
    model.save_pretrained(out)
    compressor.update_config(str(out))


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        original(folder)
        for name, options in BITSANDBYTES.items():
            LlamaForCausalLM.from_pretrained(folder, quantization_config=BitsAndBytesConfig(**options), device_map="cpu",
                                             dtype=torch.bfloat16).save_pretrained(OUT / name)
        for name, weights in COMPRESSED.items():
            by_compressed_tensors(folder, OUT / name, weights)
    for path in OUT.glob("*/generation_config.json"):
        path.unlink()
    for path in OUT.glob("*/*"):
        path.chmod(0o644)


if __name__ == "__main__":
    main()
