/* Writes a tokenizer as Hugging Face files: tokenizer.json, which the tokenizers library reads to
 * the same ids, and tokenizer_config.json, which tells transformers the special tokens and the
 * template. SentencePiece's scores become merges in order of score, as Hugging Face's own converter
 * does it. */
#include "model/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

static samp_status fail_nomem(samp_error *error)
{
    return samp_fail(error, SAMP_NOMEM, "out of memory for writing the tokenizer");
}

/* Whether JSON can hold a text: UTF-8 without NUL. */
static bool is_writable(const char *text, size_t n)
{
    for (size_t i = 0; i < n;) {
        int length = samp_utf8_length(text + i, n - i);
        if (length <= 0 || text[i] == '\0') return false;
        i += (size_t)length;
    }
    return true;
}

static samp_status text_json(const samp_tokenizer *t, uint32_t id, json_t **out, samp_error *error)
{
    const samp__token *token = &t->tokens[id];
    if (!is_writable(token->text, token->n_text))
        return samp_fail(
            error, SAMP_UNSUPPORTED,
            "token %u is not valid UTF-8 without NUL, so tokenizer.json cannot hold it", id);
    *out = json_stringn(token->text, token->n_text);
    return *out ? SAMP_OK : fail_nomem(error);
}

static samp_status vocab_json(const samp_tokenizer *t, json_t *vocab, samp_error *error)
{
    for (uint32_t id = 0; id < t->n_tokens; id++) {
        const samp__token *token = &t->tokens[id];
        if (!(token->flags & SAMP__TOKEN_MODEL)) continue;
        json_t *text;
        SAMP_TRY(text_json(t, id, &text, error));
        bool twice = json_object_get(vocab, json_string_value(text)) != NULL;
        bool set = !twice && samp_json_set(vocab, json_string_value(text), json_integer(id));
        json_decref(text);
        if (twice)
            return samp_fail(
                error, SAMP_UNSUPPORTED,
                "token %u has the same text as another, so tokenizer.json cannot hold both", id);
        if (!set) return fail_nomem(error);
    }
    return SAMP_OK;
}

/* Equal scores have one rank: their tokens come in the order of their ids, as Hugging Face's
 * converter writes them. */
static int by_rank(const void *a, const void *b)
{
    const samp__merge *x = a, *y = b;
    if (x->rank != y->rank) return x->rank < y->rank ? -1 : 1;
    if (x->result != y->result) return x->result < y->result ? -1 : 1;
    if (x->left != y->left) return x->left < y->left ? -1 : 1;
    return x->right < y->right ? -1 : x->right > y->right;
}

/* Merges are written as "left right", which every version of the library reads, unless a part has a
 * space itself: then as pairs, which versions from 0.20 on read. */
static samp_status merge_json(const samp_tokenizer *t, const samp__merge *merge, bool pairs,
                              json_t *list, samp_error *error)
{
    json_t *left = NULL, *right = NULL;
    samp_status status = text_json(t, merge->left, &left, error);
    if (status == SAMP_OK) status = text_json(t, merge->right, &right, error);
    if (status == SAMP_OK) {
        json_t *item =
            pairs ? json_pack("[O, O]", left, right)
                  : json_sprintf("%s %s", json_string_value(left), json_string_value(right));
        if (json_array_append_new(list, item) != 0) status = fail_nomem(error);
    }
    json_decref(left);
    json_decref(right);
    return status;
}

static bool has_space(const samp_tokenizer *t, uint32_t id)
{
    return memchr(t->tokens[id].text, ' ', t->tokens[id].n_text) != NULL;
}

static samp_status merges_json(const samp_tokenizer *t, json_t *list, samp_error *error)
{
    samp__merge *merges = samp_realloc(NULL, t->merges.count, sizeof *merges);
    if (!merges) return fail_nomem(error);
    size_t n = 0;
    bool pairs = false;
    for (uint64_t i = 0; i <= t->merges.mask; i++) {
        const samp__merge *merge = &t->merges.slots[i];
        if (merge->left == SAMP__NONE) continue;
        merges[n++] = *merge;
        pairs = pairs || has_space(t, merge->left) || has_space(t, merge->right);
    }
    qsort(merges, n, sizeof *merges, by_rank);
    samp_status status = SAMP_OK;
    for (size_t i = 0; i < n && status == SAMP_OK; i++)
        status = merge_json(t, &merges[i], pairs, list, error);
    samp_free(merges);
    return status;
}

