/* Tensors against config.json: every part of every weight there, with the right type and shape;
 * then the scale parts' values, and in deep mode all values. */
#include "model/quantization.h"
#include "quantize/validate_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

const samp_tensor_info *samp__validate_find(samp_validation *v, const char *name)
{
    uint32_t item;
    if (!samp_names_find(&v->by_name, name, &item)) return NULL;
    v->used[item] = true;
    return &v->tensors[item];
}

static const char *shard_of(const samp_validation *v, const samp_tensor_info *tensor)
{
    return v->shards[tensor->shard].name;
}

/* ---- one weight ------------------------------------------------------------------------------ */

/* Whether a weight that is missing is there under a quantizer's names. */
static const samp_tensor_info *find_quantized(samp_validation *v, const char *weight)
{
    static const char *const suffixes[] = {".weight_packed", ".qweight", ".weight_q"};
    size_t n = strlen(weight) - strlen(".weight");
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        char name[SAMP_TENSOR_NAME_MAX];
        snprintf(name, sizeof name, "%.*s%s", (int)n, weight, suffixes[i]);
        const samp_tensor_info *tensor = samp__validate_find(v, name);
        if (tensor) return tensor;
    }
    return NULL;
}

/* NULL format after a finding, or when the tensor is missing. */
static samp_status choose_format(samp_validation *v, samp_weight_ref *weight, samp_error *error)
{
    samp_quantization_entry entry;
    SAMP_TRY(samp_quantization_entry_of(v->modules, weight->name, &entry, "config.json", error));
    weight->format = entry.format;
    weight->activation_bits = entry.activation_bits;
    if (entry.format) return SAMP_OK;
    const samp_tensor_info *tensor = samp__validate_find(v, weight->name);
    if (!tensor && (tensor = find_quantized(v, weight->name))) {
        samp_findings_add(v->findings, SAMP_FINDING_QUANT_ABSENT, shard_of(v, tensor), tensor->name,
                          "it holds quantized values");
        return SAMP_OK;
    }
    if (!tensor) {
        if (v->shards_complete)
            samp_findings_add(v->findings, SAMP_FINDING_TENSOR_MISSING, "", weight->name,
                              "config.json asks for it, no shard has it");
        return SAMP_OK;
    }
    weight->format = samp_float_format(tensor->dtype);
    if (weight->format) return SAMP_OK;
    samp_findings_add(
        v->findings, v->modules ? SAMP_FINDING_TENSOR_TYPE : SAMP_FINDING_QUANT_ABSENT,
        shard_of(v, tensor), weight->name, "it is %s and has no entry in quantization_config",
        samp_dtype_name(tensor->dtype));
    return SAMP_OK;
}

/* True when the part is there as it must be. */
static bool check_part(samp_validation *v, samp_weight_ref *weight, int index)
{
    const samp_part *part = &weight->layout.parts[index];
    char name[SAMP_TENSOR_NAME_MAX];
    if (samp_part_name(name, sizeof name, weight->name, part, NULL) != SAMP_OK) return false;
    const samp_tensor_info *tensor = samp__validate_find(v, name);
    if (!tensor) {
        if (v->shards_complete)
            samp_findings_add(v->findings, SAMP_FINDING_TENSOR_MISSING, "", name,
                              "format %s needs it, no shard has it", weight->format->name);
        return false;
    }
    if (tensor->dtype != part->dtype) {
        samp_findings_add(v->findings, SAMP_FINDING_TENSOR_TYPE, shard_of(v, tensor), name,
                          "it is %s, format %s needs %s", samp_dtype_name(tensor->dtype),
                          weight->format->name, samp_dtype_name(part->dtype));
        return false;
    }
    bool vector = !samp_role_is_matrix(weight->role);
    const uint64_t *shape = vector ? &weight->layout.cols : part->shape;
    int rank = vector ? 1 : part->rank;
    bool same = tensor->rank == rank;
    for (int i = 0; same && i < rank; i++) same = tensor->shape[i] == shape[i];
    if (!same) {
        char found[128], expected[128];
        samp_shape_text(found, sizeof found, tensor->rank, tensor->shape);
        samp_shape_text(expected, sizeof expected, rank, shape);
        samp_findings_add(v->findings, SAMP_FINDING_TENSOR_SHAPE, shard_of(v, tensor), name,
                          "its shape is %s, config.json and format %s ask for %s", found,
                          weight->format->name, expected);
        return false;
    }
    weight->parts[index] = tensor;
    return true;
}

/* ---- scales ---------------------------------------------------------------------------------- */

/* What float scales of a weight are: how many of each odd kind. Code tables (names that end in
 * "map") have negative values of their own and do not count. */
typedef struct scale_kinds {
    uint64_t negative, large, subnormal;
} scale_kinds;

