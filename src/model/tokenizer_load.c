/* Loads a tokenizer from a model's folder, as Hugging Face's transformers does.
 *
 *     tokenizer.json            the whole tokenizer; else
 *     tokenizer.model           a SentencePiece model
 *     tokenizer_config.json     names of special tokens, added tokens, templates
 *     special_tokens_map.json   the same names in older folders: read, and stronger, where the
 *                               first has no added_tokens_decoder
 *     added_tokens.json         {"<pad>": 32000}, in older folders without tokenizer.json
 *     chat_template.jinja       the template, before those of the configuration
 *     additional_chat_templates/tool_use.jinja
 *     generation_config.json    ids of bos and eos, where no file names them
 */
#include "model/tokenizer_internal.h"

#include "file/file.h"
#include "file/manifest.h"
#include "model/folder.h"

#include <stdio.h>

enum { CONFIG_BYTES_MAX = 16 << 20, PATH_BYTES = 4096 };

/* *out is the object in folder/name, or NULL when there is no such file. */
static samp_status load_object(json_t **out, const char *folder, const char *name,
                               samp_error *error)
{
    char path[PATH_BYTES];
    *out = NULL;
    SAMP_TRY(samp_path_join(path, sizeof path, folder, name, error));
    if (!samp_is_file(path)) return SAMP_OK;
    SAMP_TRY(samp_json_load(out, path, CONFIG_BYTES_MAX, error));
    if (json_is_object(*out)) return SAMP_OK;
    json_decref(*out);
    *out = NULL;
    return samp_fail(error, SAMP_CORRUPT, "%s is no JSON object", path);
}

static samp_status fail_nomem(const char *folder, samp_error *error)
{
    return samp_fail(error, SAMP_NOMEM, "%s: out of memory for the tokenizer", folder);
}

/* special_tokens_map.json over the configuration. */
static samp_status add_special_map(json_t *config, const char *folder, samp_error *error)
{
    json_t *map;
    SAMP_TRY(load_object(&map, folder, "special_tokens_map.json", error));
    bool added = !map || json_object_update(config, map) == 0;
    json_decref(map);
    return added ? SAMP_OK : fail_nomem(folder, error);
}

/* added_tokens.json as an added_tokens_decoder; what is special is named elsewhere. */
static samp_status add_older_tokens(json_t *config, const char *folder, samp_error *error)
{
    json_t *map, *id, *decoder = json_object();
    samp_status status = load_object(&map, folder, "added_tokens.json", error);
    const char *text;
    json_object_foreach(map, text, id)
    {
        char key[24];
        uint32_t number = 0;
        if (status == SAMP_OK)
            status = samp__read_id(id, text, "added_tokens.json", &number, error);
        snprintf(key, sizeof key, "%u", number);
        if (status == SAMP_OK && json_object_get(decoder, key))
            status = samp_fail(error, SAMP_CORRUPT,
                               "%s/added_tokens.json gives the id %s to two tokens", folder, key);
        if (status == SAMP_OK && !samp_json_set(decoder, key, json_pack("{s:s}", "content", text)))
            status = fail_nomem(folder, error);
    }
    if (status == SAMP_OK && map && json_object_set(config, "added_tokens_decoder", decoder) != 0)
        status = fail_nomem(folder, error);
    json_decref(map);
    json_decref(decoder);
    return status;
}

/* Everything that the small files say, as one tokenizer_config.json. */
static samp_status load_config(json_t **out, const char *folder, bool has_json, samp_error *error)
{
    SAMP_TRY(load_object(out, folder, "tokenizer_config.json", error));
    if (!*out && !(*out = json_object())) return fail_nomem(folder, error);
    if (json_object_get(*out, "added_tokens_decoder")) return SAMP_OK;
    samp_status status = add_special_map(*out, folder, error);
    if (status == SAMP_OK && !has_json) status = add_older_tokens(*out, folder, error);
    if (status == SAMP_OK) return SAMP_OK;
    json_decref(*out);
    *out = NULL;
    return status;
}

/* ---- Templates ---- */

/* *text is the file's content in the arena, or unchanged when there is no such file. */
static samp_status read_template(samp_tokenizer *t, const char *folder, const char *name,
                                 const char **text, samp_error *error)
{
    char path[PATH_BYTES];
    samp_buffer content = {0};
    SAMP_TRY(samp_path_join(path, sizeof path, folder, name, error));
    if (!samp_is_file(path)) return SAMP_OK;
    samp_status status = samp_file_slurp(path, CONFIG_BYTES_MAX, &content, error);
    if (status == SAMP_OK) {
        *text = samp_arena_strndup(&t->arena, content.length ? content.data : "", content.length);
        if (!*text) status = fail_nomem(folder, error);
    }
    samp_buffer_release(&content);
    return status;
}

