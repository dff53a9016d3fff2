/* From an artifact's weight to kernel layout (weight.h), on all threads, and back for single rows.
 *
 * Packing goes through two functions of the format's table only: samp_integer_form for weights with
 * integer products, decode for the others; no format is named here but the 16-bit floats, whose
 * codes are kept as they are. */
#include "backend/cpu/weight.h"

#include "base/memory.h"
#include "model/model.h"

#include <stdatomic.h>
#include <string.h>

/* One packing job, shared by the threads; each takes panels of SAMP_PANEL_ROWS rows. */
typedef struct pack_job {
    samp_weight *weight;
    const samp_weight_source *source;
    uint8_t code_of[256];     /* 4-bit kinds: code by (uint8_t)t */
    bool compare;             /* look whether scale*t is the exact value everywhere */
    atomic_bool differs;      /* … it is not */
    atomic_bool codes_differ; /* part 0 cannot be made again from the packed codes */
    atomic_bool failed;
} pack_job;

static samp__kind kind_of(const samp_weight_source *source, bool exact)
{
    samp_format_id id = source->format->id;
    int group = samp_integer_group(source->layout, id);
    if (!exact && group) {
        if (samp_integer_codebook(id)) return group == 32 ? SAMP__NIBBLE32 : SAMP__NIBBLE;
        if (id == SAMP_FORMAT_INT5) return SAMP__INT5;
        if (id == SAMP_FORMAT_INT6) return SAMP__INT6;
        return SAMP__BYTE;
    }
    if (!exact && id == SAMP_FORMAT_BF16) return SAMP__BF16;
    if (!exact && id == SAMP_FORMAT_FP16) return SAMP__FP16;
    return SAMP__FP32;
}

/* Writes the high bits of u of one weight into its line; shift is its place in the byte. */
static void pack_weight(const pack_job *job, uint8_t *lines, size_t row, size_t column, int t)
{
    size_t half = column / 32, j = column % 32 / 4, at = row * 4 + column % 4;
    samp__kind kind = job->weight->kind;
    if (kind == SAMP__BYTE) {
        lines[(half * 8 + j) * SAMP__LINE + at] = (uint8_t)(t + 128);
        return;
    }
    unsigned code = kind == SAMP__INT5 || kind == SAMP__INT6
                        ? (unsigned)(t + (1 << samp__kinds[kind].zero))
                        : job->code_of[(uint8_t)t];
    lines[j * SAMP__LINE + at] |= (uint8_t)((code & 15) << (4 * half));
    uint8_t *high = lines + 8 * SAMP__LINE;
    if (kind == SAMP__INT5)
        high[j / 4 * SAMP__LINE + at] |= (uint8_t)(code >> 4 << (2 * (j % 4) + half));
    if (kind == SAMP__INT6)
        high[j / 2 * SAMP__LINE + at] |= (uint8_t)(code >> 4 << (4 * (j % 2) + 2 * half));
}

/* One group of 16 rows from its integers t [16][padded columns] and scales [16][scales of a row].
 */
static void pack_integers(const pack_job *job, uint8_t *group, const int8_t *t, const float *scale)
{
    const samp_weight *weight = job->weight;
    size_t n_scales = samp__kinds[weight->kind].scales, columns = weight->n_blocks * SAMP__BLOCK;
    memset(group, 0, weight->group_bytes);
    for (size_t b = 0; b < weight->n_blocks; b++) {
        uint8_t *block = group + b * weight->block_bytes;
        for (size_t s = 0; s < n_scales; s++)
            for (size_t r = 0; r < SAMP__ROWS; r++)
                memcpy(block + (s * SAMP__ROWS + r) * sizeof(float),
                       &scale[(r * weight->n_blocks + b) * n_scales + s], sizeof(float));
        uint8_t *lines = block + n_scales * SAMP__ROWS * sizeof(float);
        for (size_t r = 0; r < SAMP__ROWS; r++)
            for (size_t c = 0; c < SAMP__BLOCK; c++)
                pack_weight(job, lines, r, c, t[r * columns + b * SAMP__BLOCK + c]);
    }
}

