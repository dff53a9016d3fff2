/* tokenizer_config.json: the names of the special tokens, whether bos and eos frame a text, and the
 * chat templates. The tokens it adds are tokenizer_added_json.c's. */
#include "model/tokenizer_internal.h"

#include <string.h>

/* A token named by its text or by {"content": text}; -1 when there is none. */
static samp_status read_name(const samp_tokenizer *t, const json_t *config, const char *key,
                             bool must_exist, int32_t *id, const char *where, samp_error *error)
{
    const json_t *value = json_object_get(config, key);
    if (json_is_object(value)) value = json_object_get(value, "content");
    const char *text = json_string_value(value);
    if (!text || !*text) return SAMP_OK;
    int32_t found = samp__vocabulary_find(t, text, strlen(text));
    if (found < 0 && must_exist)
        return samp_fail(
            error, SAMP_MISMATCH,
            "%s: the configuration's \"%s\" is \"%.40s\", which is not in the vocabulary", where,
            key, text);
    if (found >= 0) *id = found;
    return SAMP_OK;
}

/* The template is a text, or a list of {"name", "template"}: "default", and "tool_use" for requests
 * with tools. */
static const char *find_template(const json_t *value, const char *wanted)
{
    if (json_is_string(value) && strcmp(wanted, "default") == 0) return json_string_value(value);
    size_t i;
    const json_t *item;
    json_array_foreach(value, i, item)
    {
        const char *name = json_string_value(json_object_get(item, "name"));
        if (name && strcmp(name, wanted) == 0)
            return json_string_value(json_object_get(item, "template"));
    }
    return NULL;
}

static samp_status keep_template(samp_tokenizer *t, const char *text, const char **out,
                                 const char *where, samp_error *error)
{
    if (!text) return SAMP_OK;
    *out = samp_arena_strndup(&t->arena, text, strlen(text));
    return *out ? SAMP_OK : samp_fail(error, SAMP_NOMEM, "%s: out of memory", where);
}

samp_status samp__tokenizer_configure(samp_tokenizer *t, const json_t *config, const char *where,
                                      samp_error *error)
{
    SAMP_TRY(read_name(t, config, "bos_token", true, &t->bos, where, error));
    SAMP_TRY(read_name(t, config, "eos_token", true, &t->eos, where, error));
    SAMP_TRY(read_name(t, config, "unk_token", false, &t->unk_name, where, error));
    SAMP_TRY(read_name(t, config, "pad_token", false, &t->pad, where, error));
    SAMP_TRY(samp_json_bool(config, "add_bos_token", false, &t->add_bos, where, error));
    SAMP_TRY(samp_json_bool(config, "add_eos_token", false, &t->add_eos, where, error));
    const json_t *templates = json_object_get(config, "chat_template");
    SAMP_TRY(
        keep_template(t, find_template(templates, "default"), &t->chat_template, where, error));
    return keep_template(t, find_template(templates, "tool_use"), &t->tool_template, where, error);
}
