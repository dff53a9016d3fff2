/* What the tokenizer tests share: tokenizers made from ../shared/data (read in place, never copied here),
 * small ones made by hand, and comparisons of ids.
 *
 * The vocabularies there are not tokenizer.json files: SmolLM2's is a vocabulary and a list of merges,
 * Llama 3's a list of byte strings by rank. The tests write the tokenizer.json text that belongs to
 * them in memory. */
#ifndef SAMP_TESTS_MODEL_TOKENIZER_DATA_H
#define SAMP_TESTS_MODEL_TOKENIZER_DATA_H

#include "support/cmocka_all.h"

#include "base/json.h"
#include "base/memory.h"
#include "base/prng.h"
#include "file/file.h"
#include "model/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKENIZERS SAMP_DATA "/tokenizers"

static inline void assert_ok(samp_status status, const samp_error *error)
{
    if (status != SAMP_OK) fail_msg("failed: %s", error->message);
}

static inline void assert_fails(samp_status status, const samp_error *error, samp_status expected,
                                const char *says)
{
    if (status == SAMP_OK) fail_msg("succeeded, expected \"%s\"", says);
    if (status != expected || error->status != expected || !strstr(error->message, says))
        fail_msg("status %d, \"%s\"; expected status %d, \"…%s…\"", (int)status, error->message,
                 (int)expected, says);
}

/* Skips the test, with the reason, where a file of the shared data is absent. */
static inline void require_file(const char *path)
{
    if (samp_is_file(path)) return;
    print_message("%s is not there: skipped\n", path);
    skip();
}

static inline samp_buffer read_all(const char *path)
{
    samp_error error = {0};
    samp_buffer text = {0};
    assert_ok(samp_file_slurp(path, 1 << 28, &text, &error), &error);
    samp_buffer_text(&text, "");
    return text;
}

/* ---- tokenizer.json texts ---- */

/* model and added_tokens come from the caller; the rest of the document around them. */
static inline samp_tokenizer *tokenizer_of(json_t *model, json_t *added, const char *normalizer,
                                           const char *pre_tokenizer, const char *decoder)
{
    samp_error error = {0};
    samp_tokenizer *t = NULL;
    json_t *root = json_pack("{s:o, s:o}", "model", model, "added_tokens", added);
    const char *const keys[] = {"normalizer", "pre_tokenizer", "decoder"};
    const char *const parts[] = {normalizer, pre_tokenizer, decoder};
    for (int i = 0; i < 3; i++) {
        json_t *part = json_loads(parts[i], JSON_DECODE_ANY, NULL);
        assert_non_null(part);
        json_object_set_new(root, keys[i], part);
    }
    char *text = json_dumps(root, 0);
    assert_non_null(text);
    assert_ok(samp_tokenizer_parse(&t, text, strlen(text), NULL, 0, "test", &error), &error);
    samp_free(text);
    json_decref(root);
    return t;
}

static inline json_t *special_token(const char *text, int id)
{
    return json_pack("{s:i, s:s, s:b, s:b}", "id", id, "content", text, "special", 1, "normalized",
                     0);
}

static const char SMOLLM_PRE_TOKENIZER[] =
    "{\"type\": \"Sequence\", \"pretokenizers\": ["
    "{\"type\": \"Digits\", \"individual_digits\": true},"
    "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": "
    "true}]}";

static const char BYTE_LEVEL_DECODER[] = "{\"type\": \"ByteLevel\"}";

/* SmolLM2 from its vocabulary and merges. Skips where they are absent. */
static inline samp_tokenizer *smollm2_tokenizer(void)
{
    require_file(TOKENIZERS "/smollm2_vocab.json");
    require_file(TOKENIZERS "/smollm2_merges.txt");
    samp_error error = {0};
    json_t *vocab, *merges = json_array(), *added = json_array();
    assert_ok(samp_json_load(&vocab, TOKENIZERS "/smollm2_vocab.json", 1 << 24, &error), &error);
    samp_buffer text = read_all(TOKENIZERS "/smollm2_merges.txt");
    char *rest = NULL;
    for (char *line = strtok_r(text.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        if (strncmp(line, "#version", 8) != 0) json_array_append_new(merges, json_string(line));
    samp_buffer_release(&text);
    const char *key;
    json_t *id;
    json_object_foreach(vocab, key, id)
    {
        if (json_integer_value(id) <= 16)
            json_array_append_new(added, special_token(key, (int)json_integer_value(id)));
    }
    json_t *model = json_pack("{s:s, s:o, s:o}", "type", "BPE", "vocab", vocab, "merges", merges);
    return tokenizer_of(model, added, "null", SMOLLM_PRE_TOKENIZER, BYTE_LEVEL_DECODER);
}

/* The byte alphabet of GPT-2, worked out as its paper's code does: printable bytes stay, the others
 * count up from 256. */
static inline void alphabet_append(samp_buffer *out, const unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned code = bytes[i], others = 0;
        for (unsigned b = 0; b <= bytes[i]; b++) {
            bool printable = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
            if (b == bytes[i] && !printable) code = 256 + others;
            others += !printable;
        }
        char encoded[2] = {(char)(code < 128 ? code : 0xc0 | code >> 6),
                           (char)(0x80 | (code & 63))};
        samp_buffer_append(out, encoded, code < 128 ? 1 : 2);
    }
}

static inline size_t base64_decode(const char *text, unsigned char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned bits = 0, n_bits = 0;
    size_t n = 0;
    for (; *text && *text != '=' && *text != ' '; text++) {
        const char *digit = strchr(digits, *text);
        assert_non_null(digit);
        bits = bits << 6 | (unsigned)(digit - digits);
        n_bits += 6;
        if (n_bits >= 8) out[n++] = (unsigned char)(bits >> (n_bits -= 8));
    }
    return n;
}

static const char LLAMA3_PRE_TOKENIZER[] =
    "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"behavior\": \"Isolated\","
    " \"invert\": false, \"pattern\": {\"Regex\": \"(?i:'s|'t|'re|'ve|'m|'ll|'d)|"
    "[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}| "
    "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|"
    "\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"}},"
    "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": "
    "false}]}";

