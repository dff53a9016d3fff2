/* Sensitivity as JSON, and the digest that ties it to its model. */
#include "plan/sensitivity.h"

#include "base/hash.h"
#include "base/json.h"
#include "file/file.h"

#include <stdio.h>
#include <string.h>

static const char *const rounding_names[] = {
#define X(id, name) name,
    SAMP_ROUNDING_LIST(X)
#undef X
};

enum { SCHEMA = 1, FILE_MAX = 256 << 20, GROUPS_MAX = 4098, CHOICES_MAX = 64 };

const char *samp_rounding_name(samp_rounding rounding) { return rounding_names[rounding]; }

bool samp_rounding_parse(const char *name, samp_rounding *out)
{
    for (int i = 0; i < SAMP_ROUNDING_COUNT; i++)
        if (strcmp(name, rounding_names[i]) == 0) {
            *out = (samp_rounding)i;
            return true;
        }
    return false;
}

samp_status samp_model_digest(const samp_model *model, char *hex, samp_error *error)
{
    const samp_config *c = samp_model_config(model);
    samp_buffer text = {0};
    samp_buffer_printf(&text, "%s %u %u %u %u %u %u %u %.17g %.9g %d %.17g\n", c->architecture,
                       c->n_layers, c->dim, c->hidden_dim, c->n_heads, c->n_kv_heads, c->head_dim,
                       c->vocab_size, c->rope_theta, (double)c->rms_norm_eps, (int)c->rope_scaling,
                       c->rope_factor);
    if (c->rope_scaling == SAMP_ROPE_YARN)
        samp_buffer_printf(&text, "yarn %u %.17g %.17g %.17g %d\n", c->rope_original_positions,
                           c->rope_beta_fast, c->rope_beta_slow, c->rope_magnitude,
                           c->rope_truncate);
    for (uint32_t i = 0; i < c->n_layers; i++) /* what Llama does not have is said where it is */
        if (c->layers[i])
            samp_buffer_printf(&text, "layer %u window %u rope %d\n", i, samp_layer_window(c, i),
                               samp_layer_has_rope(c, i));
    for (size_t i = 0; i < samp_weight_count(c); i++) { /* however the head is cut */
        samp_weight_ref w;
        uint64_t rows, cols;
        samp_stored_at(c, 0, i, &w, &rows, &cols);
        samp_buffer_printf(&text, "%s %llu %llu\n", w.name, (unsigned long long)rows,
                           (unsigned long long)cols);
    }
    samp_status status = samp_buffer_ok(&text, error);
    if (status == SAMP_OK) status = samp_sha256_bytes(text.data, text.length, hex, error);
    samp_buffer_release(&text);
    return status;
}

/* ---- writing ---- */

static json_t *group_json(const samp_sensitivity_group *group)
{
    json_t *weights = json_array(), *choices = json_array();
    for (uint32_t i = 0; i < group->n_weights; i++)
        json_array_append_new(weights, json_string(group->weights[i]));
    for (uint32_t i = 0; i < group->n_choices; i++) {
        const samp_sensitivity_choice *c = &group->choices[i];
        json_array_append_new(choices,
                              json_pack("{s:s,s:s,s:I,s:f,s:f}", "format", c->format->name,
                                        "rounding", samp_rounding_name(c->rounding), "bytes",
                                        (json_int_t)c->bytes, "error", c->error, "kl", c->kl));
    }
    return json_pack("{s:s,s:s,s:i,s:I,s:I,s:f,s:f,s:o,s:o}", "name", group->name, "kind",
                     samp_group_kind_name(group->kind), "layer", (int)group->layer, "rows",
                     (json_int_t)group->rows, "cols", (json_int_t)group->cols, "alpha",
                     group->alpha, "activation_kl", group->activation_kl, "weights", weights,
                     "choices", choices);
}

