/* Reads a tokenizer from GGUF metadata: "gpt2" (byte-level BPE with merges) and "llama"
 * (SentencePiece BPE with scores).
 *
 * GGUF does not carry the pipeline but names it (tokenizer.ggml.pre). For each name known here the
 * pipeline is written down as tokenizer.json would have it, and then read by the same code; so a
 * tokenizer from GGUF can be written as tokenizer.json with nothing further. The patterns are those
 * of the models' published tokenizer.json files. */
#include "model/tokenizer_internal.h"

#include <string.h>

enum { TYPE_NORMAL = 1, TYPE_UNKNOWN, TYPE_CONTROL, TYPE_USER_DEFINED, TYPE_UNUSED, TYPE_BYTE };

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define SPACES       "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define WORDS        "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
#define MARKS        "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
#define PREFIX       "[^\\r\\n\\p{L}\\p{N}]?"
#define UPPER        "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER        "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define GPT2_SHORT   "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)"

typedef struct pre_tokenizer {
    const char *names[8];    /* of tokenizer.ggml.pre */
    const char *patterns[5]; /* isolated one after the other, then bytes */
    bool gpt2_pattern;       /* then GPT-2's own, as ByteLevel has it */
    bool nfc, ignore_merges, add_bos;
} pre_tokenizer;

