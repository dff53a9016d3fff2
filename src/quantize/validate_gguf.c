/* A GGUF model, in one file or several: its structure, its metadata against its tensors, its
 * tokenizer, and in deep mode every value. The reader and the importer do the checking; this says what they found. */
#include "file/gguf_set.h"
#include "quantize/import_source.h"
#include "quantize/validate_internal.h"

#include <fcntl.h>
#include <math.h>
#include <string.h>

/* A failure of reading as a finding; one of this machine, or of what was asked for, as a failure.
 */
static samp_status take_failure(samp_validation *v, samp_finding_id id, const samp_error *failure,
                                samp_error *error)
{
    if (failure->status == SAMP_NOMEM || failure->status == SAMP_IO ||
        failure->status == SAMP_CANCELLED || failure->status == SAMP_INVALID)
        return samp_fail(error, failure->status, "%s", failure->message);
    samp_findings_add(v->findings, id, samp_path_name(v->folder), NULL, "%s", failure->message);
    return SAMP_OK;
}

/* Rows of about a million values at a time. */
static samp_status read_values(samp_validation *v, samp_gguf *gguf, const samp_gguf_tensor *tensor,
                               samp_error *error)
{
    uint64_t cols = tensor->shape[0], rows = 1, bad = 0;
    for (int i = 1; i < tensor->rank; i++) rows *= tensor->shape[i];
    uint64_t step = cols && cols < 1 << 20 ? (1 << 20) / cols : 1;
    float *values = samp_alloc(step * cols, sizeof *values);
    samp_status status =
        values ? SAMP_OK : samp_fail(error, SAMP_NOMEM, "%s: out of memory", tensor->name);
    for (uint64_t row = 0; row < rows && status == SAMP_OK; row += step) {
        uint64_t n = rows - row < step ? rows - row : step;
        status = samp_gguf_rows(gguf, tensor, row, n, values, error);
        for (uint64_t i = 0; status == SAMP_OK && i < n * cols; i++) bad += !isfinite(values[i]);
    }
    samp_free(values);
    SAMP_TRY(status);
    if (bad)
        samp_findings_add(v->findings, SAMP_FINDING_VALUE_NOT_FINITE, samp_path_name(v->folder),
                          tensor->name, "%llu values are NaN or infinite", (unsigned long long)bad);
    v->findings->n_bytes += tensor->bytes;
    return samp__validate_progress(v, tensor->bytes, error);
}

static samp_status read_tensors(samp_validation *v, samp_gguf *gguf, samp_error *error)
{
    for (size_t i = 0; i < samp_gguf_count(gguf); i++) {
        samp_error failure = {0};
        samp_status status = read_values(v, gguf, samp_gguf_at(gguf, i), &failure);
        if (status != SAMP_OK)
            SAMP_TRY(take_failure(
                v, status == SAMP_UNSUPPORTED ? SAMP_FINDING_GGUF_UNCHECKED : SAMP_FINDING_GGUF_BAD,
                &failure, error));
    }
    return SAMP_OK;
}

static samp_status read_files(samp_validation *v, const samp_gguf_set *set, samp_error *error)
{
    v->findings->n_files = set->n;
    v->findings->n_tensors = samp_gguf_set_count(set);
    for (uint32_t f = 0; f < set->n; f++)
        for (size_t i = 0; i < samp_gguf_count(set->files[f]); i++)
            v->bytes_total += samp_gguf_at(set->files[f], i)->bytes;
    if (v->options->depth != SAMP_VALIDATE_DEEP) return SAMP_OK;
    for (uint32_t f = 0; f < set->n; f++) SAMP_TRY(read_tensors(v, set->files[f], error));
    return SAMP_OK;
}

static samp_status read_tokenizer(samp_validation *v, samp_gguf *gguf, samp_error *error)
{
    samp_tokenizer *tokenizer;
    samp_error failure;
    if (samp_tokenizer_from_gguf(&tokenizer, gguf, &failure) != SAMP_OK)
        return take_failure(v, SAMP_FINDING_TOKENIZER_BAD, &failure, error);
    if (v->has_config) samp__validate_vocabulary(v, tokenizer, samp_path_name(v->folder));
    samp_tokenizer_release(tokenizer);
    return SAMP_OK;
}

/* The importer's own checks: architecture, sizes, every tensor there with its shape, none too
 * many. */
static samp_status read_model(samp_validation *v, samp_error *error)
{
    samp_import_source source = {0};
    samp_error failure;
    samp_status status = samp__import_gguf(&source, v->folder, &failure);
    if (status != SAMP_OK)
        return take_failure(
            v, status == SAMP_UNSUPPORTED ? SAMP_FINDING_GGUF_UNCHECKED : SAMP_FINDING_GGUF_MODEL,
            &failure, error);
    v->config = source.config;
    v->has_config = true;
    source.close(&source);
    return SAMP_OK;
}

samp_status samp__validate_gguf(samp_validation *v, samp_error *error)
{
    samp_gguf_set set;
    samp_error failure;
    const char *target = v->options->target;
    v->findings->n_files = 1;
    if (target && strcmp(target, "samp") == 0)
        samp_findings_add(v->findings, SAMP_FINDING_TARGET, samp_path_name(v->folder), NULL,
                          "samp serves folders: `samp import` makes one of a GGUF file");
    if (samp__is_pointer(AT_FDCWD, v->folder)) {
        samp_findings_add(v->findings, SAMP_FINDING_POINTER, samp_path_name(v->folder), NULL,
                          "it is text that stands for the real file");
        return SAMP_OK;
    }
    if (samp_gguf_set_open(&set, v->folder, &failure) != SAMP_OK)
        return take_failure(v, SAMP_FINDING_GGUF_BAD, &failure, error);
    samp_status status = read_model(v, error);
    if (status == SAMP_OK) status = read_tokenizer(v, set.files[0], error);
    if (status == SAMP_OK) status = read_files(v, &set, error);
    samp_gguf_set_close(&set);
    return status;
}
