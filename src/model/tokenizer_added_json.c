/* Added tokens as documents list them. Three places name them, and the first to name one says how
 * it is matched, as in Hugging Face's transformers:
 *     tokenizer_config.json's added_tokens_decoder    {"32000": {"content", "lstrip", ...}}
 *     tokenizer.json's added_tokens                   [{"id", "content", "lstrip", ...}]
 *     tokenizer_config.json's bos_token, eos_token, ... and additional_special_tokens, which make
 *     an ordinary token of the vocabulary, or one of the first list, a special one
 * Tokens already in the vocabulary keep their id there. The lists are small beside the vocabulary,
 * and each token is taken once: the flag SAMP__TOKEN_ADDED says that it was. */
#include "model/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

static const char *const named[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                    "pad_token", "cls_token", "mask_token"};
static const char *const lists[] = {"additional_special_tokens", "extra_special_tokens"};

samp_status samp__read_id(const json_t *value, const char *text, const char *where, uint32_t *id,
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

/* The key of added_tokens_decoder: an id in decimal. */
static samp_status read_key(const char *key, const char *where, uint32_t *id, samp_error *error)
{
    size_t n = strspn(key, "0123456789");
    *id = n && n < 9 && !key[n] ? (uint32_t)strtoul(key, NULL, 10) : SAMP__VOCAB_MAX;
    return *id < SAMP__VOCAB_MAX
               ? SAMP_OK
               : samp_fail(error, SAMP_CORRUPT,
                           "%s: added_tokens_decoder has the id \"%.40s\", expected 0 to %d", where,
                           key, SAMP__VOCAB_MAX - 1);
}

samp_status samp__added_highest(const json_t *list, const json_t *config, uint32_t *highest,
                                const char *where, samp_error *error)
{
    uint32_t id = 0;
    size_t i;
    const json_t *item;
    json_array_foreach(list, i, item)
    {
        const char *text = "";
        SAMP_TRY(samp_json_string(item, "content", true, &text, where, error));
        SAMP_TRY(samp__read_id(json_object_get(item, "id"), text, where, &id, error));
        if (id > *highest) *highest = id;
    }
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(config, "added_tokens_decoder"), key, value)
    {
        SAMP_TRY(read_key(key, where, &id, error));
        if (id > *highest) *highest = id;
    }
    return SAMP_OK;
}

/* Adds a token that stands at t->tokens[id], with the flags of `item` (not an object: those of a
 * special token). */
static samp_status append(samp_tokenizer *t, uint32_t id, const json_t *item, bool special,
                          const char *where, samp_error *error)
{
    samp__added *added = &t->added[t->n_added];
    samp__token *token = &t->tokens[id];
    *added = (samp__added){.id = (int32_t)id, .special = special};
    if (json_is_object(item)) {
        if (!special)
            SAMP_TRY(samp_json_bool(item, "special", false, &added->special, where, error));
        added->normalized = !added->special;
        SAMP_TRY(samp_json_bool(item, "lstrip", false, &added->lstrip, where, error));
        SAMP_TRY(samp_json_bool(item, "rstrip", false, &added->rstrip, where, error));
        SAMP_TRY(samp_json_bool(item, "single_word", false, &added->single_word, where, error));
        SAMP_TRY(samp_json_bool(item, "normalized", false, &added->normalized, where, error));
    }
    token->flags |= SAMP__TOKEN_ADDED | (added->special ? SAMP__TOKEN_SPECIAL : 0u);
    added->content = token->text;
    added->n = token->n_text;
    t->n_added++;
    return SAMP_OK;
}

static const char *content_of(const json_t *item)
{
    return json_string_value(json_is_object(item) ? json_object_get(item, "content") : item);
}

static bool name_token(json_t *names, const json_t *item)
{
    const char *text = content_of(item);
    return !text || samp_json_set(names, text, json_true());
}

/* The texts of all special tokens that the configuration names, as keys; NULL: out of memory. */
static json_t *special_names(const json_t *config)
{
    json_t *names = json_object();
    bool done = names != NULL;
    size_t k;
    const json_t *item;
    for (size_t i = 0; i < sizeof named / sizeof *named; i++)
        done = done && name_token(names, json_object_get(config, named[i]));
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        json_array_foreach(json_object_get(config, lists[i]), k, item) done =
            done && name_token(names, item);
    if (done) return names;
    json_decref(names);
    return NULL;
}