static const pre_tokenizer known[] = {
    {.names = {"gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "granite-docling"},
     .gpt2_pattern = true},
    {.names = {"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"},
     .patterns = {"\\p{N}"},
     .gpt2_pattern = true},
    {.names = {"llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral"},
     .patterns = {CONTRACTIONS WORDS "|\\p{N}{1,3}" MARKS SPACES},
     .ignore_merges = true,
     .add_bos = true},
    {.names = {"smaug-bpe", "dbrx"}, .patterns = {CONTRACTIONS WORDS "|\\p{N}{1,3}" MARKS SPACES}},
    {.names = {"tekken"},
     .patterns = {PREFIX UPPER "*" LOWER "+|" PREFIX UPPER "+" LOWER "*|\\p{N}"
                               "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" SPACES},
     .ignore_merges = true,
     .add_bos = true},
    {.names = {"qwen2", "deepseek-r1-qwen", "megrez"},
     .patterns = {CONTRACTIONS WORDS "|\\p{N}" MARKS SPACES},
     .nfc = true},
    {.names = {"stablelm2", "hunyuan"}, .patterns = {CONTRACTIONS WORDS "|\\p{N}" MARKS SPACES}},
    {.names = {"deepseek-coder"},
     .patterns = {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", "[一-龥ࠀ-一가-퟿]+", "\\p{N}"}},
    {.names = {"falcon"},
     .patterns = {"[\\p{P}\\$\\+<=>\\^~\\|`]+", GPT2_SHORT, "[0-9][0-9][0-9]"}},
    {.names = {"default"},
     .patterns = {"[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2_SHORT, "\\p{N}+", "[0-9][0-9][0-9]"}},
};

static samp_status find_pre_tokenizer(const samp_gguf *gguf, const pre_tokenizer **out,
                                      samp_error *error)
{
    samp_gguf_string name = {"default", 7};
    samp_gguf_text(gguf, "tokenizer.ggml.pre", &name);
    samp_buffer names = {0};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        for (size_t k = 0; k < 8 && known[i].names[k]; k++) {
            *out = &known[i];
            if (strlen(known[i].names[k]) == name.length &&
                !memcmp(known[i].names[k], name.data, name.length)) {
                samp_buffer_release(&names);
                return SAMP_OK;
            }
            samp_buffer_printf(&names, names.length ? ", %s" : "%s", known[i].names[k]);
        }
    }
    samp_fail(
        error, SAMP_UNSUPPORTED,
        "GGUF: the pre-tokenizer \"%.*s\" (tokenizer.ggml.pre) is not supported (supported: %s)",
        (int)(name.length < 40 ? name.length : 40), name.data, names.data ? names.data : "");
    samp_buffer_release(&names);
    return SAMP_UNSUPPORTED;
}

/* The pipeline of a byte-level tokenizer as tokenizer.json has it; NULL when out of memory. */
static json_t *byte_level_pipeline(const pre_tokenizer *pre)
{
    json_t *steps = json_array();
    int failed = 0;
    for (int i = 0; i < 5 && pre->patterns[i]; i++)
        failed |= json_array_append_new(
            steps, json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex",
                             pre->patterns[i], "behavior", "Isolated", "invert", 0));
    failed |= json_array_append_new(steps, json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel",
                                                     "add_prefix_space", 0, "trim_offsets", 1,
                                                     "use_regex", pre->gpt2_pattern));
    json_t *bytes = json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 1,
                              "trim_offsets", 1, "use_regex", 1);
    json_t *normalizer = pre->nfc ? json_pack("{s:s}", "type", "NFC") : json_null();
    json_t *pipeline =
        failed ? NULL
               : json_pack("{s:O, s:{s:s, s:O}, s:O}", "normalizer", normalizer, "pre_tokenizer",
                           "type", "Sequence", "pretokenizers", steps, "decoder", bytes);
    json_decref(steps);
    json_decref(bytes);
    json_decref(normalizer);
    return pipeline;
}

static uint32_t token_flags(int32_t type)
{
    switch (type) {
    case TYPE_UNKNOWN:
    case TYPE_CONTROL: return SAMP__TOKEN_MODEL | SAMP__TOKEN_ADDED | SAMP__TOKEN_SPECIAL;
    case TYPE_USER_DEFINED: return SAMP__TOKEN_MODEL | SAMP__TOKEN_ADDED;
    case TYPE_UNUSED: return SAMP__TOKEN_MODEL | SAMP__TOKEN_UNUSED;
    default: return SAMP__TOKEN_MODEL;
    }
}

static samp_status read_tokens(samp_tokenizer *t, const samp_gguf *gguf, samp_error *error)
{
    const samp_gguf_string *texts;
    const int32_t *types = NULL;
    uint64_t n = samp_gguf_strings(gguf, "tokenizer.ggml.tokens", &texts);
    uint64_t n_types = samp_gguf_integers(gguf, "tokenizer.ggml.token_type", &types);
    if (n_types && n_types != n)
        return samp_fail(error, SAMP_MISMATCH, "GGUF: %llu tokens but %llu token types",
                         (unsigned long long)n, (unsigned long long)n_types);
    SAMP_TRY(samp__vocabulary_begin(t, n, "GGUF", error));
    for (uint32_t id = 0; id < n; id++) {
        uint32_t flags = token_flags(n_types ? types[id] : TYPE_NORMAL);
        SAMP_TRY(
            samp__vocabulary_put(t, id, texts[id].data, texts[id].length, flags, "GGUF", error));
    }
    return samp__vocabulary_index(t, error);
}

static samp_status read_merges(samp_tokenizer *t, const samp_gguf *gguf, samp__merge_list *list,
                               samp_error *error)
{
    const samp_gguf_string *merges;
    uint64_t n = samp_gguf_strings(gguf, "tokenizer.ggml.merges", &merges);
    if (!n)
        return samp_fail(error, SAMP_CORRUPT,
                         "GGUF: tokenizer.ggml.merges is missing or not a list of strings");
    for (uint64_t i = 0; i < n; i++) {
        const char *text = merges[i].data;
        size_t length = merges[i].length;
        /* a part may itself be a space, so the first byte is never the separator */
        const char *space = length > 1 ? memchr(text + 1, ' ', length - 1) : NULL;
        if (!space)
            return samp_fail(error, SAMP_CORRUPT,
                             "GGUF: merge %llu (\"%.*s\") has no space between two parts",
                             (unsigned long long)i, (int)(length < 40 ? length : 40), text);
        size_t n_left = (size_t)(space - text);
        SAMP_TRY(samp__merges_add_texts(t, list, text, n_left, space + 1, length - n_left - 1,
                                        "GGUF", error));
    }
    return SAMP_OK;
}

static samp_status read_scores(samp_tokenizer *t, const samp_gguf *gguf, samp__merge_list *list,
                               samp_error *error)
{
    const float *scores;
    uint64_t n = samp_gguf_floats(gguf, "tokenizer.ggml.scores", &scores);
    if (n != t->n_tokens)
        return samp_fail(error, SAMP_MISMATCH, "GGUF: %u tokens but %llu scores", t->n_tokens,
                         (unsigned long long)n);
    return samp__merges_add_scores(t, list, scores, "GGUF", error);
}

static samp_status read_token_id(const samp_tokenizer *t, const samp_gguf *gguf, const char *key,
                                 int32_t *out, samp_error *error)
{
    int64_t id;
    if (!samp_gguf_integer(gguf, key, &id)) return SAMP_OK;
    if (id < 0 || id >= t->n_tokens)
        return samp_fail(error, SAMP_CORRUPT, "GGUF: %s is %lld, expected 0 to %u", key,
                         (long long)id, t->n_tokens - 1);
    *out = (int32_t)id;
    return SAMP_OK;
}

static samp_status read_template(samp_tokenizer *t, const samp_gguf *gguf, const char *key,
                                 const char **out, samp_error *error)
{
    samp_gguf_string text;
    if (!samp_gguf_text(gguf, key, &text)) return SAMP_OK;
    *out = samp_arena_strndup(&t->arena, text.data, text.length);
    return *out ? SAMP_OK
                : samp_fail(error, SAMP_NOMEM, "GGUF: out of memory for the chat template");
}

static samp_status read_special(samp_tokenizer *t, const samp_gguf *gguf, samp_error *error)
{
    SAMP_TRY(read_token_id(t, gguf, "tokenizer.ggml.bos_token_id", &t->bos, error));
    SAMP_TRY(read_token_id(t, gguf, "tokenizer.ggml.eos_token_id", &t->eos, error));
    SAMP_TRY(read_token_id(t, gguf, "tokenizer.ggml.padding_token_id", &t->pad, error));
    SAMP_TRY(read_token_id(t, gguf, "tokenizer.ggml.unknown_token_id", &t->unk_name, error));
    samp_gguf_bool(gguf, "tokenizer.ggml.add_bos_token", &t->add_bos);
    samp_gguf_bool(gguf, "tokenizer.ggml.add_eos_token", &t->add_eos);
    SAMP_TRY(read_template(t, gguf, "tokenizer.chat_template", &t->chat_template, error));
    return read_template(t, gguf, "tokenizer.chat_template.tool_use", &t->tool_template, error);
}

static samp_status read_byte_level(samp_tokenizer *t, const samp_gguf *gguf,
                                   samp__merge_list *merges, json_t **pipeline, samp_error *error)
{
    const pre_tokenizer *pre;
    SAMP_TRY(find_pre_tokenizer(gguf, &pre, error));
    t->ignore_merges = pre->ignore_merges;
    t->add_bos = pre->add_bos;
    *pipeline = byte_level_pipeline(pre);
    return read_merges(t, gguf, merges, error);
}

static samp_status read_sentencepiece(samp_tokenizer *t, const samp_gguf *gguf,
                                      samp__merge_list *merges, json_t **pipeline,
                                      samp_error *error)
{
    bool add_space_prefix = true;
    samp_gguf_bool(gguf, "tokenizer.ggml.add_space_prefix", &add_space_prefix);
    t->byte_fallback = t->fuse_unk = t->add_bos = true;
    t->unk_name = 0;
    *pipeline = samp__sentencepiece_pipeline(add_space_prefix, true);
    return read_scores(t, gguf, merges, error);
}

static samp_status read_gguf(samp_tokenizer *t, const samp_gguf *gguf, samp_error *error)
{
    samp_gguf_string model = {"(missing)", 9};
    samp_gguf_text(gguf, "tokenizer.ggml.model", &model);
    bool gpt2 = model.length == 4 && memcmp(model.data, "gpt2", 4) == 0;
    if (!gpt2 && (model.length != 5 || memcmp(model.data, "llama", 5) != 0))
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "GGUF: the tokenizer model \"%.*s\" (tokenizer.ggml.model) is not "
                         "supported (supported: gpt2, llama)",
                         (int)(model.length < 40 ? model.length : 40), model.data);
    samp__merge_list merges = {0};
    json_t *pipeline = NULL;
    samp_status status = read_tokens(t, gguf, error);
    if (status == SAMP_OK) status = samp__added_from_flags(t, "GGUF", error);
    if (status == SAMP_OK)
        status = gpt2 ? read_byte_level(t, gguf, &merges, &pipeline, error)
                      : read_sentencepiece(t, gguf, &merges, &pipeline, error);
    if (status == SAMP_OK) status = read_special(t, gguf, error);
    if (!gpt2) t->unk = t->unk_name;
    if (status == SAMP_OK && !pipeline)
        status = samp_fail(error, SAMP_NOMEM, "GGUF: out of memory for the tokenizer");
    if (status == SAMP_OK) status = samp__pipeline_read(t, pipeline, "GGUF", error);
    if (status == SAMP_OK) status = samp__tokenizer_finish(t, &merges, "GGUF", error);
    samp_free(merges.items);
    json_decref(pipeline);
    return status;
}

samp_status samp_tokenizer_from_gguf(samp_tokenizer **out, const samp_gguf *gguf, samp_error *error)
{
    *out = NULL;
    samp_tokenizer *t;
    SAMP_TRY(samp__tokenizer_new(&t, error));
    samp_status status = read_gguf(t, gguf, error);
    if (status == SAMP_OK)
        *out = t;
    else
        samp_tokenizer_release(t);
    return status;
}
