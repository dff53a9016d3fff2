/* Reads tokenizer.json (Hugging Face's tokenizers library), model type BPE; `config` is what
 * tokenizer_config.json says, and may add tokens (tokenizer_added_json.c). The document is released
 * at the end; the tokenizer keeps copies, and references to the four parts of the pipeline. What is
 * not supported is refused by name. */
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

/* Checks all ids, and makes room for the vocabulary. */
static samp_status begin(samp_tokenizer *t, json_t *vocab, const json_t *added,
                         const json_t *config, const char *where, samp_error *error)
{
    uint32_t id = 0, highest = 0;
    const char *text;
    json_t *value;
    json_object_foreach(vocab, text, value)
    {
        SAMP_TRY(samp__read_id(value, text, where, &id, error));
        if (id > highest) highest = id;
    }
    size_t count = json_object_size(vocab) + json_array_size(added);
    SAMP_TRY(samp__added_highest(added, config, &highest, where, error));
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

static samp_status read_model(samp_tokenizer *t, const json_t *root, const json_t *config,
                              samp__merge_list *merges, const char *where, samp_error *error)
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
    SAMP_TRY(begin(t, vocab, added, config, where, error));
    SAMP_TRY(read_vocab(t, vocab, where, error));
    SAMP_TRY(samp__vocabulary_index(t, error));
    SAMP_TRY(samp__added_read(t, added, config, where, error));
    SAMP_TRY(samp_json_string(model, "unk_token", false, &unk, where, error));
    if (unk && (t->unk = samp__vocabulary_find(t, unk, strlen(unk))) < 0)
        return samp_fail(error, SAMP_CORRUPT,
                         "%s: the unknown token \"%.40s\" is not in the vocabulary", where, unk);
    return read_merges(t, json_object_get(model, "merges"), merges, where, error);
}

static samp_status read_document(samp_tokenizer *t, const char *json, size_t n,
                                 const json_t *config, const char *where, samp_error *error)
{
    json_t *root = NULL;
    samp__merge_list merges = {0};
    samp_status status = samp_json_parse(&root, json, n, where, error);
    if (status == SAMP_OK) status = read_model(t, root, config, &merges, where, error);
    if (status == SAMP_OK) status = samp__pipeline_read(t, root, where, error);
    if (status == SAMP_OK) status = samp__tokenizer_finish(t, &merges, where, error);
    if (status == SAMP_OK) status = samp__tokenizer_configure(t, config, where, error);
    samp_free(merges.items);
    json_decref(root);
    return status;
}

samp_status samp__tokenizer_from_json(samp_tokenizer **out, const char *json, size_t n,
                                      const json_t *config, const char *where, samp_error *error)
{
    *out = NULL;
    samp_tokenizer *t;
    if (n > SAMP__JSON_MAX)
        return samp_fail(error, SAMP_LIMIT, "%s has %zu bytes, at most %d are accepted", where, n,
                         SAMP__JSON_MAX);
    SAMP_TRY(samp__tokenizer_new(&t, error));
    samp_status status = read_document(t, json, n, config, where, error);
    if (status == SAMP_OK)
        *out = t;
    else
        samp_tokenizer_release(t);
    return status;
}
