/* Reading a model's weights: whole parts for a backend, or decoded rows for whoever works a panel
 * at a time (quantize, validate, eval --exact).
 *
 * Buffers handed out come from samp_alloc and belong to the caller (samp_model_free_parts). */
#include "base/memory.h"
#include "file/file.h"
#include "model/model.h"

#include <string.h>
#include <sys/stat.h>

static samp_status read_part(samp_model *model, const samp_weight_ref *weight, int index,
                             void **out, samp_error *error)
{
    uint64_t bytes = weight->layout.parts[index].bytes;
    *out = samp_alloc(bytes ? bytes : 1, 1);
    if (!*out)
        return samp_fail(error, SAMP_NOMEM, "%s: out of memory for %llu bytes of %s",
                         samp_model_folder(model), (unsigned long long)bytes,
                         weight->parts[index]->name);
    return samp_checkpoint_read(samp_model_checkpoint(model), weight->parts[index],
                                index == 0 ? samp_weight_start(weight) : 0, *out, bytes, error);
}

/* Parts first … n_parts-1, then the format's check; all released on failure. */
static samp_status read_parts_from(samp_model *model, const samp_weight_ref *weight, int first,
                                   void *parts[SAMP_PARTS_MAX], samp_error *error)
{
    memset(parts, 0, SAMP_PARTS_MAX * sizeof *parts);
    samp_status status = SAMP_OK;
    for (int i = first; i < weight->layout.n_parts && status == SAMP_OK; i++)
        status = read_part(model, weight, i, &parts[i], error);
    if (status == SAMP_OK && weight->format->check) {
        status =
            weight->format->check(&weight->layout, (const void *const *)parts, weight->name, error);
        if (status != SAMP_OK) samp_error_prefix(error, "%s", samp_model_folder(model));
    }
    if (status != SAMP_OK) samp_model_free_parts(parts);
    return status;
}

samp_status samp_model_read_parts(samp_model *model, const samp_weight_ref *weight,
                                  void *parts[SAMP_PARTS_MAX], samp_error *error)
{
    return read_parts_from(model, weight, 0, parts, error);
}

void samp_model_free_parts(void *parts[SAMP_PARTS_MAX])
{
    for (int i = 0; i < SAMP_PARTS_MAX; i++) {
        samp_free(parts[i]);
        parts[i] = NULL;
    }
}

/* Only rows of floats start elsewhere than their tensor. */
uint64_t samp_weight_start(const samp_weight_ref *weight)
{
    return weight->first_row * (weight->layout.parts[0].bytes / weight->layout.rows);
}

uint64_t samp_panel_rows(const samp_layout *layout)
{
    enum { ELEMENTS = 1 << 18 }; /* makes a system call cheap, and fits a cache */
    uint64_t rows = ELEMENTS / layout->cols / SAMP_PANEL_ROWS * SAMP_PANEL_ROWS;
    if (rows < SAMP_PANEL_ROWS) rows = SAMP_PANEL_ROWS;
    return rows < layout->rows ? rows : layout->rows;
}

samp_status samp_panel_range(const samp_format *format, const samp_layout *layout, uint64_t row0,
                             uint64_t n_rows, uint64_t *at, uint64_t *bytes, samp_error *error)
{
    uint64_t total = layout->parts[0].bytes;
    if (total % layout->rows == 0 && format->group == 0) { /* floats: any rows */
        *at = total / layout->rows * row0;
        *bytes = total / layout->rows * n_rows;
        return SAMP_OK;
    }
    samp_layout panel;
    SAMP_TRY(format->layout(SAMP_PANEL_ROWS, layout->cols, &panel, error));
    uint64_t first = row0 / SAMP_PANEL_ROWS, end = samp_ceil_div(row0 + n_rows, SAMP_PANEL_ROWS);
    *at = first * panel.parts[0].bytes;
    *bytes = row0 + n_rows == layout->rows ? total - *at : (end - first) * panel.parts[0].bytes;
    return SAMP_OK;
}

samp_status samp_model_read_rows(samp_model *model, const samp_weight_ref *weight, uint64_t row0,
                                 uint64_t n_rows, void *scales[SAMP_PARTS_MAX], float *out,
                                 samp_error *error)
{
    const samp_layout *layout = &weight->layout;
    if (row0 > layout->rows || n_rows > layout->rows - row0 ||
        (row0 % SAMP_PANEL_ROWS != 0 && weight->format->group != 0))
        return samp_fail(error, SAMP_INVALID,
                         "%s: rows %llu to %llu of %s were asked for, it has %llu and panels of %d",
                         samp_model_folder(model), (unsigned long long)row0,
                         (unsigned long long)(row0 + n_rows), weight->name,
                         (unsigned long long)layout->rows, SAMP_PANEL_ROWS);
    if (layout->n_parts > 1 && !scales[1])
        SAMP_TRY(read_parts_from(model, weight, 1, scales, error));
    uint64_t at, bytes;
    SAMP_TRY(samp_panel_range(weight->format, layout, row0, n_rows, &at, &bytes, error));
    void *codes = samp_realloc(NULL, bytes, 1); /* not zeroed: this is the quantizer's inner loop */
    if (!codes)
        return samp_fail(error, SAMP_NOMEM, "%s: out of memory for %llu bytes of %s",
                         samp_model_folder(model), (unsigned long long)bytes, weight->name);
    samp_status status = samp_checkpoint_read(samp_model_checkpoint(model), weight->parts[0],
                                              samp_weight_start(weight) + at, codes, bytes, error);
    if (status == SAMP_OK) {
        const void *parts[SAMP_PARTS_MAX] = {codes};
        for (int i = 1; i < layout->n_parts; i++) parts[i] = scales[i];
        weight->format->decode(layout, parts, row0, n_rows, out);
    }
    samp_free(codes);
    return status;
}

samp_status samp_model_describe_files(samp_model *model, samp_buffer *text, uint64_t *bytes,
                                      samp_error *error)
{
    const samp_checkpoint *checkpoint = samp_model_checkpoint(model);
    if (bytes) *bytes = 0;
    for (size_t s = 0; s < samp_checkpoint_shards(checkpoint); s++) {
        char path[4096];
        SAMP_TRY(samp_path_join(path, sizeof path, samp_model_folder(model),
                                samp_checkpoint_shard_name(checkpoint, s), error));
        struct stat info;
        if (stat(path, &info) != 0) return samp_fail_errno(error, "%s cannot be examined", path);
        samp_buffer_printf(text, "%llu %lld.%09ld\n", (unsigned long long)info.st_size,
                           (long long)info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
        if (bytes) *bytes += (uint64_t)info.st_size;
    }
    return SAMP_OK;
}

samp_status samp_model_read_vector(samp_model *model, const samp_weight_ref *weight, float *out,
                                   samp_error *error)
{
    void *scales[SAMP_PARTS_MAX] = {0};
    samp_status status = samp_model_read_rows(model, weight, 0, 1, scales, out, error);
    samp_model_free_parts(scales);
    return status;
}
