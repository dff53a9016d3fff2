#!/usr/bin/env python3
"""Encodes 10,000 random strings with Hugging Face's tokenizers, for every family of pre-tokenizer samp
reads, and stores 8 bits of each result in tests/golden/tokenizers.

usage: golden_tokenizer_random.py [--data TOKENIZERS_DIR] [--out OUT_DIR]      writes everything below
       golden_tokenizer_random.py --folder DIR...            DIR/random, for DIR/tokenizer.json
       golden_tokenizer_random.py --gguf FILE FAMILY         FILE.random, for a vocabulary in GGUF
       golden_tokenizer_random.py --show FAMILY|TOKENIZER_JSON INDEX           one string and its ids
needs tokenizers, sentencepiece, numpy, gguf

    atoms.json       what strings are made of (written by hand, read by both sides)
    bytes.json       a byte-level vocabulary without borders between words: whatever a pre-tokenizer cuts
                     wrongly shows, as some token reaches across
    characters.json  a SentencePiece vocabulary with byte fallback; characters.model is the same, as
                     SentencePiece itself wrote it
    families.json    the pipelines, in tokenizer.json's words
    random.bin       u8[10000] a family (container: golden_file.py); random_shared.bin: the same for
                     the vocabularies of TOKENIZERS_DIR

A digest covers the ids with special tokens parsed, the ids with them read as text, and the text that the
first decode to; so a test can repeat all of it without Python and name the string that differs. String i
is a function of i and atoms.json alone: random_string() below, and tests/model/random_strings.h."""
import argparse
import json
import os
import struct

import gguf
import golden_file
import numpy as np
import sentencepiece
from golden_tokenizer import llama3, llama3_ranks, smollm2_from_files
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

USER_DEFINED = ["<|user|>", "<tool_call>"]
N_STRINGS, MASK = 10000, (1 << 64) - 1
HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = HERE + "/../tests/golden"
ATOMS = json.load(open(GOLDEN + "/tokenizers/atoms.json", encoding="utf-8"))


class Prng:
    """splitmix64, as src/base/prng.h has it."""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        x = self.state
        x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & MASK
        x = (x ^ x >> 27) * 0x94D049BB133111EB & MASK
        return (x ^ x >> 31) * n >> 64


def random_string(index):
    """1 to 24 pieces: an atom of a random group, or a code point of a random range; every eighth piece is
    repeated up to nine times."""
    draw, text = Prng(index << 32), ""
    for _ in range(1 + draw.below(24)):
        group = draw.below(len(ATOMS["groups"]) + 1)
        if group < len(ATOMS["groups"]):
            atoms = ATOMS["groups"][group]
            piece = atoms[draw.below(len(atoms))]
        else:
            first, last = ATOMS["ranges"][draw.below(len(ATOMS["ranges"]))]
            piece = chr(first + draw.below(last - first + 1))
        text += piece * (2 + draw.below(8) if draw.below(8) == 0 else 1)
    return text


def digest(tokenizer, text):
    """FNV-1a of 64 bits over the parts, folded to 8: a wrong result is missed once in 256 times."""
    tokenizer.encode_special_tokens = False
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    decoded = tokenizer.decode(ids, skip_special_tokens=False).encode()
    tokenizer.encode_special_tokens = True
    plain = tokenizer.encode(text, add_special_tokens=False).ids
    tokenizer.encode_special_tokens = False
    data = b"".join(struct.pack(f"<I{len(x)}I", len(x), *x) for x in (ids, plain)) + decoded
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & MASK
    for shift in (32, 16, 8):
        value ^= value >> shift
    return value & 0xFF


def digests(tokenizer):
    return np.array([digest(tokenizer, random_string(i)) for i in range(N_STRINGS)], np.uint8)


# ---- The small vocabularies ----

def corpus():
    """The prose of golden_logits.py, and strings that no test uses, without special tokens: these must
    never come of merging."""
    texts = [open(GOLDEN + "/logit_text.txt", encoding="utf-8").read()]
    for i in range(6000):
        text = random_string(1000000 + i)
        for token in ATOMS["groups"][ATOMS["special_group"]]:
            text = text.replace(token, "")
        texts.append(text)
    return texts


def train_bytes(out):
    """1,100 merges over bytes that no pre-tokenizer has cut."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.train_from_iterator(corpus(), trainers.BpeTrainer(
        vocab_size=256 + 1100, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    model = json.loads(tokenizer.to_str())["model"]
    write_json(out + "/bytes.json", {"type": "BPE", "vocab": model["vocab"], "merges": model["merges"]})


def train_characters(out):
    """A SentencePiece model like Llama's (BPE, identity normalizer, byte fallback), but not cut at spaces
    either; and the same as Hugging Face's converter writes it."""
    with open(out + "/characters.model", "wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([line for text in corpus() for line in text.split("\n")]),
            model_writer=file, model_type="bpe", vocab_size=1400, byte_fallback=True,
            normalization_rule_name="identity", remove_extra_whitespaces=False, split_by_whitespace=False,
            split_by_unicode_script=False, split_by_number=False, split_digits=True,
            allow_whitespace_only_pieces=True, character_coverage=0.98, num_threads=1, minloglevel=2,
            user_defined_symbols=USER_DEFINED)
    pieces = sentencepiece.SentencePieceProcessor(model_file=out + "/characters.model")
    vocab = {pieces.id_to_piece(i): i for i in range(len(pieces))}
    scores = [pieces.get_score(i) for i in range(len(pieces))]
    ordinary = {token: i for token, i in vocab.items() if token not in USER_DEFINED and not (
        pieces.is_control(i) or pieces.is_unknown(i) or pieces.is_byte(i))}
    write_json(out + "/characters.json",
               {"type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True,
                "vocab": vocab, "merges": merges_of_scores(ordinary, scores)})


