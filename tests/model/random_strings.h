/* The 10,000 random strings of tools/golden_tokenizer_random.py, made again here, and the digest of
 * what a tokenizer makes of each: string i is a function of i and of
 * tests/golden/tokenizers/atoms.json. */
#ifndef SAMP_TESTS_MODEL_RANDOM_STRINGS_H
#define SAMP_TESTS_MODEL_RANDOM_STRINGS_H

#include "model/tokenizer_data.h"

#include "base/utf8.h"

enum { N_RANDOM_STRINGS = 10000 };

static inline json_t *load_golden_json(const char *name)
{
    char path[512];
    json_error_t failure;
    snprintf(path, sizeof path, SAMP_GOLDEN "/tokenizers/%s.json", name);
    json_t *value = json_load_file(path, JSON_ALLOW_NUL, &failure);
    if (!value) fail_msg("%s: %s", path, failure.text);
    return value;
}

/* One piece: an atom of a random group, or a code point of a random range. */
static inline void append_piece(const json_t *atoms, samp_prng *prng, samp_buffer *out)
{
    const json_t *groups = json_object_get(atoms, "groups"),
                 *ranges = json_object_get(atoms, "ranges");
    size_t n_groups = json_array_size(groups), group = samp_prng_below(prng, n_groups + 1);
    if (group < n_groups) {
        const json_t *items = json_array_get(groups, group);
        const json_t *atom = json_array_get(items, samp_prng_below(prng, json_array_size(items)));
        samp_buffer_append(out, json_string_value(atom), json_string_length(atom));
        return;
    }
    const json_t *range = json_array_get(ranges, samp_prng_below(prng, json_array_size(ranges)));
    uint64_t first = (uint64_t)json_integer_value(json_array_get(range, 0));
    uint64_t last = (uint64_t)json_integer_value(json_array_get(range, 1));
    char bytes[4];
    uint32_t code = (uint32_t)(first + samp_prng_below(prng, last - first + 1));
    samp_buffer_append(out, bytes, samp_utf8_encode(code, bytes));
}

/* Replaces *out by string `index`. */
static inline void random_string(const json_t *atoms, uint64_t index, samp_buffer *out)
{
    samp_prng prng = {index << 32};
    samp_buffer piece = {0};
    samp_buffer_clear(out);
    for (uint64_t left = 1 + samp_prng_below(&prng, 24); left > 0; left--) {
        samp_buffer_clear(&piece);
        append_piece(atoms, &prng, &piece);
        uint64_t times = samp_prng_below(&prng, 8) ? 1 : 2 + samp_prng_below(&prng, 8);
        for (; times > 0; times--) samp_buffer_append(out, piece.data, piece.length);
    }
    samp_buffer_release(&piece);
}

static inline uint64_t fnv1a(uint64_t value, const void *data, size_t n)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < n; i++) value = (value ^ bytes[i]) * 0x100000001b3u;
    return value;
}

static inline uint64_t hash_ids(uint64_t value, const samp_tokens *tokens)
{
    uint32_t count = (uint32_t)tokens->count;
    return fnv1a(fnv1a(value, &count, sizeof count), tokens->ids,
                 tokens->count * sizeof *tokens->ids);
}

static inline void decode_stream(const samp_tokenizer *t, const samp_tokens *tokens,
                                 samp_buffer *out)
{
    samp_detokenizer state = {0};
    for (size_t i = 0; i < tokens->count; i++)
        samp_detokenize(t, &state, tokens->ids[i], true, out);
    samp_detokenize_end(&state, out);
}

/* Of the ids with special tokens parsed, of those with special tokens read as text, and of the text
 * that the first decode to, token by token. */
static inline uint8_t digest_of(const samp_tokenizer *t, const samp_buffer *text)
{
    samp_tokens parsed = encode(t, text->data, text->length, true);
    samp_tokens plain = encode(t, text->data, text->length, false);
    samp_buffer decoded = {0};
    decode_stream(t, &parsed, &decoded);
    uint64_t value = hash_ids(hash_ids(0xcbf29ce484222325u, &parsed), &plain);
    value = fnv1a(value, decoded.data, decoded.length);
    for (int shift = 32; shift >= 8; shift /= 2) value ^= value >> shift;
    samp_buffer_release(&decoded);
    samp_tokens_release(&plain);
    samp_tokens_release(&parsed);
    return (uint8_t)value;
}

static inline void print_escaped(const char *what, const samp_buffer *text)
{
    json_t *string = json_stringn(text->length ? text->data : "", text->length);
    char *escaped = json_dumps(string, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    print_error("%s: %s\n", what, escaped);
    samp_free(escaped);
    json_decref(string);
}

static inline void print_string(const samp_tokenizer *t, uint64_t index, const samp_buffer *text)
{
    samp_tokens tokens = encode(t, text->data, text->length, true);
    samp_buffer decoded = {0};
    decode_stream(t, &tokens, &decoded);
    print_error("string %llu\n", (unsigned long long)index);
    print_escaped("  text", text);
    print_ids("  ids", tokens.ids, tokens.count);
    print_escaped("  decoded", &decoded);
    samp_buffer_release(&decoded);
    samp_tokens_release(&tokens);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__OPTIMIZE__)
enum { RANDOM_STRINGS_STEP = 16 }; /* a slow build tries some of them */
#else
enum { RANDOM_STRINGS_STEP = 1 };
#endif

/* Compares digests with those stored, and prints the first strings that differ; their number. */
static inline size_t count_wrong_strings(const samp_tokenizer *t, const char *name,
                                         const uint8_t *expected, size_t n)
{
    json_t *atoms = load_golden_json("atoms");
    samp_buffer text = {0};
    size_t n_wrong = 0;
    assert_int_equal(n, N_RANDOM_STRINGS);
    for (uint64_t i = 0; i < n; i += RANDOM_STRINGS_STEP) {
        random_string(atoms, i, &text);
        if (digest_of(t, &text) != expected[i] && n_wrong++ < 3) print_string(t, i, &text);
    }
    samp_buffer_release(&text);
    json_decref(atoms);
    if (n_wrong) print_error("%s: %zu strings differ\n", name, n_wrong);
    return n_wrong;
}

#endif
