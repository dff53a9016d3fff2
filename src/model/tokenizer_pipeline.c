/* The four parts of tokenizer.json around its model: normalizer, pre-tokenizer, post-processor,
 * decoder. The first two have files of their own; here are the others, which samp needs little of:
 * where the bos token goes, and how a token's text becomes bytes. The description is kept for
 * writing. */
#include "model/tokenizer_internal.h"

#include <string.h>

static bool is_string(const json_t *object, const char *key, const char *value)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text && strcmp(text, value) == 0;
}

/* Strip after Fuse: at most one space at the start of the whole text. */
static samp_status read_strip(samp_tokenizer *t, const json_t *json, const char *where,
                              samp_error *error)
{
    int64_t start = 0, stop = 0;
    SAMP_TRY(samp_json_integer(json, "start", true, 0, INT32_MAX, &start, where, error));
    SAMP_TRY(samp_json_integer(json, "stop", true, 0, INT32_MAX, &stop, where, error));
    if (start > 1 || stop || !is_string(json, "content", " "))
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "%s: decoder \"Strip\" is supported only for one space at the start",
                         where);
    t->strip_leading_space = start == 1;
    return SAMP_OK;
}

static samp_status read_decoder_step(samp_tokenizer *t, const json_t *json, int depth,
                                     const char *where, samp_error *error)
{
    const char *type = NULL, *from = NULL, *to = NULL, *mark = NULL;
    SAMP_TRY(samp_json_string(json, "type", true, &type, where, error));
    if (strcmp(type, "Sequence") == 0 && depth < 4) {
        size_t i;
        const json_t *item, *items = json_object_get(json, "decoders");
        json_array_foreach(items, i, item)
            SAMP_TRY(read_decoder_step(t, item, depth + 1, where, error));
        return SAMP_OK;
    }
    if (strcmp(type, "ByteLevel") == 0) {
        if (t->byte_level) return SAMP_OK;
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "%s: decoder \"ByteLevel\" without the pre-tokenizer of that name", where);
    }
    if (strcmp(type, "ByteFallback") == 0) {
        t->decode_byte_tokens = true;
        return SAMP_OK;
    }
    if (strcmp(type, "Fuse") == 0) return SAMP_OK;
    if (strcmp(type, "Strip") == 0) return read_strip(t, json, where, error);
    if (strcmp(type, "Replace") == 0) {
        SAMP_TRY(samp_json_string(json_object_get(json, "pattern"), "String", true, &from, where,
                                  error));
        SAMP_TRY(samp_json_string(json, "content", true, &to, where, error));
        return samp__transform_add(t, &t->token_decoder, SAMP__REPLACE, from, to, where, error);
    }
    if (strcmp(type, "Metaspace") == 0) {
        SAMP_TRY(samp_json_string(json, "replacement", true, &mark, where, error));
        bool prefix = true;
        SAMP_TRY(samp_json_bool(json, "add_prefix_space", false, &prefix, where, error));
        t->strip_leading_space = prefix && !is_string(json, "prepend_scheme", "never");
        return samp__transform_add(t, &t->token_decoder, SAMP__REPLACE, mark, " ", where, error);
    }
    return samp_fail(
        error, SAMP_UNSUPPORTED,
        "%s: decoder \"%s\" is not supported (supported: Sequence up to 4 deep, ByteLevel, "
        "ByteFallback, Fuse, Strip, Replace of a String, Metaspace)",
        where, type);
}

/* TemplateProcessing's list for one sequence: a special token in front of it is bos, one behind it
 * eos. */
static samp_status read_template(samp_tokenizer *t, const json_t *json, const char *where,
                                 samp_error *error)
{
    size_t i;
    const json_t *item, *items = json_object_get(json, "single");
    bool behind = false;
    json_array_foreach(items, i, item)
    {
        const char *text = NULL;
        if (json_object_get(item, "Sequence")) {
            behind = true;
            continue;
        }
        SAMP_TRY(samp_json_string(json_object_get(item, "SpecialToken"), "id", true, &text, where,
                                  error));
        int32_t id = samp__vocabulary_find(t, text, strlen(text));
        bool *add = behind ? &t->add_eos : &t->add_bos;
        if (id < 0 || *add)
            return samp_fail(
                error, SAMP_UNSUPPORTED,
                "%s: the post-processor puts \"%.40s\" %s a text, expected at most one "
                "token of the vocabulary",
                where, text, behind ? "behind" : "in front of");
        *(behind ? &t->eos : &t->bos) = id;
        *add = true;
    }
    return SAMP_OK;
}