samp_status samp_sensitivity_save(const samp_sensitivity *s, const char *path, samp_error *error)
{
    json_t *groups = json_array();
    for (size_t i = 0; i < s->n_groups; i++)
        json_array_append_new(groups, group_json(&s->groups[i]));
    json_t *root =
        json_pack("{s:i,s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:f,s:I,s:I,s:o}", "schema_version", SCHEMA,
                  "tool", "samp " SAMP_VERSION, "model", s->model, "model_digest", s->model_digest,
                  "calibration", s->calibration, "calibration_digest", s->calibration_digest,
                  "tokens", (json_int_t)s->n_tokens, "probe_tokens", (json_int_t)s->n_probe_tokens,
                  "bias", s->bias, "vectors", (json_int_t)s->n_vectors, "vector_bytes",
                  (json_int_t)s->vector_bytes, "groups", groups);
    if (root && s->strata) json_object_set(root, "strata", s->strata);
    char *text = root && json_array_size(groups) == s->n_groups
                     ? json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(17))
                     : NULL;
    samp_status status = text
                             ? samp_file_write(path, text, strlen(text), error)
                             : samp_fail(error, SAMP_NOMEM, "out of memory while writing %s", path);
    samp_free(text);
    json_decref(root);
    return status;
}

/* ---- reading ---- */

typedef struct reader {
    samp_sensitivity *out;
    const char *where;
    samp_error *error;
} reader;

static samp_status no_memory(const reader *r)
{
    return samp_fail(r->error, SAMP_NOMEM, "%s: out of memory", r->where);
}

static samp_status copy_text(const reader *r, const json_t *object, const char *key, char *out,
                             size_t n)
{
    const char *text;
    SAMP_TRY(samp_json_string(object, key, true, &text, r->where, r->error));
    if (strlen(text) >= n)
        return samp_fail(r->error, SAMP_CORRUPT, "%s: \"%s\" is too long", r->where, key);
    memcpy(out, text, strlen(text) + 1);
    return SAMP_OK;
}

static samp_status read_choice(const reader *r, const json_t *object, samp_sensitivity_choice *out)
{
    const char *format, *rounding;
    int64_t bytes = 0;
    SAMP_TRY(samp_json_string(object, "format", true, &format, r->where, r->error));
    SAMP_TRY(samp_json_string(object, "rounding", true, &rounding, r->where, r->error));
    SAMP_TRY(samp_json_integer(object, "bytes", true, 1, INT64_MAX, &bytes, r->where, r->error));
    SAMP_TRY(samp_json_number(object, "error", true, &out->error, r->where, r->error));
    SAMP_TRY(samp_json_number(object, "kl", true, &out->kl, r->where, r->error));
    out->bytes = (uint64_t)bytes;
    out->format = samp_format_find(format);
    if (!out->format || !samp_rounding_parse(rounding, &out->rounding))
        return samp_fail(r->error, SAMP_CORRUPT,
                         "%s: format \"%s\" with rounding \"%s\" is not known; formats are %s",
                         r->where, format, rounding, samp_format_names());
    if (out->error < 0) return samp_fail(r->error, SAMP_CORRUPT, "%s: a negative error", r->where);
    return SAMP_OK;
}

static samp_status read_group(const reader *r, const json_t *object, samp_sensitivity_group *g)
{
    char kind[32];
    int64_t layer = 0, rows = 0, cols = 0;
    SAMP_TRY(copy_text(r, object, "name", g->name, sizeof g->name));
    SAMP_TRY(copy_text(r, object, "kind", kind, sizeof kind));
    SAMP_TRY(samp_json_integer(object, "layer", true, 0, 1023, &layer, r->where, r->error));
    SAMP_TRY(samp_json_integer(object, "rows", true, 1, INT64_MAX, &rows, r->where, r->error));
    SAMP_TRY(samp_json_integer(object, "cols", true, 1, INT64_MAX, &cols, r->where, r->error));
    SAMP_TRY(samp_json_number(object, "alpha", true, &g->alpha, r->where, r->error));
    SAMP_TRY(
        samp_json_number(object, "activation_kl", true, &g->activation_kl, r->where, r->error));
    g->layer = (uint32_t)layer, g->rows = (uint64_t)rows, g->cols = (uint64_t)cols;
    g->kind = 0;
    while (g->kind < SAMP_GROUP_KINDS && strcmp(kind, samp_group_kind_name(g->kind)) != 0)
        g->kind++;
    const json_t *weights = json_object_get(object, "weights"),
                 *choices = json_object_get(object, "choices");
    size_t n_weights = json_array_size(weights), n_choices = json_array_size(choices);
    if (g->kind == SAMP_GROUP_KINDS || n_weights < 1 || n_weights > SAMP_GROUP_WEIGHTS_MAX ||
        n_choices < 1 || n_choices > CHOICES_MAX)
        return samp_fail(r->error, SAMP_CORRUPT,
                         "%s: group %s has kind \"%s\", %zu weights, %zu choices: not usable",
                         r->where, g->name, kind, n_weights, n_choices);
    g->weights = samp_arena_alloc(&r->out->arena, n_weights, sizeof *g->weights);
    g->choices = samp_arena_alloc(&r->out->arena, n_choices, sizeof *g->choices);
    if (!g->weights || !g->choices) return no_memory(r);
    for (; g->n_weights < n_weights; g->n_weights++) {
        const char *name = json_string_value(json_array_get(weights, g->n_weights));
        if (!name || strlen(name) >= sizeof *g->weights)
            return samp_fail(r->error, SAMP_CORRUPT, "%s: group %s has a weight that is no name",
                             r->where, g->name);
        memcpy(g->weights[g->n_weights], name, strlen(name) + 1);
    }
    for (; g->n_choices < n_choices; g->n_choices++)
        SAMP_TRY(read_choice(r, json_array_get(choices, g->n_choices), &g->choices[g->n_choices]));
    return SAMP_OK;
}