/* One group from values of `bytes` bytes each, [n_rows][cols], n_rows <= 16. */
static void pack_values(const samp_weight *weight, uint8_t *group, const uint8_t *values,
                        size_t n_rows)
{
    size_t bytes = samp__kinds[weight->kind].lines, cols = weight->cols;
    if (n_rows < SAMP__ROWS) memset(group, 0, weight->group_bytes);
    for (size_t r = 0; r < n_rows; r++)
        for (size_t k = 0; k < cols; k++)
            memcpy(group + (k * SAMP__ROWS + r) * bytes, values + (r * cols + k) * bytes, bytes);
}

/* Whether some exact value of the panel is not scale*t. */
static bool panel_differs(const samp_weight *weight, const samp_integer_rows *rows,
                          const float *exact, size_t n_rows)
{
    size_t columns = weight->n_blocks * SAMP__BLOCK, n_scales = samp__kinds[weight->kind].scales;
    size_t per_row = weight->n_blocks * n_scales, group = SAMP__BLOCK / n_scales;
    for (size_t r = 0; r < n_rows; r++)
        for (size_t k = 0; k < weight->cols; k++)
            if ((float)rows->t[r * columns + k] * rows->scale[r * per_row + k / group] !=
                exact[r * weight->cols + k])
                return true;
    return false;
}

/* Whether the codes of the panel cannot be had back from its integers. */
static bool codes_differ(const pack_job *job, const int8_t *t, const uint8_t *codes, size_t n_rows)
{
    const samp_weight *weight = job->weight;
    if (weight->kind != SAMP__NIBBLE || weight->cols % SAMP__BLOCK) return true;
    for (size_t i = 0; i < n_rows * weight->cols / 2; i++)
        if (codes[i] !=
            samp__code_pair(job->code_of[(uint8_t)t[2 * i]], job->code_of[(uint8_t)t[2 * i + 1]]))
            return true;
    return false;
}

/* A thread's working memory: the rows of one panel, in the forms they pass through. */
typedef struct pack_scratch {
    samp_integer_rows rows;
    float *values; /* [SAMP_PANEL_ROWS][cols] */
} pack_scratch;

static void pack_panel(pack_job *job, const pack_scratch *scratch, size_t row0)
{
    samp_weight *weight = job->weight;
    const samp_weight_source *source = job->source;
    size_t n = weight->rows - row0 < SAMP_PANEL_ROWS ? weight->rows - row0 : SAMP_PANEL_ROWS;
    const void *panel[SAMP_PARTS_MAX];
    for (int i = 0; i < source->layout->n_parts; i++) panel[i] = source->parts[i];
    uint64_t at, bytes;
    if (samp_panel_range(source->format, source->layout, row0, n, &at, &bytes, NULL) != SAMP_OK) {
        job->failed = true; /* cannot happen: whole panels of a layout that exists */
        return;
    }
    panel[0] = (const uint8_t *)panel[0] + at;
    size_t columns = weight->n_blocks * SAMP__BLOCK;
    size_t per_row = weight->n_blocks * samp__kinds[weight->kind].scales;
    const uint8_t *values = panel[0];
    size_t value_bytes = samp__kinds[weight->kind].lines * weight->cols;
    if (weight->kind == SAMP__FP32 || job->compare) {
        source->format->decode(source->layout, panel, row0, n, scratch->values);
        values = (const uint8_t *)scratch->values;
    }
    if (!samp__is_float(weight)) {
        memset(scratch->rows.t, 0, SAMP_PANEL_ROWS * columns);
        memset(scratch->rows.scale, 0, SAMP_PANEL_ROWS * per_row * sizeof(float));
        samp_integer_rows rows = scratch->rows;
        samp_integer_form(source->format->id, source->layout, panel, row0, n, &rows);
        if (job->compare && panel_differs(weight, &rows, scratch->values, n)) job->differs = true;
        if (job->compare && codes_differ(job, rows.t, panel[0], n)) job->codes_differ = true;
    }
    for (size_t r = 0; r < n; r += SAMP__ROWS) {
        uint8_t *group = weight->data + (row0 + r) / SAMP__ROWS * weight->group_bytes;
        if (samp__is_float(weight))
            pack_values(weight, group, values + r * value_bytes,
                        n - r < SAMP__ROWS ? n - r : SAMP__ROWS);
        else
            pack_integers(job, group, scratch->rows.t + r * columns,
                          scratch->rows.scale + r * per_row);
    }
}