/* tiktoken merges whatever makes a token, the token of lowest rank first: a merge for each way to split
 * each token into two, in order of rank. */
static inline json_t *merges_of_ranks(json_t *const *texts, const json_t *vocab, size_t n)
{
    json_t *merges = json_array();
    for (size_t rank = 0; rank < n; rank++) {
        const char *text = json_string_value(texts[rank]);
        size_t length = json_string_length(texts[rank]);
        for (size_t i = 1; i < length; i++) {
            char left[1024];
            if ((text[i] & 0xc0) == 0x80) continue;
            snprintf(left, sizeof left, "%.*s", (int)i, text);
            if (json_object_get(vocab, left) && json_object_get(vocab, text + i))
                json_array_append_new(merges, json_pack("[s, s]", left, text + i));
        }
    }
    return merges;
}

static inline samp_tokenizer *make_llama3(void)
{
    enum { N = 128000 };
    samp_buffer file = read_all(TOKENIZERS "/llama3_tokenizer.model"), text = {0};
    json_t *vocab = json_object(), *added = json_array(), **texts = calloc(N, sizeof *texts);
    char *rest = NULL;
    size_t n = 0;
    for (char *line = strtok_r(file.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        unsigned char bytes[512];
        samp_buffer_clear(&text);
        alphabet_append(&text, bytes, base64_decode(line, bytes));
        assert_int_equal(strtoul(strchr(line, ' ') + 1, NULL, 10), n);
        assert_true(n < N);
        texts[n] = json_stringn(text.data, text.length);
        json_object_set_new(vocab, text.data, json_integer((json_int_t)n++));
    }
    assert_int_equal(n, N);
    for (int i = 0; i < 256; i++) {
        char reserved[64];
        static const char *const named[10] = {[0] = "<|begin_of_text|>",
                                              [1] = "<|end_of_text|>",
                                              [6] = "<|start_header_id|>",
                                              [7] = "<|end_header_id|>",
                                              [9] = "<|eot_id|>"};
        snprintf(reserved, sizeof reserved, "<|reserved_special_token_%d|>",
                 i < 6   ? i - 2
                 : i < 9 ? i - 4
                         : i - 5);
        const char *name = i < 10 && named[i] ? named[i] : reserved;
        json_array_append_new(added, special_token(name, N + i));
    }
    json_t *model = json_pack("{s:s, s:O, s:o, s:b}", "type", "BPE", "vocab", vocab, "merges",
                              merges_of_ranks(texts, vocab, n), "ignore_merges", 1);
    for (size_t i = 0; i < n; i++) json_decref(texts[i]);
    free(texts);
    json_decref(vocab);
    samp_buffer_release(&text);
    samp_buffer_release(&file);
    return tokenizer_of(model, added, "null", LLAMA3_PRE_TOKENIZER, BYTE_LEVEL_DECODER);
}

/* Llama 3 from its ranks, made once a program (release_llama3 is the group's teardown). Skips where
 * they are absent. */
static samp_tokenizer *llama3_made;

static inline const samp_tokenizer *llama3_tokenizer(void)
{
    require_file(TOKENIZERS "/llama3_tokenizer.model");
    if (!llama3_made) llama3_made = make_llama3();
    return llama3_made;
}

static inline int release_llama3(void **state)
{
    (void)state;
    samp_tokenizer_release(llama3_made);
    return 0;
}

/* tokenizer.json's model with a token for each byte (ids 0 … 255) and the merges given, each "left right"
 * in the byte alphabet; their results are 256, 257 … */
static inline json_t *small_model(const char *const *merges, size_t n)
{
    json_t *vocab = json_object(), *list = json_array();
    samp_buffer text = {0};
    for (int byte = 0; byte < 256; byte++) {
        samp_buffer_clear(&text);
        alphabet_append(&text, &(unsigned char){(unsigned char)byte}, 1);
        json_object_set_new(vocab, text.data, json_integer(byte));
    }
    for (size_t i = 0; i < n; i++) {
        const char *space = strchr(merges[i], ' ');
        samp_buffer_clear(&text);
        samp_buffer_append(&text, merges[i], (size_t)(space - merges[i]));
        samp_buffer_text(&text, space + 1);
        json_object_set_new(vocab, text.data, json_integer((json_int_t)(256 + i)));
        json_array_append_new(list, json_string(merges[i]));
    }
    samp_buffer_release(&text);
    return json_pack("{s:s, s:o, s:o}", "type", "BPE", "vocab", vocab, "merges", list);
}

/* A tokenizer from the metadata of a GGUF file. Skips where it is absent. */
static inline samp_tokenizer *gguf_tokenizer(const char *path)
{
    require_file(path);
    samp_error error = {0};
    samp_gguf *gguf;
    samp_tokenizer *t = NULL;
    assert_ok(samp_gguf_open(&gguf, path, &error), &error);
    assert_ok(samp_tokenizer_from_gguf(&t, gguf, &error), &error);
    samp_gguf_close(gguf);
    return t;
}

/* ---- Ids ---- */

static inline samp_tokens encode(const samp_tokenizer *t, const char *text, size_t n,
                                 bool parse_special)
{
    samp_error error = {0};
    samp_tokens tokens = {0};
    samp_encode_text options = {.parse_special = parse_special};
    assert_ok(samp_tokenizer_encode(t, text, n, options, &tokens, &error), &error);
    return tokens;
}

static inline void print_ids(const char *what, const int32_t *ids, size_t n)
{
    print_error("%s:", what);
    for (size_t i = 0; i < n; i++) print_error(" %d", ids[i]);
    print_error("\n");
}

static inline void assert_ids(const samp_tokens *tokens, const int32_t *ids, size_t n,
                              const char *text)
{
    if (tokens->count == n && (n == 0 || memcmp(tokens->ids, ids, n * sizeof *ids) == 0)) return;
    print_ids("ids", tokens->ids, tokens->count);
    print_ids("expected", ids, n);
    fail_msg("for the text \"%s\"", text);
}

/* Ids written in decimal with spaces between, up to a line's end or a tab; *n is at most 4096. */
static inline const char *parse_ids(const char *text, int32_t ids[4096], size_t *n)
{
    *n = 0;
    for (;;) {
        while (*text == ' ') text++;
        if (*text < '0' || *text > '9') return text;
        assert_true(*n < 4096);
        ids[(*n)++] = (int32_t)strtol(text, (char **)&text, 10);
    }
}

static inline void assert_encodes(const samp_tokenizer *t, const char *text, bool parse_special,
                                  const char *expected)
{
    int32_t ids[4096];
    size_t n;
    parse_ids(expected, ids, &n);
    samp_tokens tokens = encode(t, text, strlen(text), parse_special);
    assert_ids(&tokens, ids, n, text);
    samp_tokens_release(&tokens);
}

/* The bytes of each token of a text, with "|" between. */
static inline void assert_pieces(const samp_tokenizer *t, const char *text, bool parse_special,
                                 const char *expected)
{
    samp_buffer pieces = {0};
    samp_tokens tokens = encode(t, text, strlen(text), parse_special);
    for (size_t i = 0; i < tokens.count; i++) {
        const char *bytes;
        size_t n;
        samp_tokenizer_bytes(t, tokens.ids[i], true, &bytes, &n);
        if (i) samp_buffer_text(&pieces, "|");
        samp_buffer_append(&pieces, bytes, n);
    }
    samp_buffer_text(&pieces, "");
    assert_string_equal(pieces.data, expected);
    samp_buffer_release(&pieces);
    samp_tokens_release(&tokens);
}

/* Random text: words, spaces, characters of several scripts, and now and then any byte at all. */
static inline void random_text(samp_prng *prng, samp_buffer *out, size_t n)
{
    static const char *const common[] = {
        "e",       "t",  "a", "o", "in", " ",    "the ", "  ",   "THE",      "I'll",
        "0",       "12", ",", ".", "\n", "\n\n", "\t",   "\"",   "(",        "){",
        "<|",      ">",  "é", "ß", "Ж",  "日本", "한",   "🙂", "\xcc\x81", "\xe2\x80\x8d",
        "\xc2\xa0"};
    samp_buffer_clear(out);
    while (out->length < n) {
        char byte = (char)samp_prng_below(prng, 256);
        if (samp_prng_below(prng, 8) == 0)
            samp_buffer_append(out, &byte, 1);
        else
            samp_buffer_text(out, common[samp_prng_below(prng, sizeof common / sizeof *common)]);
    }
}

#endif