static scale_kinds look_at_scales(const samp_layout *layout, void *const parts[])
{
    const float large_scale = 1e30f; /* times 448, the largest code, it nears a float's end */
    scale_kinds kinds = {0};
    for (int i = 1; i < layout->n_parts; i++) {
        const char *suffix = layout->parts[i].suffix;
        size_t n = strlen(suffix);
        if (layout->parts[i].dtype != SAMP_F32 || (n >= 3 && !strcmp(suffix + n - 3, "map")))
            continue;
        for (uint64_t k = 0; k < layout->parts[i].bytes / sizeof(float); k++) {
            float x;
            memcpy(&x, (const char *)parts[i] + sizeof x * k, sizeof x);
            kinds.negative += x < 0;
            kinds.large += x > large_scale;
            kinds.subnormal += fpclassify(x) == FP_SUBNORMAL;
        }
    }
    return kinds;
}

/* Which finding a failed check stands for. Not finite is said by the status; else the float scales
 * decide: a negative one, one so large that a weight overflows, or neither, and then it is a table
 * or text. */
static samp_finding_id scale_finding(const scale_kinds *kinds, samp_status status)
{
    return status == SAMP_NUMERIC ? SAMP_FINDING_SCALE_NOT_FINITE
           : kinds->negative      ? SAMP_FINDING_SCALE_NEGATIVE
           : kinds->large         ? SAMP_FINDING_SCALE_OVERFLOW
                                  : SAMP_FINDING_SCALE_TABLE;
}

/* Reads parts 1…, runs the format's check. *good: they can be used to decode. */
static samp_status read_scales(samp_validation *v, const samp_weight_ref *weight,
                               void *parts[SAMP_PARTS_MAX], bool *good, samp_error *error)
{
    const samp_layout *layout = &weight->layout;
    for (int i = 1; i < layout->n_parts; i++) {
        uint64_t bytes = layout->parts[i].bytes;
        if (!(parts[i] = samp_alloc(bytes, 1)))
            return samp_fail(error, SAMP_NOMEM, "%s: out of memory for scales", weight->name);
        SAMP_TRY(samp__validate_read(v, weight->parts[i], 0, parts[i], bytes, error));
        v->findings->n_bytes += bytes;
        SAMP_TRY(samp__validate_progress(v, bytes, error));
    }
    *good = true;
    scale_kinds kinds = look_at_scales(layout, parts);
    if (kinds.subnormal)
        samp_findings_add(v->findings, SAMP_FINDING_SCALE_SUBNORMAL, shard_of(v, weight->parts[0]),
                          weight->name, "%" PRIu64 " scales are below 1.18e-38 and not zero",
                          kinds.subnormal);
    if (!weight->format->check) return SAMP_OK;
    samp_error failure;
    samp_status status =
        weight->format->check(layout, (const void *const *)parts, weight->name, &failure);
    if (status == SAMP_OK) return SAMP_OK;
    if (status == SAMP_NOMEM) return samp_fail(error, status, "%s", failure.message);
    *good = false;
    samp_findings_add(v->findings, scale_finding(&kinds, status), shard_of(v, weight->parts[0]),
                      weight->name, "%s", failure.message);
    return SAMP_OK;
}

static samp_status look_inside(samp_validation *v, const samp_weight_ref *weight, samp_error *error)
{
    void *parts[SAMP_PARTS_MAX] = {0};
    bool good = false;
    samp_status status = read_scales(v, weight, parts, &good, error);
    if (status == SAMP_OK && good && v->options->depth == SAMP_VALIDATE_DEEP)
        status = samp__validate_values(v, weight, parts, error);
    samp_model_free_parts(parts);
    return status;
}

/* ---- all weights ----------------------------------------------------------------------------- */

/* quant_state is text: samp pads it to one length, bitsandbytes does not. */
static void take_text_length(samp_validation *v, samp_weight_ref *weight)
{
    enum { TEXT_MAX = 4096 };
    for (int i = 1; i < weight->layout.n_parts; i++) {
        samp_part *part = &weight->layout.parts[i];
        char name[SAMP_TENSOR_NAME_MAX];
        if (!strstr(part->suffix, "quant_state") ||
            samp_part_name(name, sizeof name, weight->name, part, NULL) != SAMP_OK)
            continue;
        const samp_tensor_info *tensor = samp__validate_find(v, name);
        if (!tensor || tensor->rank != 1 || tensor->bytes > TEXT_MAX) continue;
        part->shape[0] = tensor->shape[0];
        part->bytes = tensor->bytes;
    }
}

static samp_status validate_weight(samp_validation *v, size_t index, samp_error *error)
{
    samp_weight_ref weight = {.activation_bits = 16};
    uint64_t rows, cols;
    samp_stored_at(&v->config, v->first_rows, index, &weight, &rows, &cols);
    if (v->foreign.method) {
        bool done;
        SAMP_TRY(samp__validate_foreign_weight(v, &weight, rows, cols, &done, error));
        if (done) return SAMP_OK;
    }
    if (!weight.format) SAMP_TRY(choose_format(v, &weight, error));
    if (!weight.format) return SAMP_OK;
    SAMP_TRY(weight.format->layout(rows, cols, &weight.layout, error));
    if (v->foreign.method) take_text_length(v, &weight);
    bool complete = true;
    for (int i = 0; i < weight.layout.n_parts; i++) complete &= check_part(v, &weight, i);
    if (!complete || v->options->depth == SAMP_VALIDATE_HEADERS) return SAMP_OK;
    return look_inside(v, &weight, error);
}

