/* The table of number formats: look-up, names, sizes, and the integer forms' dispatch. What a
 * format is, its family's file says; this file only gathers them. */
#include "format/entry.h"

#include "base/memory.h"

#include <math.h>
#include <stdio.h>

static const samp__format_entry *const entries[SAMP_FORMAT_COUNT] = {
#define X(id, name, table) [SAMP_FORMAT_##id] = &table,
    SAMP_FORMAT_LIST(X)
#undef X
};

/* Names and order of the table of format.h, as one text: "fp32, bf16, …". */
static const char name_list[] =
#define X(id, name, table) ", " name
    SAMP_FORMAT_LIST(X)
#undef X
    ;

const samp_format *samp_format_get(samp_format_id id) { return &entries[id]->format; }

const samp_format *samp_format_find(const char *name)
{
    for (int i = 0; i < SAMP_FORMAT_COUNT; i++)
        if (strcmp(entries[i]->format.name, name) == 0) return &entries[i]->format;
    return NULL;
}

const char *samp_format_names(void) { return name_list + 2; }

double samp_format_bits(const samp_format *format, uint64_t rows, uint64_t cols)
{
    samp_layout layout;
    if (format->layout(rows, cols, &layout, NULL) != SAMP_OK) return HUGE_VAL;
    return 8.0 * (double)layout.bytes / ((double)rows * (double)cols);
}

samp_status samp_part_name(char *out, size_t n, const char *name, const samp_part *part,
                           samp_error *error)
{
    static const char weight[] = ".weight";
    const char *suffix = part->suffix;
    size_t stem = strlen(name);
    if (suffix[0] == '!') {
        size_t ending = sizeof weight - 1;
        if (stem < ending || strcmp(name + stem - ending, weight) != 0)
            return samp_fail(error, SAMP_INVALID,
                             "tensor '%s' does not end in '%s', which part '%s' replaces", name,
                             weight, suffix);
        stem -= ending;
        suffix++;
    }
    size_t tail = strlen(suffix);
    if (stem >= n || tail >= n - stem)
        return samp_fail(error, SAMP_LIMIT,
                         "the name of part '%s' of tensor '%.200s' needs %zu bytes, room is %zu",
                         suffix, name, stem + tail + 1, n);
    memcpy(out, name, stem);
    memcpy(out + stem, suffix, tail + 1);
    return SAMP_OK;
}

int samp_integer_group(const samp_layout *layout, samp_format_id id)
{
    return entries[id]->integer_group ? entries[id]->integer_group(layout) : 0;
}

void samp_integer_form(samp_format_id id, const samp_layout *layout, const void *const parts[],
                       uint64_t row0, uint64_t n_rows, samp_integer_rows *out)
{
    entries[id]->integer_form(layout, parts, row0, n_rows, out);
}

bool samp_row_form(samp_format_id id, const samp_layout *layout, const void *const parts[],
                   uint64_t row0, uint64_t n_rows, float *w, float *scale)
{
    if (!entries[id]->row_form) return false;
    if (w || scale) entries[id]->row_form(layout, parts, row0, n_rows, w, scale);
    return true;
}

const int8_t *samp_integer_codebook(samp_format_id id, int *n)
{
    const samp__format_entry *entry = entries[id];
    if (n) *n = entry->codebook ? 1 << (int)entry->format.code_bits : 0;
    return entry->codebook;
}

samp_status samp__layout_begin(samp_layout *out, uint64_t rows, uint64_t cols, samp_error *error)
{
    memset(out, 0, sizeof *out);
    if (rows == 0 || cols == 0)
        return samp_fail(error, SAMP_INVALID, "a matrix of %llu x %llu has no weights",
                         (unsigned long long)rows, (unsigned long long)cols);
    uint64_t n;
    if (rows > SAMP__SIDE_MAX || cols > SAMP__SIDE_MAX || !samp_mul(rows, cols, &n) ||
        n > SAMP__WEIGHT_MAX)
        return samp_fail(error, SAMP_LIMIT, "a matrix of %llu x %llu weights; the most is 2^44",
                         (unsigned long long)rows, (unsigned long long)cols);
    out->rows = rows;
    out->cols = cols;
    return SAMP_OK;
}

void samp__layout_add(samp_layout *out, const char *suffix, samp_dtype dtype, uint64_t shape0,
                      uint64_t shape1)
{
    samp_part *part = &out->parts[out->n_parts++];
    part->suffix = suffix;
    part->dtype = dtype;
    part->rank = shape1 ? 2 : shape0 ? 1 : 0;
    part->shape[0] = shape0;
    part->shape[1] = shape1;
    part->bytes = (shape0 ? shape0 : 1) * (shape1 ? shape1 : 1) * (samp_dtype_bits(dtype) / 8);
    out->bytes += part->bytes;
}

samp_status samp__check_scales(const void *part, uint64_t n, float low, float high,
                               const char *name, const char *suffix, samp_error *error)
{
    for (uint64_t i = 0; i < n; i++) {
        float x = samp__load_f32(part, i);
        if (!isfinite(x))
            return samp_fail(error, SAMP_NUMERIC, "%s%s[%llu] is %g, expected a finite scale", name,
                             suffix, (unsigned long long)i, (double)x);
        if (x < low || x > high)
            return samp_fail(error, SAMP_CORRUPT, "%s%s[%llu] is %g, expected a scale in %g ... %g",
                             name, suffix, (unsigned long long)i, (double)x, (double)low,
                             (double)high);
    }
    return SAMP_OK;
}