/* A template in a file of its own takes the place of all the configuration has. */
static samp_status read_templates(samp_tokenizer *t, const char *folder, samp_error *error)
{
    const char *plain = NULL, *tools = NULL;
    SAMP_TRY(read_template(t, folder, SAMP_TEMPLATES_FOLDER "/default.jinja", &plain, error));
    SAMP_TRY(read_template(t, folder, "chat_template.jinja", &plain, error));
    SAMP_TRY(read_template(t, folder, SAMP_TEMPLATES_FOLDER "/tool_use.jinja", &tools, error));
    if (plain) t->chat_template = plain;
    if (plain || tools) t->tool_template = tools;
    return SAMP_OK;
}

/* ---- generation_config.json ---- */

/* An id, or the first of a list of them; -1 when there is none in the vocabulary. */
static int32_t read_generation_id(const samp_tokenizer *t, const json_t *config, const char *key)
{
    const json_t *value = json_object_get(config, key);
    if (json_is_array(value)) value = json_array_get(value, 0);
    json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
    return id >= 0 && id < (json_int_t)t->n_tokens ? (int32_t)id : -1;
}

static samp_status read_generation(samp_tokenizer *t, const char *folder, samp_error *error)
{
    json_t *config;
    SAMP_TRY(load_object(&config, folder, "generation_config.json", error));
    if (t->bos < 0) t->bos = read_generation_id(t, config, "bos_token_id");
    if (t->eos < 0) t->eos = read_generation_id(t, config, "eos_token_id");
    json_decref(config);
    return SAMP_OK;
}

/* ---- The folder ---- */

static samp_status load_main(samp_tokenizer **out, const char *folder, samp_error *error)
{
    char path[PATH_BYTES];
    samp_buffer file = {0};
    json_t *config = NULL;
    SAMP_TRY(samp_path_join(path, sizeof path, folder, "tokenizer.json", error));
    bool has_json = samp_is_file(path);
    if (!has_json) SAMP_TRY(samp_path_join(path, sizeof path, folder, "tokenizer.model", error));
    if (!has_json && !samp_is_file(path))
        return samp_fail(error, SAMP_NOT_FOUND,
                         "%s has neither tokenizer.json nor tokenizer.model: copy the one of the "
                         "model's repository there",
                         folder);
    samp_status status = samp_file_slurp(path, SAMP__JSON_MAX, &file, error);
    samp_buffer_text(&file, "");
    if (status == SAMP_OK) status = samp_buffer_ok(&file, error);
    if (status == SAMP_OK) status = load_config(&config, folder, has_json, error);
    if (status == SAMP_OK)
        status = has_json
                     ? samp__tokenizer_from_json(out, file.data, file.length, config, path, error)
                     : samp__tokenizer_from_model(out, file.data, file.length, config, path, error);
    samp_buffer_release(&file);
    json_decref(config);
    return status;
}

samp_status samp_tokenizer_load(samp_tokenizer **out, const char *folder, samp_error *error)
{
    *out = NULL;
    SAMP_TRY(samp__model_folder_check(folder, error));
    SAMP_TRY(load_main(out, folder, error));
    samp_status status = read_templates(*out, folder, error);
    if (status == SAMP_OK) status = read_generation(*out, folder, error);
    if (status != SAMP_OK) {
        samp_tokenizer_release(*out);
        *out = NULL;
    }
    return status;
}

samp_status samp_tokenizer_parse(samp_tokenizer **out, const char *json, size_t n,
                                 const char *config, size_t n_config, const char *where,
                                 samp_error *error)
{
    *out = NULL;
    json_t *settings = NULL;
    if (n_config > SAMP__JSON_MAX)
        return samp_fail(error, SAMP_LIMIT,
                         "%s: the configuration has %zu bytes, at most %d are "
                         "accepted",
                         where, n_config, SAMP__JSON_MAX);
    if (config) SAMP_TRY(samp_json_parse(&settings, config, n_config, where, error));
    samp_status status = samp__tokenizer_from_json(out, json, n, settings, where, error);
    json_decref(settings);
    return status;
}