static bool names_a_weight(const samp_validation *v, const char *module)
{
    samp_weight_ref weight;
    uint64_t rows, cols;
    size_t n = strlen(module);
    for (size_t i = 0; i < samp_stored_count(&v->config, v->first_rows); i++) {
        samp_stored_at(&v->config, v->first_rows, i, &weight, &rows, &cols);
        if (strncmp(weight.name, module, n) == 0 && strcmp(weight.name + n, ".weight") == 0)
            return true;
    }
    return false;
}

static void find_unknown_modules(samp_validation *v)
{
    const char *module;
    json_t *value;
    json_object_foreach((json_t *)v->modules, module, value) if (!names_a_weight(v, module))
        samp_findings_add(v->findings, SAMP_FINDING_QUANT_MODULE, "config.json", module,
                          "the model that config.json describes has no such module");
}

/* Tensors that are no weights and do no harm: rotary frequencies, and other programs' scales of
 * keys and values. */
static bool is_harmless(const samp_validation *v, const char *name)
{
    static const char *const endings[] = {".q_scale", ".k_scale", ".v_scale"};
    size_t n = strlen(name);
    for (size_t i = 0; v->foreign.method && i < sizeof endings / sizeof *endings; i++)
        if (n > 8 && strcmp(name + n - 8, endings[i]) == 0) return true;
    return strstr(name, ".rotary_emb.inv_freq") != NULL;
}

/* A head that config.json ties to the embedding and that is stored all the same: the same bytes are
 * waste, others make the model depend on who loads it. */
static samp_status compare_tied_head(samp_validation *v, const samp_tensor_info *head,
                                     samp_error *error)
{
    enum { CHUNK = 1 << 20 };
    const samp_tensor_info *embedding = samp__validate_find(v, "model.embed_tokens.weight");
    bool same = true, comparable = embedding && embedding->dtype == head->dtype &&
                                   embedding->bytes == head->bytes &&
                                   v->options->depth == SAMP_VALIDATE_DEEP;
    char *bytes = comparable ? samp_alloc(2, CHUNK) : NULL;
    samp_status status = SAMP_OK;
    if (comparable && !bytes)
        status = samp_fail(error, SAMP_NOMEM, "%s: out of memory", head->name);
    for (uint64_t at = 0; bytes && same && status == SAMP_OK && at < head->bytes; at += CHUNK) {
        uint64_t n = head->bytes - at < CHUNK ? head->bytes - at : CHUNK;
        status = samp__validate_read(v, head, at, bytes, n, error);
        if (status == SAMP_OK)
            status = samp__validate_read(v, embedding, at, bytes + CHUNK, n, error);
        same = status != SAMP_OK || memcmp(bytes, bytes + CHUNK, n) == 0;
    }
    samp_free(bytes);
    if (status == SAMP_OK)
        samp_findings_add(v->findings, same ? SAMP_FINDING_TIED_HEAD : SAMP_FINDING_TIED_DIFFERS,
                          shard_of(v, head), head->name, "tie_word_embeddings is true%s",
                          !same        ? ", and its bytes are not the embedding's"
                          : comparable ? ", and its bytes are the embedding's"
                                       : "");
    return status;
}

/* What no weight uses. */
static samp_status find_extra_tensors(samp_validation *v, samp_error *error)
{
    for (size_t i = 0; i < v->n_tensors; i++) {
        const char *name = v->tensors[i].name;
        if (v->used[i] || is_harmless(v, name)) continue;
        if (v->config.tied_embeddings && strcmp(name, "lm_head.weight") == 0)
            SAMP_TRY(compare_tied_head(v, &v->tensors[i], error));
        else if (v->config.tied_embeddings && strncmp(name, "lm_head.", 8) == 0)
            samp_findings_add(v->findings, SAMP_FINDING_TIED_HEAD, shard_of(v, &v->tensors[i]),
                              name, "tie_word_embeddings is true");
        else
            samp_findings_add(v->findings, SAMP_FINDING_TENSOR_EXTRA, shard_of(v, &v->tensors[i]),
                              name, "a %s of %u layers has no such tensor", v->config.architecture,
                              v->config.n_layers);
    }
    return SAMP_OK;
}

samp_status samp__validate_tensors(samp_validation *v, samp_error *error)
{
    if (!v->has_config || v->n_shards == 0) return SAMP_OK;
    find_unknown_modules(v);
    for (size_t i = 0; i < samp_stored_count(&v->config, v->first_rows); i++)
        SAMP_TRY(validate_weight(v, i, error));
    /* Without quantization_config, scale tensors would all count as extra: one finding said it
     * already. */
    if (v->findings->counts[SAMP_FINDING_QUANT_ABSENT]) return SAMP_OK;
    return find_extra_tensors(v, error);
}