static samp_status read_processor_step(samp_tokenizer *t, const json_t *json, int depth,
                                       const char *where, samp_error *error)
{
    const char *type = NULL;
    SAMP_TRY(samp_json_string(json, "type", true, &type, where, error));
    if (strcmp(type, "Sequence") == 0 && depth < 4) {
        size_t i;
        const json_t *item, *items = json_object_get(json, "processors");
        json_array_foreach(items, i, item)
            SAMP_TRY(read_processor_step(t, item, depth + 1, where, error));
        return SAMP_OK;
    }
    if (strcmp(type, "ByteLevel") == 0) return SAMP_OK; /* trims offsets, which samp has none of */
    if (strcmp(type, "TemplateProcessing") == 0) return read_template(t, json, where, error);
    return samp_fail(
        error, SAMP_UNSUPPORTED,
        "%s: post-processor \"%s\" is not supported (supported: Sequence up to 4 deep, "
        "ByteLevel, TemplateProcessing)",
        where, type);
}

/* A member that is an object, with a reference of its own; NULL when missing or null. */
static json_t *keep(const json_t *root, const char *key)
{
    json_t *part = json_object_get(root, key);
    return part && !json_is_null(part) ? json_incref(part) : NULL;
}

samp_status samp__pipeline_read(samp_tokenizer *t, const json_t *root, const char *where,
                                samp_error *error)
{
    t->json_normalizer = keep(root, "normalizer");
    t->json_pre_tokenizer = keep(root, "pre_tokenizer");
    t->json_post_processor = keep(root, "post_processor");
    t->json_decoder = keep(root, "decoder");
    SAMP_TRY(samp__normalizer_read(t, t->json_normalizer, where, error));
    SAMP_TRY(samp__pre_tokenizer_read(t, t->json_pre_tokenizer, where, error));
    if (t->json_decoder) SAMP_TRY(read_decoder_step(t, t->json_decoder, 0, where, error));
    if (!t->json_post_processor) return SAMP_OK;
    return read_processor_step(t, t->json_post_processor, 0, where, error);
}

/* The space in front as part of the normalizer, or of the pre-tokenizer. */
static json_t *space_prefix(bool add_space_prefix, bool legacy)
{
    json_t *replace = json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", "String", " ",
                                "content", "▁");
    json_t *normalizer =
        add_space_prefix ? json_pack("{s:s, s:[{s:s, s:s}, O]}", "type", "Sequence", "normalizers",
                                     "type", "Prepend", "prepend", "▁", replace)
                         : json_pack("{s:s, s:[O]}", "type", "Sequence", "normalizers", replace);
    json_t *metaspace =
        json_pack("{s:s, s:s, s:s, s:b}", "type", "Metaspace", "replacement", "▁", "prepend_scheme",
                  add_space_prefix ? "first" : "never", "split", 0);
    json_t *pipeline = legacy ? json_pack("{s:O}", "normalizer", normalizer)
                              : json_pack("{s:O}", "pre_tokenizer", metaspace);
    json_decref(replace);
    json_decref(normalizer);
    json_decref(metaspace);
    return pipeline;
}

json_t *samp__sentencepiece_pipeline(bool add_space_prefix, bool legacy)
{
    json_t *pipeline = space_prefix(add_space_prefix, legacy);
    json_t *decoders =
        json_pack("[{s:s, s:{s:s}, s:s}, {s:s}, {s:s}]", "type", "Replace", "pattern", "String",
                  "▁", "content", " ", "type", "ByteFallback", "type", "Fuse");
    int failed = 0;
    if (add_space_prefix)
        failed = json_array_append_new(decoders, json_pack("{s:s, s:s, s:i, s:i}", "type", "Strip",
                                                           "content", " ", "start", 1, "stop", 0));
    json_t *decoder = json_pack("{s:s, s:O}", "type", "Sequence", "decoders", decoders);
    if (failed || !decoder || json_object_set(pipeline, "decoder", decoder) != 0) {
        json_decref(pipeline);
        pipeline = NULL;
    }
    json_decref(decoders);
    json_decref(decoder);
    return pipeline;
}
