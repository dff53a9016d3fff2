/* Reads tokenizer.json (Hugging Face's tokenizers library), model type BPE.
 * The document is released at the end; the tokenizer keeps copies, and references to the four parts
 * of the pipeline. What is not supported is refused by name. */
#include "model/tokenizer_internal.h"

#include <string.h>

/* Members that change what byte-pair encoding does in ways no supported family uses. */
static samp_status refuse_variants(const json_t *model, const char *where, samp_error *error)
{
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    for (int i = 0; i < 2; i++) {
        const char *text = "";
        SAMP_TRY(samp_json_string(model, affixes[i], false, &text, where, error));
        if (*text)
            return samp_fail(error, SAMP_UNSUPPORTED,
                             "%s: \"%s\" is \"%.40s\", only none is supported", where, affixes[i],
                             text);
    }
    double dropout = 0;
    SAMP_TRY(samp_json_number(model, "dropout", false, &dropout, where, error));
    if (dropout != 0)
        return samp_fail(error, SAMP_UNSUPPORTED, "%s: \"dropout\" is %g, only 0 is supported",
                         where, dropout);
    return SAMP_OK;
}

static samp_status read_id(const json_t *value, const char *text, const char *where, uint32_t *id,
                           samp_error *error)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) >= SAMP__VOCAB_MAX)
        return samp_fail(error, SAMP_CORRUPT,
                         "%s: the id of \"%.40s\" is not an integer from 0 to %d", where, text,
                         SAMP__VOCAB_MAX - 1);
    *id = (uint32_t)json_integer_value(value);
    return SAMP_OK;
}

/* Checks all ids, and makes room for the vocabulary. */
static samp_status begin(samp_tokenizer *t, json_t *vocab, const json_t *added, const char *where,
                         samp_error *error)
{
    uint32_t id = 0, highest = 0;
    const char *text;
    json_t *value;
    json_object_foreach(vocab, text, value)
    {
        SAMP_TRY(read_id(value, text, where, &id, error));
        if (id > highest) highest = id;
    }
    size_t i;
    json_array_foreach(added, i, value)
    {
        text = "";
        SAMP_TRY(samp_json_string(value, "content", true, &text, where, error));
        SAMP_TRY(read_id(json_object_get(value, "id"), text, where, &id, error));
        if (id > highest) highest = id;
    }
    size_t count = json_object_size(vocab) + json_array_size(added);
    if (count == 0 || highest / 4 > count + 16384)
        return samp_fail(error, SAMP_CORRUPT,
                         "%s: the highest id is %u, but there are only %zu tokens", where, highest,
                         count);
    return samp__vocabulary_begin(t, (uint64_t)highest + 1, where, error);
}

static samp_status read_vocab(samp_tokenizer *t, json_t *vocab, const char *where,
                              samp_error *error)
{
    const char *text;
    json_t *value;
    json_object_foreach(vocab, text, value)
    {
        uint32_t id = (uint32_t)json_integer_value(value);
        SAMP_TRY(samp__vocabulary_put(t, id, text, strlen(text), SAMP__TOKEN_MODEL, where, error));
    }
    return SAMP_OK;
}

static samp_status read_added_token(samp_tokenizer *t, const json_t *item, const json_t *vocab,
                                    samp__added *added, const char *where, samp_error *error)
{
    const char *text = "";
    uint32_t id = 0;
    SAMP_TRY(samp_json_string(item, "content", true, &text, where, error));
    SAMP_TRY(read_id(json_object_get(item, "id"), text, where, &id, error));
    SAMP_TRY(samp_json_bool(item, "special", false, &added->special, where, error));
    SAMP_TRY(samp_json_bool(item, "lstrip", false, &added->lstrip, where, error));
    SAMP_TRY(samp_json_bool(item, "rstrip", false, &added->rstrip, where, error));
    SAMP_TRY(samp_json_bool(item, "single_word", false, &added->single_word, where, error));
    added->normalized = !added->special;
    SAMP_TRY(samp_json_bool(item, "normalized", false, &added->normalized, where, error));

    uint32_t flags = SAMP__TOKEN_ADDED | (added->special ? SAMP__TOKEN_SPECIAL : 0u);
    const json_t *known = json_object_get(vocab, text);
    if (known && json_integer_value(known) != (json_int_t)id)
        return samp_fail(error, SAMP_CORRUPT,
                         "%s: added token \"%.40s\" has the id %u, in the vocabulary %lld", where,
                         text, id, (long long)json_integer_value(known));
    if (known)
        t->tokens[id].flags |= flags;
    else
        SAMP_TRY(samp__vocabulary_put(t, id, text, strlen(text), flags, where, error));
    added->id = (int32_t)id;
    added->content = t->tokens[id].text;
    added->n = t->tokens[id].n_text;
    return SAMP_OK;
}

