#!/usr/bin/env python3
"""Writes tests/golden/tokenizer_smollm2.tsv and tokenizer_llama3.tsv: 300 strings made to trip a
tokenizer, and their ids.

usage: golden_tokenizer.py TOKENIZERS_DIR [OUT_DIR]     needs tokenizers, tiktoken
TOKENIZERS_DIR holds smollm2_vocab.json, smollm2_merges.txt, llama3_tokenizer.model and llama.cpp's
vectors ggml-vocab-{smollm,llama-bpe}.gguf.{inp,out}.

A line: the string in JSON (ASCII, escaped), TAB, ids separated by spaces. Special tokens inside the
text are recognised; where that changes the ids, a third column holds those with special tokens read as
plain text. No BOS is added. Checks: every id list decodes to its string; Llama 3's ids are those of
tiktoken as well as of tokenizers; both tokenizers reproduce llama.cpp's published vectors.
"""
import base64
import json
import os
import random
import sys

import tiktoken
import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

LLAMA3_REGEX = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
                r"|\s*[\r\n]+|\s+(?!\S)|\s+")
LLAMA3_SPECIAL = ["<|begin_of_text|>", "<|end_of_text|>",
                  *(f"<|reserved_special_token_{i}|>" for i in range(4)), "<|start_header_id|>",
                  "<|end_header_id|>", "<|reserved_special_token_4|>", "<|eot_id|>",
                  *(f"<|reserved_special_token_{i}|>" for i in range(5, 251))]