/* added_tokens_decoder: a token whose text the vocabulary has keeps the id it has there. */
static samp_status read_decoder(samp_tokenizer *t, const json_t *config, const json_t *names,
                                const char *where, samp_error *error)
{
    const char *key, *text;
    json_t *item;
    json_object_foreach(json_object_get(config, "added_tokens_decoder"), key, item)
    {
        uint32_t id = 0;
        SAMP_TRY(read_key(key, where, &id, error));
        SAMP_TRY(samp_json_string(item, "content", true, &text, where, error));
        int32_t known = samp__vocabulary_find(t, text, strlen(text));
        if (known >= 0)
            id = (uint32_t)known;
        else
            SAMP_TRY(samp__vocabulary_put(t, id, text, strlen(text), 0, where, error));
        if (t->tokens[id].flags & SAMP__TOKEN_ADDED) continue;
        SAMP_TRY(append(t, id, item, json_object_get(names, text) != NULL, where, error));
    }
    return SAMP_OK;
}

/* tokenizer.json's own list. */
static samp_status read_list(samp_tokenizer *t, const json_t *list, const char *where,
                             samp_error *error)
{
    size_t i;
    const json_t *item;
    json_array_foreach(list, i, item)
    {
        const char *text = "";
        uint32_t id = 0;
        SAMP_TRY(samp_json_string(item, "content", true, &text, where, error));
        SAMP_TRY(samp__read_id(json_object_get(item, "id"), text, where, &id, error));
        int32_t known = samp__vocabulary_find(t, text, strlen(text));
        if (known >= 0 && (uint32_t)known != id)
            return samp_fail(error, SAMP_CORRUPT,
                             "%s: added token \"%.40s\" has the id %u, in the vocabulary %d", where,
                             text, id, known);
        if (known < 0) SAMP_TRY(samp__vocabulary_put(t, id, text, strlen(text), 0, where, error));
        if (t->tokens[id].flags & SAMP__TOKEN_ADDED) continue;
        SAMP_TRY(append(t, id, item, false, where, error));
    }
    return SAMP_OK;
}

/* A token named by its text or by {"content": text, ...}. */
static samp_status read_named(samp_tokenizer *t, const json_t *item, const char *where,
                              samp_error *error)
{
    const char *text = content_of(item);
    int32_t id = text && *text ? samp__vocabulary_find(t, text, strlen(text)) : -1;
    if (id < 0 || t->tokens[id].flags & SAMP__TOKEN_ADDED) return SAMP_OK;
    return append(t, (uint32_t)id, item, true, where, error);
}

samp_status samp__added_read(samp_tokenizer *t, const json_t *list, const json_t *config,
                             const char *where, samp_error *error)
{
    enum { N_NAMED = sizeof named / sizeof *named, N_LISTS = sizeof lists / sizeof *lists };
    size_t n = t->n_added + json_array_size(list) + N_NAMED +
               json_object_size(json_object_get(config, "added_tokens_decoder"));
    for (int i = 0; i < N_LISTS; i++) n += json_array_size(json_object_get(config, lists[i]));
    if (n > SAMP__ADDED_MAX + N_NAMED)
        return samp_fail(error, SAMP_LIMIT, "%s: %zu added tokens, at most %d are accepted", where,
                         n - N_NAMED, SAMP__ADDED_MAX);
    samp__added *room = samp_arena_alloc(&t->arena, n, sizeof *room);
    if (!room) return samp_fail(error, SAMP_NOMEM, "%s: out of memory for added tokens", where);
    if (t->n_added) memcpy(room, t->added, t->n_added * sizeof *room);
    t->added = room;
    json_t *names = special_names(config);
    if (!names) return samp_fail(error, SAMP_NOMEM, "%s: out of memory for added tokens", where);
    samp_status status = read_decoder(t, config, names, where, error);
    json_decref(names);
    SAMP_TRY(status);
    SAMP_TRY(read_list(t, list, where, error));
    for (int i = 0; i < N_NAMED; i++)
        SAMP_TRY(read_named(t, json_object_get(config, named[i]), where, error));
    for (int i = 0; i < N_LISTS; i++) {
        size_t k;
        const json_t *item;
        json_array_foreach(json_object_get(config, lists[i]), k, item)
            SAMP_TRY(read_named(t, item, where, error));
    }
    return SAMP_OK;
}
