/* A model on disk: config.json and checkpoint put together, every weight resolved to its format and
 * to the tensors that store it.
 *
 * samp_model owns everything it hands out; samp_weight_ref.parts point into its checkpoint. Nothing
 * of the tensors' data is read here (model_read.c does that). */
#include "model/model.h"
#include "base/memory.h"
#include "model/folder.h"
#include "model/quantization.h"

#include <stdlib.h>
#include <string.h>

struct samp_model {
    char *folder;
    char *where; /* "folder/config.json", for messages */
    samp_config config;
    json_t *root;
    const json_t *modules; /* inside root; NULL = not quantized */
    samp_checkpoint *checkpoint;
    samp_weight_ref *weights;
    size_t count;
    uint64_t first_rows; /* of a head that is two weights; 0 = one */
    size_t n_entries;    /* weights that have an entry in quantization_config */
    float outlier_threshold;
};

static bool is_float_format(const samp_format *format)
{
    return format == samp_float_format(SAMP_F32) || format == samp_float_format(SAMP_BF16) ||
           format == samp_float_format(SAMP_F16);
}

/* One part: the tensor must be there with the layout's type and shape. Norms are stored as vectors.
 */
static samp_status resolve_part(samp_model *model, samp_weight_ref *weight, int index,
                                samp_error *error)
{
    const samp_part *part = &weight->layout.parts[index];
    char name[SAMP_TENSOR_NAME_MAX];
    SAMP_TRY(samp_part_name(name, sizeof name, weight->name, part, error));
    const samp_tensor_info *tensor = samp_checkpoint_find(model->checkpoint, name);
    if (!tensor)
        return samp_fail(error, SAMP_MISMATCH, "%s: tensor %s, which format %s needs, is missing",
                         model->folder, name, weight->format->name);
    if (tensor->dtype != part->dtype)
        return samp_fail(error, SAMP_MISMATCH, "%s: tensor %s has type %s, format %s needs %s",
                         model->folder, name, samp_dtype_name(tensor->dtype), weight->format->name,
                         samp_dtype_name(part->dtype));
    const uint64_t *shape = part->shape;
    int rank = part->rank;
    if (!samp_role_is_matrix(weight->role)) shape = &weight->layout.cols, rank = 1;
    bool same = tensor->rank == rank;
    for (int i = 0; same && i < rank; i++) same = tensor->shape[i] == shape[i];
    if (!same) {
        char found[128], expected[128];
        samp_shape_text(found, sizeof found, tensor->rank, tensor->shape);
        samp_shape_text(expected, sizeof expected, rank, shape);
        return samp_fail(error, SAMP_MISMATCH,
                         "%s: tensor %s has shape %s, config.json and format %s ask for %s",
                         model->folder, name, found, weight->format->name, expected);
    }
    weight->parts[index] = tensor;
    return SAMP_OK;
}

static samp_status choose_format(samp_model *model, samp_weight_ref *weight, samp_error *error)
{
    samp_quantization_entry entry;
    SAMP_TRY(samp_quantization_entry_of(model->modules, weight->name, &entry, model->where, error));
    weight->format = entry.format;
    weight->activation_bits = entry.activation_bits;
    if (entry.format) {
        model->n_entries++;
        return SAMP_OK;
    }
    const samp_tensor_info *tensor = samp_checkpoint_find(model->checkpoint, weight->name);
    if (!tensor)
        return samp_fail(error, SAMP_MISMATCH,
                         "%s: tensor %s, which config.json asks for, is missing", model->folder,
                         weight->name);
    weight->format = samp_float_format(tensor->dtype);
    if (weight->format) return SAMP_OK;
    return samp_fail(error, SAMP_MISMATCH,
                     "%s: tensor %s has type %s but no entry in quantization_config, expected F16, "
                     "BF16 or F32",
                     model->folder, weight->name, samp_dtype_name(tensor->dtype));
}

static samp_status resolve_weight(samp_model *model, samp_error *error)
{
    uint64_t rows, cols;
    samp_weight_ref *weight = &model->weights[model->count];
    samp_stored_at(&model->config, model->first_rows, model->count++, weight, &rows, &cols);
    SAMP_TRY(choose_format(model, weight, error));
    if (!samp_role_is_matrix(weight->role) && !is_float_format(weight->format))
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "%s: quantization_config stores %s as %s, norms and biases must be floats",
                         model->where, weight->name, weight->format->name);
    samp_status status = weight->format->layout(rows, cols, &weight->layout, error);
    if (status != SAMP_OK) return samp_error_prefix(error, "%s: %s", model->folder, weight->name);
    for (int i = 0; i < weight->layout.n_parts; i++)
        SAMP_TRY(resolve_part(model, weight, i, error));
    return SAMP_OK;
}