def merges_of_scores(vocab, scores):
    """Every split of a token into two, the token of the highest score first, its shortest left part first:
    the order of Hugging Face's converter, which also merges what makes a control token."""
    merges = []
    for token in sorted(vocab, key=lambda token: (-scores[vocab[token]], vocab[token])):
        splits = [(token[:i], token[i:]) for i in range(1, len(token))]
        merges += [[left, right] for left, right in splits if left in vocab and right in vocab]
    return merges


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as out:
        json.dump(value, out, ensure_ascii=False, separators=(",", ":"))
        out.write("\n")


# ---- Tokenizers of a family ----

def document(family, model, added):
    """tokenizer.json of a family's pipeline around a model."""
    parts = ("normalizer", "pre_tokenizer", "decoder")
    return {"version": "1.0", "added_tokens": added, "post_processor": None,
            **{part: family.get(part) for part in parts},
            "model": {"ignore_merges": family.get("ignore_merges", False), **model}}


def build(doc):
    return Tokenizer.from_str(json.dumps(doc))


def small(families, name, out):
    family = families["families"][name]
    model = json.load(open(f"{out}/{family['model']}.json", encoding="utf-8"))
    listed = families["added_tokens"].get(name) or families["added_tokens"][family["model"]]
    ids = iter(range(len(model["vocab"]), len(model["vocab"]) + len(listed)))
    flags = {"single_word": False, "lstrip": False, "rstrip": False}
    added = [{"id": model["vocab"][t["content"]] if t["content"] in model["vocab"] else next(ids),
              **flags, **t} for t in listed]
    return build(document(family, model, added))


def from_gguf(path, family):
    """A vocabulary-only GGUF file inside a family's pipeline."""
    fields = gguf.GGUFReader(path).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    types = fields["tokenizer.ggml.token_type"].contents()
    added = [{"id": i, "content": token, "special": types[i] != 4, "normalized": False, "single_word": False,
              "lstrip": False, "rstrip": False} for i, token in enumerate(tokens) if types[i] in (2, 3, 4)]
    vocab = {}
    for i, token in enumerate(tokens):
        vocab.setdefault(token, i)
    if "tokenizer.ggml.merges" in fields:
        merges = [m.split(" ") for m in fields["tokenizer.ggml.merges"].contents()]
        return build(document(family, {"type": "BPE", "vocab": vocab, "merges": merges}, added))
    scores = fields["tokenizer.ggml.scores"].contents()
    ordinary = {token: i for token, i in vocab.items() if types[i] == 1}
    model = {"type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True, "vocab": vocab,
             "merges": merges_of_scores(ordinary, scores)}
    return build(document(family, model, added))


def write_goldens(data, out):
    train_bytes(out)
    train_characters(out)
    families = json.load(open(out + "/families.json", encoding="utf-8"))
    entries = {name: digests(small(families, name, out)) for name in families["families"]}
    golden_file.write(out + "/random.bin", entries)
    large = {"gpt-2": from_gguf(data + "/ggml-vocab-gpt-2.gguf", families["families"]["gpt2"]),
             "llama-spm": from_gguf(data + "/ggml-vocab-llama-spm.gguf", families["families"]["llama2"]),
             "smollm2": smollm2_from_files(data), "llama3": llama3(llama3_ranks(data))}
    golden_file.write(out + "/random_shared.bin", {name: digests(t) for name, t in large.items()})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default=HERE + "/../../shared/data/tokenizers")
    parser.add_argument("--out", default=GOLDEN + "/tokenizers")
    parser.add_argument("--folder", nargs="+", help="folders with a tokenizer.json")
    parser.add_argument("--gguf", nargs=2, metavar=("FILE", "FAMILY"))
    parser.add_argument("--show", nargs=2, metavar=("FAMILY|TOKENIZER_JSON", "INDEX"))
    options = parser.parse_args()
    families = json.load(open(options.out + "/families.json", encoding="utf-8"))
    if options.show:
        name, text = options.show[0], random_string(int(options.show[1]))
        tokenizer = small(families, name, options.out) if name in families["families"] else Tokenizer.from_file(name)
        encoding = tokenizer.encode(text, add_special_tokens=False)
        print(json.dumps(text), encoding.ids, encoding.tokens,
              json.dumps(tokenizer.decode(encoding.ids, skip_special_tokens=False)), sep="\n")
    elif options.gguf:
        tokenizer = from_gguf(options.gguf[0], families["families"][options.gguf[1]])
        digests(tokenizer).tofile(options.gguf[0] + ".random")
    elif options.folder:
        for folder in options.folder:
            digests(Tokenizer.from_file(folder + "/tokenizer.json")).tofile(folder + "/random")
    else:
        write_goldens(options.data, options.out)


if __name__ == "__main__":
    main()
