/* Reads the small files beside tokenizer.json: tokenizer_config.json (names of the special tokens,
 * chat template), chat_template.jinja (where newer folders keep the template) and
 * generation_config.json (ids of bos and eos, used when the first does not name them); and loads a
 * folder. */
#include "model/tokenizer_internal.h"

#include <string.h>

enum { CONFIG_BYTES_MAX = 16 << 20 };

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
    const json_t *templates = json_object_get(config, "chat_template");
    SAMP_TRY(
        keep_template(t, find_template(templates, "default"), &t->chat_template, where, error));
    return keep_template(t, find_template(templates, "tool_use"), &t->tool_template, where, error);
}

/* An id, or the first of a list of them; -1 when there is none in the vocabulary. */
static int32_t read_generation_id(const samp_tokenizer *t, const json_t *config, const char *key)
{
    const json_t *value = json_object_get(config, key);
    if (json_is_array(value)) value = json_array_get(value, 0);
    json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
    return id >= 0 && id < (json_int_t)t->n_tokens ? (int32_t)id : -1;
}

static samp_status read_generation(samp_tokenizer *t, const char *path, samp_error *error)
{
    json_t *config;
    if (!samp_is_file(path)) return SAMP_OK;
    SAMP_TRY(samp_json_load(&config, path, CONFIG_BYTES_MAX, error));
    if (t->bos < 0) t->bos = read_generation_id(t, config, "bos_token_id");
    if (t->eos < 0) t->eos = read_generation_id(t, config, "eos_token_id");
    json_decref(config);
    return SAMP_OK;
}

static samp_status read_jinja(samp_tokenizer *t, const char *path, samp_error *error)
{
    samp_buffer text = {0};
    if (!samp_is_file(path)) return SAMP_OK;
    samp_status status = samp_file_slurp(path, CONFIG_BYTES_MAX, &text, error);
    if (status == SAMP_OK) {
        t->chat_template = samp_arena_strndup(&t->arena, text.data ? text.data : "", text.length);
        if (!t->chat_template) status = samp_fail(error, SAMP_NOMEM, "%s: out of memory", path);
    }
    samp_buffer_release(&text);
    return status;
}

/* Reads folder/name; an absent file is an error only when required. */
static samp_status slurp(const char *folder, const char *name, uint64_t max_bytes, bool required,
                         char path[4096], samp_buffer *out, samp_error *error)
{
    SAMP_TRY(samp_path_join(path, 4096, folder, name, error));
    if (!required && !samp_is_file(path)) return SAMP_OK;
    SAMP_TRY(samp_file_slurp(path, max_bytes, out, error));
    samp_buffer_text(out, "");
    return samp_buffer_ok(out, error);
}

samp_status samp_tokenizer_load(samp_tokenizer **out, const char *folder, samp_error *error)
{
    *out = NULL;
    char path[4096], config_path[4096];
    samp_buffer json = {0}, config = {0};
    samp_status status = slurp(folder, "tokenizer_config.json", CONFIG_BYTES_MAX, false,
                               config_path, &config, error);
    if (status == SAMP_OK)
        status = slurp(folder, "tokenizer.json", SAMP__JSON_MAX, true, path, &json, error);
    if (status == SAMP_OK)
        status = samp_tokenizer_parse(out, json.data, json.length, config.data, config.length, path,
                                      error);
    samp_buffer_release(&json);
    samp_buffer_release(&config);
    SAMP_TRY(status);
    status = samp_path_join(path, sizeof path, folder, "chat_template.jinja", error);
    if (status == SAMP_OK) status = read_jinja(*out, path, error);
    if (status == SAMP_OK)
        status = samp_path_join(path, sizeof path, folder, "generation_config.json", error);
    if (status == SAMP_OK) status = read_generation(*out, path, error);
    if (status != SAMP_OK) {
        samp_tokenizer_release(*out);
        *out = NULL;
    }
    return status;
}