static samp_status resolve_all(samp_model *model, samp_error *error)
{
    size_t count = samp_stored_count(&model->config, model->first_rows);
    model->weights = samp_alloc(count, sizeof *model->weights);
    if (!model->weights)
        return samp_fail(error, SAMP_NOMEM, "%s: out of memory for the list of %zu weights",
                         model->folder, count);
    while (model->count < count) SAMP_TRY(resolve_weight(model, error));
    return SAMP_OK;
}

static int compare_pointers(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t) * (const samp_tensor_info *const *)a;
    uintptr_t y = (uintptr_t) * (const samp_tensor_info *const *)b;
    return (x > y) - (x < y);
}

/* Tensors that checkpoints carry but the arithmetic does not need: the duplicate of a tied head,
 * and the rotation's frequencies, which old files stored and config.json determines. */
static bool is_ignored(const samp_model *model, const char *name)
{
    static const char frequencies[] = ".rotary_emb.inv_freq";
    size_t n = strlen(name), suffix = sizeof frequencies - 1;
    if (n > suffix && strcmp(name + n - suffix, frequencies) == 0) return true;
    return model->config.tied_embeddings && strncmp(name, "lm_head.", 8) == 0;
}

/* A tensor nobody asked for (a bias, an adapter) would silently change the model: refuse it. */
static samp_status refuse_extra_tensors(samp_model *model, samp_error *error)
{
    size_t n_parts = 0;
    for (size_t i = 0; i < model->count; i++) n_parts += (size_t)model->weights[i].layout.n_parts;
    const samp_tensor_info **used = samp_alloc(n_parts, sizeof *used);
    if (!used)
        return samp_fail(error, SAMP_NOMEM, "%s: out of memory for the list of %zu tensors",
                         model->folder, n_parts);
    size_t n = 0;
    for (size_t i = 0; i < model->count; i++)
        for (int j = 0; j < model->weights[i].layout.n_parts; j++)
            used[n++] = model->weights[i].parts[j];
    qsort(used, n, sizeof *used, compare_pointers);
    samp_status status = SAMP_OK;
    for (size_t i = 0; i < samp_checkpoint_count(model->checkpoint) && status == SAMP_OK; i++) {
        const samp_tensor_info *tensor = samp_checkpoint_at(model->checkpoint, i);
        if (bsearch(&tensor, used, n, sizeof *used, compare_pointers)) continue;
        if (is_ignored(model, tensor->name)) continue;
        status = samp_fail(error, SAMP_MISMATCH,
                           "%s: tensor %.300s is no part of a %s with %u layers as config.json and "
                           "quantization_config describe it",
                           model->folder, tensor->name, model->config.architecture,
                           model->config.n_layers);
    }
    samp_free(used);
    return status;
}

static samp_status refuse_unknown_modules(samp_model *model, samp_error *error)
{
    if (model->n_entries == json_object_size(model->modules)) return SAMP_OK;
    const char *module;
    json_t *value;
    json_object_foreach((json_t *)model->modules, module, value)
    {
        bool known = false;
        for (size_t i = 0; i < model->count && !known; i++) {
            size_t n = strlen(model->weights[i].name) - strlen(".weight");
            known = strlen(module) == n && memcmp(module, model->weights[i].name, n) == 0;
        }
        if (!known)
            return samp_fail(error, SAMP_MISMATCH,
                             "%s: quantization_config names module %.200s, which this model does "
                             "not have",
                             model->where, module);
    }
    return SAMP_OK;
}