static samp_status model_json(const samp_tokenizer *t, json_t *model, samp_error *error)
{
    json_t *vocab = json_object(), *merges = json_array(), *unk = NULL;
    samp_status status = vocab && merges ? SAMP_OK : fail_nomem(error);
    if (status == SAMP_OK && t->unk >= 0) status = text_json(t, (uint32_t)t->unk, &unk, error);
    if (status == SAMP_OK) status = vocab_json(t, vocab, error);
    if (status == SAMP_OK) status = merges_json(t, merges, error);
    if (status == SAMP_OK &&
        (!samp_json_set(model, "type", json_string("BPE")) ||
         !samp_json_set(model, "dropout", json_null()) ||
         json_object_set(model, "unk_token", unk ? unk : json_null()) != 0 ||
         !samp_json_set(model, "continuing_subword_prefix", json_null()) ||
         !samp_json_set(model, "end_of_word_suffix", json_null()) ||
         !samp_json_set(model, "fuse_unk", json_boolean(t->fuse_unk)) ||
         !samp_json_set(model, "byte_fallback", json_boolean(t->byte_fallback)) ||
         !samp_json_set(model, "ignore_merges", json_boolean(t->ignore_merges)) ||
         json_object_set(model, "vocab", vocab) != 0 ||
         json_object_set(model, "merges", merges) != 0))
        status = fail_nomem(error);
    json_decref(unk);
    json_decref(vocab);
    json_decref(merges);
    return status;
}

static samp_status added_json(const samp_tokenizer *t, json_t *list, samp_error *error)
{
    for (uint32_t i = 0; i < t->n_added; i++) {
        const samp__added *added = &t->added[i];
        json_t *text;
        SAMP_TRY(text_json(t, (uint32_t)added->id, &text, error));
        json_t *item =
            json_pack("{s:i, s:o, s:b, s:b, s:b, s:b, s:b}", "id", added->id, "content", text,
                      "single_word", added->single_word, "lstrip", added->lstrip, "rstrip",
                      added->rstrip, "normalized", added->normalized, "special", added->special);
        if (json_array_append_new(list, item) != 0) return fail_nomem(error);
    }
    return SAMP_OK;
}

/* The post-processor as it was read; else the one that puts bos in front, when bos belongs there.
 */
static samp_status processor_json(const samp_tokenizer *t, json_t **out, samp_error *error)
{
    json_t *bos;
    *out = t->json_post_processor ? json_incref(t->json_post_processor) : json_null();
    if (t->json_post_processor || !t->add_bos || t->bos < 0) return SAMP_OK;
    SAMP_TRY(text_json(t, (uint32_t)t->bos, &bos, error));
    const char *text = json_string_value(bos);
    *out = json_pack("{s:s, s:[{s:{s:s,s:i}}, {s:{s:s,s:i}}],"
                     " s:[{s:{s:s,s:i}}, {s:{s:s,s:i}}, {s:{s:s,s:i}}, {s:{s:s,s:i}}],"
                     " s:{s:{s:s, s:[i], s:[s]}}}",
                     "type", "TemplateProcessing", "single", "SpecialToken", "id", text, "type_id",
                     0, "Sequence", "id", "A", "type_id", 0, "pair", "SpecialToken", "id", text,
                     "type_id", 0, "Sequence", "id", "A", "type_id", 0, "SpecialToken", "id", text,
                     "type_id", 1, "Sequence", "id", "B", "type_id", 1, "special_tokens", text,
                     "id", text, "ids", t->bos, "tokens", text);
    json_decref(bos);
    return *out ? SAMP_OK : fail_nomem(error);
}

static bool set_part(json_t *root, const char *key, json_t *part)
{
    return json_object_set(root, key, part ? part : json_null()) == 0;
}

