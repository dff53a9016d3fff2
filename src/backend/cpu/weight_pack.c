/* From an artifact's weight to kernel layout (weight.h), on all threads, a panel of rows at a
 * time.
 *
 * Weights come through two functions of the format's table only: samp_integer_form where
 * products are integers, decode elsewhere; 16-bit floats are copied as they are. */
#include "backend/cpu/weight.h"

#include "base/memory.h"
#include "model/model.h"

#include <stdatomic.h>
#include <string.h>

/* One packing job, shared by the threads; each takes panels of SAMP_PANEL_ROWS rows. */
typedef struct pack_job {
    samp_weight *weight;
    const samp_weight_source *source;
    uint8_t code_of[256];     /* coded kinds: code by (uint8_t)t */
    bool compare;             /* look whether scale*t is the exact value everywhere */
    atomic_bool differs;      /* … it is not */
    atomic_bool codes_differ; /* part 0 cannot be made again from the packed codes */
    atomic_bool failed;
} pack_job;

/* 64 weights of one row -> the row's dword of each line of a block (weight.h draws the lines). */
static void pack_row(const pack_job *job, uint8_t *lines, size_t row, const int8_t t[SAMP__BLOCK])
{
    enum { DWORDS = SAMP__BLOCK / 4, STEP = SAMP__LINE / 4 };
    samp__kind kind = job->weight->kind;
    uint32_t u[DWORDS];
    if (samp__kinds[kind].coded) {
        uint8_t codes[SAMP__BLOCK];
        for (size_t i = 0; i < SAMP__BLOCK; i++) codes[i] = job->code_of[(uint8_t)t[i]];
        memcpy(u, codes, sizeof u);
    } else { /* t + zero in as many bits as it has: the sign bit turned over */
        uint32_t zero = 1u << samp__kinds[kind].zero, bits = 2 * zero - 1;
        memcpy(u, t, sizeof u);
        for (size_t i = 0; i < DWORDS; i++) u[i] = (u[i] & bits * 0x01010101u) ^ zero * 0x01010101u;
    }
    uint32_t *line = (uint32_t *)lines + row, *high = line + 8 * STEP;
    if (kind == SAMP__BYTE) {
        for (size_t j = 0; j < DWORDS; j++) line[j * STEP] = u[j];
        return;
    }
    for (size_t j = 0; j < 8; j++)
        line[j * STEP] = (u[j] & 0x0f0f0f0fu) | (u[8 + j] & 0x0f0f0f0fu) << 4;
    if (samp__kinds[kind].high_bits == 1)
        for (size_t j = 0; j < 8; j++)
            high[j / 4 * STEP] |= (u[j] >> 4 & 0x01010101u) << (2 * (j % 4)) |
                                  (u[8 + j] >> 4 & 0x01010101u) << (2 * (j % 4) + 1);
    if (samp__kinds[kind].high_bits == 2)
        for (size_t j = 0; j < 8; j++)
            high[j / 2 * STEP] |= (u[j] >> 4 & 0x03030303u) << (4 * (j % 2)) |
                                  (u[8 + j] >> 4 & 0x03030303u) << (4 * (j % 2) + 2);
}

/* The scales of a group of 16 rows, n of them real: float [scales of a row][16], or the codes. */
static void pack_scales(const pack_job *job, uint8_t *group, size_t row, size_t n,
                        const float *scale)
{
    const samp_weight *weight = job->weight;
    size_t per_row = weight->n_blocks * samp__kinds[weight->kind].scales;
    if (!weight->coded_scales) {
        float *to = (float *)group;
        for (size_t r = 0; r < n; r++)
            for (size_t s = 0; s < per_row; s++) to[s * SAMP__ROWS + r] = scale[r * per_row + s];
        return;
    }
    const samp_weight_source *source = job->source;
    size_t stored = source->layout->parts[1].shape[1];
    const int8_t *codes = (const int8_t *)source->parts[1] + row * stored;
    memcpy(group, (const uint8_t *)source->parts[2] + row * sizeof(float), n * sizeof(float));
    int8_t *to = (int8_t *)group + SAMP__LINE;
    for (size_t r = 0; r < n; r++)
        for (size_t s = 0; s < stored; s++) to[s * SAMP__ROWS + r] = codes[r * stored + s];
}