static void pack_work(void *context, unsigned thread, unsigned n_threads)
{
    pack_job *job = context;
    const samp_weight *weight = job->weight;
    size_t begin, end, columns = weight->n_blocks * SAMP__BLOCK;
    samp_split(weight->rows, SAMP_PANEL_ROWS, thread, n_threads, &begin, &end);
    if (begin == end) return;
    bool integers = !samp__is_float(weight), floats = weight->kind == SAMP__FP32 || job->compare;
    pack_scratch scratch = {{0}, NULL};
    if (integers) {
        scratch.rows.t = samp_alloc(SAMP_PANEL_ROWS, columns);
        scratch.rows.scale = samp_alloc(SAMP_PANEL_ROWS * sizeof(float), columns / 32);
    }
    if (floats) scratch.values = samp_alloc(SAMP_PANEL_ROWS * sizeof(float), weight->cols);
    if ((integers && (!scratch.rows.t || !scratch.rows.scale)) || (floats && !scratch.values))
        job->failed = true;
    else
        for (size_t row = begin; row < end; row += SAMP_PANEL_ROWS) pack_panel(job, &scratch, row);
    samp_free(scratch.values);
    samp_free(scratch.rows.scale);
    samp_free(scratch.rows.t);
}

static samp_status no_memory(const char *name, samp_error *error)
{
    return samp_fail(error, SAMP_NOMEM, "out of memory for weight '%s' in the CPU's layout", name);
}

/* Shapes, kind and memory; rows*cols is at most 2^44 (format.h), so that only the sizes below can
 * overflow. */
static samp_status weight_shape(samp_weight *weight, const samp_weight_source *source, bool exact,
                                samp_error *error)
{
    weight->kind = kind_of(source, exact);
    weight->rows = source->layout->rows;
    weight->cols = source->layout->cols;
    weight->embed = source->embed;
    weight->n_groups = samp_ceil_div(weight->rows, SAMP__ROWS);
    weight->n_blocks = samp_ceil_div(weight->cols, SAMP__BLOCK);
    if (samp__is_float(weight)) {
        weight->activation_bits = 32;
        weight->group_bytes = weight->cols * SAMP__ROWS * samp__kinds[weight->kind].lines;
    } else {
        if (source->activation_bits != 8 && source->activation_bits != 16)
            return samp_fail(error, SAMP_INVALID,
                             "weight '%s' wants %d-bit activations; the CPU has 8 and 16",
                             source->name, source->activation_bits);
        weight->activation_bits = source->activation_bits;
        weight->block_bytes = samp__kinds[weight->kind].lines * SAMP__LINE +
                              samp__kinds[weight->kind].scales * SAMP__ROWS * sizeof(float);
        weight->group_bytes = weight->n_blocks * weight->block_bytes;
    }
    if (!samp__huge_alloc(&weight->memory, weight->n_groups, weight->group_bytes))
        return no_memory(source->name, error);
    weight->data = weight->memory.data;
    return SAMP_OK;
}

static void codebooks(pack_job *job, samp_format_id id)
{
    const int8_t *codebook = samp_integer_codebook(id);
    for (int code = 0; code < 16; code++) {
        job->weight->codebook[code] = (uint8_t)(codebook ? codebook[code] + 128 : code);
        if (codebook) job->code_of[(uint8_t)codebook[code]] = (uint8_t)code;
    }
}

samp_status samp__weight_create(samp_pool *pool, const samp_weight_source *source, bool exact,
                                samp_weight **out, samp_error *error)
{
    *out = NULL;
    samp_weight *weight = samp_alloc(1, sizeof *weight);
    if (!weight) return no_memory(source->name, error);
    samp_status status = weight_shape(weight, source, exact, error);
    if (status == SAMP_OK) {
        pack_job job = {.weight = weight,
                        .source = source,
                        .compare = source->embed && !samp__is_float(weight)};
        codebooks(&job, source->format->id);
        samp_pool_run(pool, pack_work, &job);
        if (job.failed)
            status = no_memory(source->name, error);
        else if (job.differs)
            status =
                samp__weight_keep(weight, source, job.codes_differ, samp_pool_threads(pool), error);
    }
    if (status != SAMP_OK) {
        samp__weight_release(weight);
        return status;
    }
    *out = weight;
    return SAMP_OK;
}

void samp__weight_release(samp_weight *weight)
{
    if (!weight) return;
    for (int i = 0; i < SAMP_PARTS_MAX; i++) samp_free(weight->parts[i]);
    samp_free(weight->row_codes);
    samp__huge_release(&weight->memory);
    samp_free(weight);
}