static samp_status open_model(samp_model *model, const char *folder, samp_error *error)
{
    static const char config_name[] = "/config.json";
    size_t n = strlen(folder);
    model->folder = samp_strdup(folder);
    model->where = samp_alloc(n + sizeof config_name, 1);
    if (!model->folder || !model->where)
        return samp_fail(error, SAMP_NOMEM, "%.500s: out of memory", folder);
    memcpy(model->where, folder, n);
    memcpy(model->where + n, config_name, sizeof config_name);

    SAMP_TRY(samp__model_folder_check(folder, error));
    SAMP_TRY(samp_config_load(&model->config, folder, &model->root, error));
    SAMP_TRY(samp_quantization_open(model->root, &model->modules, model->where, error));
    SAMP_TRY(
        samp_quantization_threshold(model->root, &model->outlier_threshold, model->where, error));
    SAMP_TRY(samp_quantization_first_rows(model->root, model->config.vocab_size, &model->first_rows,
                                          model->where, error));
    SAMP_TRY(samp_checkpoint_open(&model->checkpoint, folder, error));
    SAMP_TRY(resolve_all(model, error));
    SAMP_TRY(refuse_unknown_modules(model, error));
    return refuse_extra_tensors(model, error);
}

samp_status samp_model_open(samp_model **out, const char *folder, samp_error *error)
{
    *out = NULL;
    samp_model *model = samp_alloc(1, sizeof *model);
    if (!model) return samp_fail(error, SAMP_NOMEM, "%.500s: out of memory", folder);
    samp_status status = open_model(model, folder, error);
    if (status == SAMP_OK)
        *out = model;
    else
        samp_model_close(model);
    return status;
}

void samp_model_close(samp_model *model)
{
    if (!model) return;
    samp_checkpoint_close(model->checkpoint);
    json_decref(model->root);
    samp_free(model->weights);
    samp_free(model->where);
    samp_free(model->folder);
    samp_free(model);
}

const samp_config *samp_model_config(const samp_model *model) { return &model->config; }

const char *samp_model_folder(const samp_model *model) { return model->folder; }

samp_checkpoint *samp_model_checkpoint(samp_model *model) { return model->checkpoint; }

const json_t *samp_model_config_json(const samp_model *model) { return model->root; }

size_t samp_model_count(const samp_model *model) { return model->count; }

float samp_model_outlier_threshold(const samp_model *model) { return model->outlier_threshold; }
const samp_weight_ref *samp_model_at(const samp_model *model, size_t index)
{
    return &model->weights[index];
}

const samp_weight_ref *samp_model_weight(const samp_model *model, samp_role role, uint32_t layer)
{
    return &model->weights[samp_weight_index(&model->config, role, layer)];
}

const samp_weight_ref *samp_model_head_rest(const samp_model *model)
{
    return model->first_rows ? &model->weights[model->count - 1] : NULL;
}

/* The weight of the list's entry `index`, which is rows of the one tensor that `whole` was. */
static samp_status cut(const samp_model *model, const samp_weight_ref *whole, uint64_t first_rows,
                       size_t index, samp_weight_ref *out, samp_error *error)
{
    uint64_t rows, cols;
    *out = *whole;
    samp_stored_at(&model->config, first_rows, index, out, &rows, &cols);
    out->first_row = index == model->count ? first_rows : 0;
    return out->format->layout(rows, cols, &out->layout, error);
}

samp_status samp_model_cut_head(samp_model *model, uint64_t first_rows, samp_error *error)
{
    size_t head = samp_weight_index(&model->config, SAMP_ROLE_HEAD, 0);
    samp_weight_ref whole = model->weights[head];
    if (model->first_rows == first_rows && first_rows) return SAMP_OK;
    if (first_rows == 0 || first_rows >= model->config.vocab_size)
        return samp_fail(error, SAMP_INVALID,
                         "%s: a head of %u rows cannot be cut after %llu, only after 1 to %u",
                         model->folder, model->config.vocab_size, (unsigned long long)first_rows,
                         model->config.vocab_size - 1);
    if (model->first_rows || !is_float_format(whole.format))
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "%s: %s is stored as %s%s, only a whole head of plain floats can be cut",
                         model->folder, whole.name, whole.format->name,
                         model->first_rows ? " and cut elsewhere" : "");
    samp_weight_ref *weights = samp_realloc(model->weights, model->count + 1, sizeof *weights);
    if (!weights) return samp_fail(error, SAMP_NOMEM, "%s: out of memory", model->folder);
    model->weights = weights;
    SAMP_TRY(cut(model, &whole, first_rows, head, &weights[head], error));
    SAMP_TRY(cut(model, &whole, first_rows, model->count, &weights[model->count], error));
    model->count++;
    model->first_rows = first_rows;
    return SAMP_OK;
}