/* One group from its integers t [16][padded columns] and scales [16][scales of a row]. */
static void pack_integers(const pack_job *job, size_t row, size_t n, const int8_t *t,
                          const float *scale)
{
    const samp_weight *weight = job->weight;
    size_t columns = weight->n_blocks * SAMP__BLOCK;
    uint8_t *group = weight->data + row / SAMP__ROWS * weight->group_bytes;
    memset(group, 0, weight->group_bytes);
    pack_scales(job, group, row, n, scale);
    for (size_t b = 0; b < weight->n_blocks; b++)
        for (size_t r = 0; r < n; r++)
            pack_row(job, group + weight->lines_at + b * weight->block_bytes, r,
                     t + r * columns + b * SAMP__BLOCK);
}

/* One group from values of 1, 2 or 4 bytes, [n][cols], n <= 16: a transposition. */
static void pack_values(const samp_weight *weight, size_t row, size_t n, const uint8_t *values)
{
    size_t cols = weight->cols;
    uint8_t *group = weight->data + row / SAMP__ROWS * weight->group_bytes;
    if (n < SAMP__ROWS) memset(group, 0, weight->group_bytes);
    if (weight->kind == SAMP__FP8) {
        for (size_t r = 0; r < n; r++)
            for (size_t k = 0; k < cols; k++) group[k * SAMP__ROWS + r] = values[r * cols + k];
    } else if (samp__kinds[weight->kind].lines == sizeof(uint16_t)) {
        uint16_t *to = (uint16_t *)group;
        for (size_t r = 0; r < n; r++)
            for (size_t k = 0; k < cols; k++)
                memcpy(&to[k * SAMP__ROWS + r], values + (r * cols + k) * sizeof *to, sizeof *to);
    } else {
        uint32_t *to = (uint32_t *)group;
        for (size_t r = 0; r < n; r++)
            for (size_t k = 0; k < cols; k++)
                memcpy(&to[k * SAMP__ROWS + r], values + (r * cols + k) * sizeof *to, sizeof *to);
    }
}

/* Whether some exact value of the panel is not scale*t. */
static bool panel_differs(const samp_weight *weight, const samp_integer_rows *rows,
                          const float *exact, size_t n_rows)
{
    size_t n_scales = samp__kinds[weight->kind].scales, group = SAMP__BLOCK / n_scales;
    size_t columns = weight->n_blocks * SAMP__BLOCK, per_row = weight->n_blocks * n_scales;
    bool differs = false;
    for (size_t r = 0; r < n_rows && !differs; r++)
        for (size_t s = 0; s * group < weight->cols; s++) {
            size_t left = weight->cols - s * group, n = left < group ? left : group;
            const int8_t *t = rows->t + r * columns + s * group;
            const float *wanted = exact + r * weight->cols + s * group;
            float scale = rows->scale[r * per_row + s];
            for (size_t k = 0; k < n; k++) differs |= scale * (float)t[k] != wanted[k];
        }
    return differs;
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
        size_t rows = n - r < SAMP__ROWS ? n - r : SAMP__ROWS;
        if (samp__is_float(weight))
            pack_values(weight, row0 + r, rows, values + r * value_bytes);
        else
            pack_integers(job, row0 + r, rows, scratch->rows.t + r * columns,
                          scratch->rows.scale + r * per_row);
        if (weight->kind == SAMP__FP8) {
            uint8_t *group = weight->data + (row0 + r) / SAMP__ROWS * weight->group_bytes;
            samp_row_form(source->format->id, source->layout, panel, row0 + r, rows, NULL,
                          (float *)samp__row_scales(weight, group));
        }
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

samp__pack_result samp__weight_pack(samp_pool *pool, samp_weight *weight,
                                    const samp_weight_source *source)
{
    int n_codes;
    const int8_t *codebook = samp_integer_codebook(source->format->id, &n_codes);
    pack_job job = {
        .weight = weight, .source = source, .compare = source->embed && !samp__is_float(weight)};
    for (int i = 0; n_codes && i < (int)sizeof weight->codebook; i++) {
        int code = i % n_codes;
        weight->codebook[i] = (uint8_t)(codebook[code] + 128);
        job.code_of[(uint8_t)codebook[code]] = (uint8_t)code;
    }
    samp_pool_run(pool, pack_work, &job);
    if (job.failed) return SAMP__PACK_FAILED;
    if (!job.differs) return SAMP__PACKED;
    return job.codes_differ ? SAMP__PACK_NEEDS_ALL : SAMP__PACK_NEEDS_SCALES;
}