static samp_status tokenizer_json(const samp_tokenizer *t, json_t *root, samp_error *error)
{
    json_t *added = json_array(), *model = json_object(), *processor = NULL;
    samp_status status = added && model ? SAMP_OK : fail_nomem(error);
    if (status == SAMP_OK) status = added_json(t, added, error);
    if (status == SAMP_OK) status = model_json(t, model, error);
    if (status == SAMP_OK) status = processor_json(t, &processor, error);
    if (status == SAMP_OK &&
        (!samp_json_set(root, "version", json_string("1.0")) ||
         !set_part(root, "truncation", NULL) || !set_part(root, "padding", NULL) ||
         !set_part(root, "added_tokens", added) ||
         !set_part(root, "normalizer", t->json_normalizer) ||
         !set_part(root, "pre_tokenizer", t->json_pre_tokenizer) ||
         !set_part(root, "post_processor", processor) ||
         !set_part(root, "decoder", t->json_decoder) || !set_part(root, "model", model)))
        status = fail_nomem(error);
    json_decref(processor);
    json_decref(added);
    json_decref(model);
    return status;
}

static samp_status set_name(const samp_tokenizer *t, json_t *config, const char *key, int32_t id,
                            samp_error *error)
{
    json_t *text;
    if (id < 0) return SAMP_OK;
    SAMP_TRY(text_json(t, (uint32_t)id, &text, error));
    return samp_json_set(config, key, text) ? SAMP_OK : fail_nomem(error);
}

/* One template is a text, two are a list of named ones. */
static samp_status set_templates(const samp_tokenizer *t, json_t *config, samp_error *error)
{
    const char *const texts[] = {t->chat_template, t->tool_template};
    for (int i = 0; i < 2; i++)
        if (texts[i] && !is_writable(texts[i], strlen(texts[i])))
            return samp_fail(error, SAMP_UNSUPPORTED,
                             "the chat template is not valid UTF-8, so tokenizer_config.json "
                             "cannot hold it");
    if (!t->chat_template) return SAMP_OK;
    json_t *value = t->tool_template ? json_pack("[{s:s,s:s},{s:s,s:s}]", "name", "default",
                                                 "template", t->chat_template, "name", "tool_use",
                                                 "template", t->tool_template)
                                     : json_string(t->chat_template);
    return samp_json_set(config, "chat_template", value) ? SAMP_OK : fail_nomem(error);
}

static samp_status config_json(const samp_tokenizer *t, json_t *config, samp_error *error)
{
    SAMP_TRY(set_name(t, config, "bos_token", t->bos, error));
    SAMP_TRY(set_name(t, config, "eos_token", t->eos, error));
    SAMP_TRY(set_name(t, config, "unk_token", t->unk_name, error));
    SAMP_TRY(set_name(t, config, "pad_token", t->pad, error));
    const char *class_name = t->byte_level ? "PreTrainedTokenizerFast" : "LlamaTokenizerFast";
    bool ok = samp_json_set(config, "add_bos_token", json_boolean(t->add_bos)) &&
              samp_json_set(config, "add_eos_token", json_boolean(t->add_eos)) &&
              samp_json_set(config, "clean_up_tokenization_spaces", json_false()) &&
              samp_json_set(config, "tokenizer_class", json_string(class_name));
    return ok ? set_templates(t, config, error) : fail_nomem(error);
}

static int append_text(const char *text, size_t n, void *buffer)
{
    samp_buffer_append(buffer, text, n);
    return ((samp_buffer *)buffer)->failed ? -1 : 0;
}

static samp_status write_json(const json_t *root, const char *folder, const char *name,
                              samp_error *error)
{
    char path[4096];
    samp_buffer text = {0};
    SAMP_TRY(samp_path_join(path, sizeof path, folder, name, error));
    samp_status status = json_dump_callback(root, append_text, &text, JSON_INDENT(2)) == 0
                             ? SAMP_OK
                             : fail_nomem(error);
    samp_buffer_text(&text, "\n");
    if (status == SAMP_OK) status = samp_buffer_ok(&text, error);
    if (status == SAMP_OK) status = samp_file_write(path, text.data, text.length, error);
    samp_buffer_release(&text);
    return status;
}

samp_status samp_tokenizer_write(const samp_tokenizer *t, const char *folder, samp_error *error)
{
    json_t *root = json_object(), *config = json_object();
    samp_status status = root && config ? SAMP_OK : fail_nomem(error);
    if (status == SAMP_OK) status = tokenizer_json(t, root, error);
    if (status == SAMP_OK) status = config_json(t, config, error);
    if (status == SAMP_OK) status = write_json(root, folder, "tokenizer.json", error);
    if (status == SAMP_OK) status = write_json(config, folder, "tokenizer_config.json", error);
    json_decref(root);
    json_decref(config);
    return status;
}