static samp_status read_added(samp_tokenizer *t, const json_t *list, const json_t *vocab,
                              const char *where, samp_error *error)
{
    size_t n = json_array_size(list), i;
    const json_t *item;
    if (n > SAMP__ADDED_MAX)
        return samp_fail(error, SAMP_LIMIT, "%s: %zu added tokens, at most %d are accepted", where,
                         n, SAMP__ADDED_MAX);
    t->added = samp_arena_alloc(&t->arena, n, sizeof *t->added);
    if (!t->added) return samp_fail(error, SAMP_NOMEM, "%s: out of memory for added tokens", where);
    json_array_foreach(list, i, item)
    {
        SAMP_TRY(read_added_token(t, item, vocab, &t->added[i], where, error));
        t->n_added++;
    }
    return SAMP_OK;
}

/* A merge is "left right" (older files) or ["left", "right"]. */
static samp_status read_merges(samp_tokenizer *t, const json_t *merges, samp__merge_list *list,
                               const char *where, samp_error *error)
{
    size_t i;
    const json_t *item;
    if (!json_is_array(merges))
        return samp_fail(error, SAMP_CORRUPT, "%s: the model has no list of merges", where);
    json_array_foreach(merges, i, item)
    {
        const char *left = json_string_value(item), *right = NULL;
        size_t n_left = 0;
        if (left && (right = strchr(left, ' '))) {
            n_left = (size_t)(right++ - left);
            if (strchr(right, ' ')) right = NULL;
        } else if (json_array_size(item) == 2) {
            left = json_string_value(json_array_get(item, 0));
            right = json_string_value(json_array_get(item, 1));
            n_left = left ? strlen(left) : 0;
        }
        if (!left || !right)
            return samp_fail(error, SAMP_CORRUPT,
                             "%s: merge %zu is neither \"left right\" nor a pair of strings", where,
                             i);
        SAMP_TRY(samp__merges_add_texts(t, list, left, n_left, right, strlen(right), where, error));
    }
    return SAMP_OK;
}

static samp_status read_model(samp_tokenizer *t, const json_t *root, samp__merge_list *merges,
                              const char *where, samp_error *error)
{
    const json_t *model = json_object_get(root, "model"),
                 *added = json_object_get(root, "added_tokens");
    const char *type = "BPE", *unk = NULL;
    SAMP_TRY(samp_json_string(model, "type", false, &type, where, error));
    if (strcmp(type, "BPE") != 0)
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "%s: the model's type is \"%.40s\", only BPE is supported", where, type);
    json_t *vocab = json_object_get(model, "vocab");
    if (!json_is_object(vocab))
        return samp_fail(error, SAMP_CORRUPT, "%s: the model has no vocabulary", where);
    SAMP_TRY(refuse_variants(model, where, error));
    SAMP_TRY(samp_json_bool(model, "byte_fallback", false, &t->byte_fallback, where, error));
    SAMP_TRY(samp_json_bool(model, "fuse_unk", false, &t->fuse_unk, where, error));
    SAMP_TRY(samp_json_bool(model, "ignore_merges", false, &t->ignore_merges, where, error));
    SAMP_TRY(begin(t, vocab, added, where, error));
    SAMP_TRY(read_vocab(t, vocab, where, error));
    SAMP_TRY(read_added(t, added, vocab, where, error));
    SAMP_TRY(samp__vocabulary_index(t, error));
    SAMP_TRY(samp_json_string(model, "unk_token", false, &unk, where, error));
    if (unk && (t->unk = samp__vocabulary_find(t, unk, strlen(unk))) < 0)
        return samp_fail(error, SAMP_CORRUPT,
                         "%s: the unknown token \"%.40s\" is not in the vocabulary", where, unk);
    return read_merges(t, json_object_get(model, "merges"), merges, where, error);
}

static samp_status read_document(samp_tokenizer *t, const char *json, size_t n, const char *config,
                                 size_t n_config, const char *where, samp_error *error)
{
    if (n > SAMP__JSON_MAX || n_config > SAMP__JSON_MAX)
        return samp_fail(error, SAMP_LIMIT, "%s has %zu bytes, at most %d are accepted", where,
                         n > n_config ? n : n_config, SAMP__JSON_MAX);
    json_t *root = NULL, *settings = NULL;
    samp__merge_list merges = {0};
    samp_status status = samp_json_parse(&root, json, n, where, error);
    if (status == SAMP_OK) status = read_model(t, root, &merges, where, error);
    if (status == SAMP_OK) status = samp__pipeline_read(t, root, where, error);
    if (status == SAMP_OK) status = samp__tokenizer_finish(t, &merges, where, error);
    if (status == SAMP_OK && config)
        status = samp_json_parse(&settings, config, n_config, where, error);
    if (status == SAMP_OK && config) status = samp__tokenizer_configure(t, settings, where, error);
    samp_free(merges.items);
    json_decref(settings);
    json_decref(root);
    return status;
}

samp_status samp_tokenizer_parse(samp_tokenizer **out, const char *json, size_t n,
                                 const char *config, size_t n_config, const char *where,
                                 samp_error *error)
{
    *out = NULL;
    samp_tokenizer *t;
    SAMP_TRY(samp__tokenizer_new(&t, error));
    samp_status status = read_document(t, json, n, config, n_config, where, error);
    if (status == SAMP_OK)
        *out = t;
    else
        samp_tokenizer_release(t);
    return status;
}