static samp_status read_root(const reader *r, const json_t *root)
{
    samp_sensitivity *s = r->out;
    int64_t schema = 0, tokens = 0, probe_tokens = 0, vectors = 0, vector_bytes = 0;
    SAMP_TRY(samp_json_integer(root, "schema_version", true, SCHEMA, SCHEMA, &schema, r->where,
                               r->error));
    SAMP_TRY(copy_text(r, root, "model", s->model, sizeof s->model));
    SAMP_TRY(copy_text(r, root, "model_digest", s->model_digest, sizeof s->model_digest));
    SAMP_TRY(copy_text(r, root, "calibration", s->calibration, sizeof s->calibration));
    SAMP_TRY(copy_text(r, root, "calibration_digest", s->calibration_digest,
                       sizeof s->calibration_digest));
    SAMP_TRY(samp_json_integer(root, "tokens", true, 1, INT64_MAX, &tokens, r->where, r->error));
    SAMP_TRY(samp_json_integer(root, "probe_tokens", true, 0, INT64_MAX, &probe_tokens, r->where,
                               r->error));
    SAMP_TRY(samp_json_number(root, "bias", true, &s->bias, r->where, r->error));
    if (s->bias <= 0)
        return samp_fail(r->error, SAMP_CORRUPT, "%s: \"bias\" is not positive", r->where);
    SAMP_TRY(samp_json_integer(root, "vectors", false, 0, INT32_MAX, &vectors, r->where, r->error));
    SAMP_TRY(samp_json_integer(root, "vector_bytes", false, 0, INT64_MAX / 2, &vector_bytes,
                               r->where, r->error));
    s->n_tokens = (uint64_t)tokens, s->n_probe_tokens = (uint64_t)probe_tokens;
    s->n_vectors = (uint64_t)vectors, s->vector_bytes = (uint64_t)vector_bytes;
    const json_t *groups = json_object_get(root, "groups");
    size_t n = json_array_size(groups);
    if (n < 1 || n > GROUPS_MAX)
        return samp_fail(r->error, SAMP_CORRUPT, "%s: %zu groups, expected 1 to %d", r->where, n,
                         GROUPS_MAX);
    if (!(s->groups = samp_arena_alloc(&s->arena, n, sizeof *s->groups))) return no_memory(r);
    for (; s->n_groups < n; s->n_groups++)
        SAMP_TRY(read_group(r, json_array_get(groups, s->n_groups), &s->groups[s->n_groups]));
    s->strata = json_incref(json_object_get(root, "strata"));
    return SAMP_OK;
}

samp_status samp_sensitivity_load(samp_sensitivity *out, const char *path, samp_error *error)
{
    *out = (samp_sensitivity){0};
    json_t *root;
    SAMP_TRY(samp_json_load(&root, path, FILE_MAX, error));
    reader r = {out, path, error};
    samp_status status = json_is_object(root)
                             ? read_root(&r, root)
                             : samp_fail(error, SAMP_CORRUPT, "%s is not a JSON object", path);
    json_decref(root);
    if (status != SAMP_OK) samp_sensitivity_release(out);
    return status;
}

void samp_sensitivity_release(samp_sensitivity *sensitivity)
{
    json_decref(sensitivity->strata);
    samp_arena_release(&sensitivity->arena);
    *sensitivity = (samp_sensitivity){0};
}