def smollm2(vocab, merges):
    """vocab {token: id}, merges [(left, right)]. Digits are split off one by one, then comes GPT-2's
    byte-level regex. Ids 0..16 are special."""
    tokenizer = Tokenizer(models.BPE(vocab, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tokenizer.decoder = decoders.ByteLevel()
    by_id = {i: token for token, i in vocab.items()}
    tokenizer.add_special_tokens([AddedToken(by_id[i], special=True,
                                             normalized=False) for i in range(17)])
    return tokenizer


def smollm2_from_files(folder):
    vocab = json.load(open(folder + "/smollm2_vocab.json", encoding="utf-8"))
    lines = open(folder + "/smollm2_merges.txt", encoding="utf-8").read().split("\n")
    return smollm2(vocab,
                   [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")])


def llama3_ranks(folder):
    return {base64.b64decode(token): int(rank) for token,
            rank in (line.split() for line in open(folder + "/llama3_tokenizer.model", "rb"))}


def llama3(ranks):
    """tiktoken ranks as a byte-level BPE: a token's merges are all its splits into two tokens, in the
    order of the token's rank."""
    to_char = dict(zip(*byte_alphabet()))
    text = {token: "".join(to_char[b] for b in token) for token in ranks}
    merges = []
    for token in sorted(ranks, key=ranks.get):
        splits = [(token[:i], token[i:]) for i in range(1, len(token))]
        splits = [s for s in splits if s[0] in ranks and s[1] in ranks]
        merges += [(text[a], text[b]) for a, b in sorted(splits, key=lambda s: (ranks[s[0]], ranks[s[1]]))]
    tokenizer = Tokenizer(models.BPE({text[token]: rank for token, rank in ranks.items()}, merges,
                                     ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA3_REGEX), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True,
                                             normalized=False) for token in LLAMA3_SPECIAL])
    return tokenizer


def byte_alphabet():
    """GPT-2's byte -> printable character table: (bytes, characters)."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    moved = [b for b in range(256) if b not in kept]
    return kept + moved, [chr(b) for b in kept] + [chr(256 + i) for i in range(len(moved))]


def strings():
    """300 strings, all written for this file."""
    s = ["", " ", "  ", "   ", " " * 7, " " * 8, " " * 33, "\t", "\t\t", "\n", "\n\n", "\n\n\n",
         "\r", "\r\n", "\r\n\r\n", "\n \n", " \n ", "\t\n\t", "\n\t x",
         "a ", " a", "  a", "   a  ", "a  b", "a   b", "a\tb", "a\t\tb", "a \tb", "a\nb", "a\r\nb",
         "a\n\n\nb", "a \n b", "x\n    y", "x\n\ty", "end.\n", "end.  \n\n", "end \r\n \r\n",
         "a\u00a0b", "a\u00a0 b", "a\u3000b", "a\u2009\u2009b", "a\u2028b", "a\u2029b", "a\u0085b",
         "a\u1680b", "a\u180eb", "a\u200bb", "a\u202fb", "a\u205f b", "a\ufeffb", "\ufeffstart",
         "a\x0bb", "a\x0cb", "a\x1cb", "a\x1fb", "a\x00b", "\x00", "\x7f", "a\x80b", "\x9f\x9f"]
    s += ["Hello", "hello world", "Hello, World!", "HELLO WORLD", "hElLo", "The quick lamp hums.",
          "don't", "DON'T", "I'm, you're; we've: they'll", "it's John's", "it'S", "she'D 'VE", "'s",
          " 's", "''s",
          "x'y", "'tis", "rock'n'roll", "l'été d'Anne", "it\u2019s", "it'\u017f", "O'Neill's",
          "a'b'c'd", "'re're", "can't've", "'", "''", "'''", "\"\"\"", "``code``", "naïve café",
          "Zoë's façade",
          "Antidisestablishmentarianism", "e-mail co-op", "well—said", "wait…what", "a_b__c",
          "CamelCaseWord", "snake_case_word", "SCREAMING_SNAKE", "x86_64-linux-gnu",
          "v1.2.3-rc.4+build.5"]
    s += ["0", "7", "42", "007", "1234567890", "3.14159", "-273.15", "1,000,000", "1e-5", "0x1F",
          "1st 2nd 3rd", "a1b2c3", "2024-02-29T23:59:60Z", "+49 30 123456", "12:34:56.789", "1/2",
          "½", "x²+y³", "Ⅷ", "①②③", "٣٤٥", "१२३", "１２３", "𝟘𝟙𝟚",
          "五千", "99.9%", "$1,234.56", "£5", "€ 10", "10⁻⁶", "H₂O", "1 2 3", "1  2", "12 345 678",
          "192.168.0.1", "::1", "00:1A:2b", "5'11\"", "1'000'000"]
    s += ["Größe", "ÀÉÎÕÜ", "e\u0301", "e\u0301\u0301e", "a\u0308o\u0308u\u0308", "\u0301",
          " \u0301x", "Z\u0351\u036b\u0343a\u033al\u0321go", "Å Å", "ﬁﬂ", "ß ẞ", "İıIi",
          "Привет, мир!", "Ελληνικά γράμματα", "שלום עולם", "مرحبا بالعالم",
          "नमस्ते दुनिया", "สวัสดีชาวโลก", "こんにちは世界", "カタカナ ﾊﾝｶｸ", "안녕하세요 세계", "你好，世界！", "繁體中文字",
          "ภาษาไทย123", "한국어 2024년", "日本語テキスト。", "Việt Nam đẹp", "ქართული", "አማርኛ", "𐌰𐌱𐌲", "𝒳𝓎𝓏",
          "𠮷野家", "ǆ ǅ Ǆ", "ʰʷ", "ªº", "ↂ"]
    s += ["🙂", "🙂🙂", " 🙂", "a🙂b", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪🇫🇷", "❤️", "❤", "☃", "✓✗", "→⇒",
          "∑∫√∞", "⠓⠑⠇", "🧑🏿‍🚀 to 🌕!", "\u200d", "\ufe0f", "a\u200db", "\u202eabc\u202c",
          "\u2066x\u2069"]
    s += ["\ufffd", "\ufffe", "\uffff", "\U0010ffff", "\ue000", "\U000f0000", "Ã©", "â€™", "Ã¤Ã¶Ã¼",
          "ï»¿", "ÿþ", "\u00c3\u0080", "\xc0\x80", "\u0130\u0307", "\u1e9e\u0323", "\ud7ff\ue000",
          "\ufdd0", "\u0378", "\u2fe0", "\U000e0041"]
    s += ["if (x != 0 && y[i] <= *p++) { return -1; }",
          "for (int i = 0; i < n; i++)\n\t\tsum += a[i];",
          "#include <stdio.h>\n\nint main(void)\n{\n    puts(\"hi\\n\");\n}\n",
          "def f(x):\n    return x ** 2  # square\n",
          "lambda x: x+1", "a->b.c::d", "=>", "===", "!==", "<<=", "|>", "//", "/* c */",
          "<!-- c -->", "<div class=\"a b\">&nbsp;</div>", "SELECT * FROM t WHERE a='b';",
          "{\"k\": [1, 2.5, null, true]}", "{\"a\":\"\\u00e9\\n\"}",
          "https://example.org/a%20b?q=1&r=#top", "C:\\Users\\x\\y.txt", "~/.config/x",
          "user@example.org", "\\frac{a}{b}", "$x_1^2$", "a += b; c -= d;", "#!/bin/sh",
          "@app.route('/')", "::std::vector<int>", "0b1010 & 0o17", "%s %d %5.2f", "[[x]]", "((((",
          "))))", "....", ". . .", "-----", "======", "***", "~~~", "\\\\", "\\n", "|a|b|\n|--|--|"]
    s += ["<|", "<|im", "<|im_", "<|im_start", "<|im_start|", "|im_start|>", "<|im_start|>",
          "<|im_start|>user\nhi<|im_end|>\n", "a<|im_end|>b", "<|im_start|><|im_start|>",
          " <|im_end|> ", "<|im_start |>", "<|IM_START|>", "<<|im_end|>>", "<|endoftext|>",
          "x<|endoftext|>\n",
          "<|begin_of_text|>", "<|eot_id|>",
          "<|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>",
          "<|reserved_special_token_250|>", "<|reserved_special_token_251|>", "<|eot_id",
          "<repo_name>x<file_sep>y", "<file_sep", "<s>", "</s>", "[INST]"]
    draw = random.Random(2026)
    atoms = [" ", "  ", "\n", "\r\n", "\t", "'s", "'LL", "a", "Zß", "é", "e\u0301", "9", "123456", "½", "٣",
             ".", "!?", "_", "-", "(", "🙂", "字", "न", "\u00a0", "\u200b", "\u0085", "<|im_end|>", "<|eot_id|>",
             "\\", "\"", "\ufffd", "\x00", "ا", "𝟘"]
    while len(s) < 300:
        s.append("".join(draw.choice(atoms) for _ in range(draw.randint(3, 14))))
    assert len(s) == 300, len(s)
    return s


def published_vectors(folder, name):
    """llama.cpp's pairs of text and ids."""
    inputs = open(f"{folder}/ggml-vocab-{name}.gguf.inp", encoding="utf-8",
                  newline="").read().split("\n__ggml_vocab_test__\n")
    outputs = [[int(i) for i in line.split()] for line in open(f"{folder}/ggml-vocab-{name}.gguf.out")]
    return zip(inputs, outputs)


def encode(tokenizer, text, special=True):
    tokenizer.encode_special_tokens = not special
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == text, repr(text)
    return ids


def write(path, tokenizer):
    with open(path, "w", encoding="ascii", newline="\n") as out:
        for text in strings():
            columns = [encode(tokenizer, text), encode(tokenizer, text, special=False)]
            columns = columns[:1] if columns[0] == columns[1] else columns
            ids = [" ".join(map(str, column)) for column in columns]
            out.write("\t".join([json.dumps(text), *ids]) + "\n")


def compare_with_tiktoken(tokenizer, ranks):
    special_tokens = {token: 128000 + i for i, token in enumerate(LLAMA3_SPECIAL)}
    reference = tiktoken.Encoding("llama3", pat_str=LLAMA3_REGEX, mergeable_ranks=ranks, special_tokens=special_tokens)
    for text in strings():
        assert reference.encode(text, allowed_special="all") == encode(tokenizer, text), repr(text)
        assert reference.encode_ordinary(text) == encode(tokenizer, text, special=False), repr(text)


def main(folder, out):
    small, ranks = smollm2_from_files(folder), llama3_ranks(folder)
    large = llama3(ranks)
    compare_with_tiktoken(large, ranks)
    for name, tokenizer in (("smollm", small), ("llama-bpe", large)):
        pairs = list(published_vectors(folder, name))
        for text, ids in pairs:
            assert encode(tokenizer, text) == ids, (name, text)
        print(f"{name}: {len(pairs)} published vectors equal")
    write(out + "/tokenizer_smollm2.tsv", small)
    write(out + "/tokenizer_llama3.tsv", large)
    print(f"tokenizers {tokenizers.__version__}, tiktoken {tiktoken.__version__}")


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else here + "/../tests/golden")
