/* For tests of the CPU backend: weights encoded in any format, and products evaluated from the
 * definitions alone (backend/numerics.h, samp_integer_form, decode), without any code of
 * backend/cpu. */
#ifndef SAMP_TESTS_CPU_ORACLE_H
#define SAMP_TESTS_CPU_ORACLE_H

#include "backend/backend.h"
#include "base/cpu.h"
#include "base/memory.h"
#include "base/prng.h"
#include "model/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

typedef struct encoded {
    const samp_format *format;
    samp_layout layout;
    void *parts[SAMP_PARTS_MAX];
    int activation_bits;
    float threshold; /* of outliers, where the format has them */
} encoded;

/* How weights or inputs are made. */
typedef enum pattern { GAUSS, OUTLIERS, ZEROS, EXTREME, TINY, PATTERNS } pattern;

static inline void fill(float *x, size_t n, pattern kind, uint64_t seed)
{
    samp_prng prng = {seed};
    for (size_t i = 0; i < n; i++) {
        float v = (float)samp_prng_normal(&prng);
        uint64_t r = samp_prng_below(&prng, 64);
        switch (kind) {
        case GAUSS: x[i] = v; break;
        case OUTLIERS: x[i] = r == 0 ? 300 * v : v; break;
        case ZEROS: x[i] = i / 64 % 2 ? v : r & 1 ? -0.0f : 0.0f; break;
        case EXTREME:
            x[i] = r < 2 ? 1.0f : -1.0f;
            break; /* all at the ends of the integer ranges */
        default: x[i] = v * (i / 64 % 2 ? 1e-32f : 1e-20f); break;
        }
    }
}

static inline encoded encode(samp_format_id id, size_t rows, size_t cols, const float *w, int bits)
{
    encoded e = {.format = samp_format_get(id), .activation_bits = bits};
    assert_int_equal(e.format->layout(rows, cols, &e.layout, NULL), SAMP_OK);
    for (int i = 0; i < e.layout.n_parts; i++) e.parts[i] = samp_alloc(1, e.layout.parts[i].bytes);
    float *work = samp_alloc(e.layout.work_floats, sizeof *work);
    samp_encode_options options = {0};
    for (size_t row = 0; row < rows; row += SAMP_PANEL_ROWS) {
        size_t n = rows - row < SAMP_PANEL_ROWS ? rows - row : SAMP_PANEL_ROWS;
        uint64_t at, bytes;
        assert_int_equal(samp_panel_range(e.format, &e.layout, row, n, &at, &bytes, NULL), SAMP_OK);
        void *parts[SAMP_PARTS_MAX];
        memcpy(parts, e.parts, sizeof parts);
        parts[0] = (uint8_t *)parts[0] + at;
        e.format->encode(&e.layout, w + row * cols, row, n, &options, parts, work);
    }
    if (e.format->finish)
        assert_int_equal(e.format->finish(&e.layout, e.parts, work, NULL), SAMP_OK);
    samp_free(work);
    return e;
}

static inline void encoded_release(encoded *e)
{
    for (int i = 0; i < SAMP_PARTS_MAX; i++) samp_free(e->parts[i]);
}

/* Calls body with the parts of each panel; `panel`, `row` and `n` are set. */
#define EACH_PANEL(e, row, n, panel)                                                               \
    for (size_t row = 0, n; row < (e)->layout.rows; row += n)                                      \
        for (const void *panel[SAMP_PARTS_MAX] = {oracle_panel(e, row, &n)},                       \
                        **once_ = oracle_rest(e, panel);                                           \
             once_; once_ = NULL)

static inline const void *oracle_panel(const encoded *e, size_t row, size_t *n)
{
    size_t left = e->layout.rows - row;
    *n = left < SAMP_PANEL_ROWS ? left : SAMP_PANEL_ROWS;
    uint64_t at, bytes;
    assert_int_equal(samp_panel_range(e->format, &e->layout, row, *n, &at, &bytes, NULL), SAMP_OK);
    return (const uint8_t *)e->parts[0] + at;
}

static inline const void **oracle_rest(const encoded *e, const void *panel[])
{
    for (int i = 1; i < e->layout.n_parts; i++) panel[i] = e->parts[i];
    return panel;
}

/* The exact values [rows][cols]. */
static inline float *decoded(const encoded *e)
{
    float *w = samp_alloc(e->layout.rows * e->layout.cols, sizeof *w);
    EACH_PANEL(e, row, n, panel)
    e->format->decode(&e->layout, panel, row, n, w + row * e->layout.cols);
    return w;
}

static inline bool has_outliers(const encoded *e)
{
    return e->format->outliers && e->activation_bits == 8;
}

/* q [padded] and x_scale [padded / 64] of one token. */
static inline void quantized_input(const encoded *e, const float *x, int16_t *q, float *x_scale)
{
    size_t cols = e->layout.cols, padded = samp_round_up(cols, 64);
    float *kept = samp_alloc(padded, sizeof *kept); /* without outliers */
    for (size_t k = 0; k < cols; k++)
        kept[k] = has_outliers(e) && samp_is_outlier(x[k], e->threshold) ? 0 : x[k];
    uint32_t all = samp_max_bits(kept, cols);
    for (size_t b = 0; b < padded / 64; b++) {
        uint32_t bits = has_outliers(e) ? all : samp_max_bits(kept + b * 64, 64);
        int32_t sum;
        x_scale[b] = samp_input_quantize_to(kept + b * 64, 64, bits,
                                            e->activation_bits == 8 ? SAMP_A8_MAX : SAMP_A16_MAX,
                                            q + b * 64, &sum);
    }
    samp_free(kept);
}

static inline void integer_product(const encoded *e, const float *x, size_t n_tokens, float *y)
{
    size_t rows = e->layout.rows, cols = e->layout.cols, padded = samp_round_up(cols, 64);
    size_t group = (size_t)samp_integer_group(&e->layout, e->format->id), scales = padded / group;
    int8_t *t = samp_alloc(rows, padded);
    float *scale = samp_alloc(rows * scales, sizeof *scale);
    EACH_PANEL(e, row, n, panel)
    {
        samp_integer_rows out = {t + row * padded, scale + row * scales};
        samp_integer_form(e->format->id, &e->layout, panel, row, n, &out);
    }
    int16_t *q = samp_alloc(padded, sizeof *q);
    float *x_scale = samp_alloc(padded / 64, sizeof *x_scale);
    for (size_t token = 0; token < n_tokens; token++) {
        const float *from = x + token * cols;
        quantized_input(e, from, q, x_scale);
        for (size_t r = 0; r < rows; r++) {
            float sum = 0;
            for (size_t g = 0; g < scales; g++) {
                int32_t s = 0;
                for (size_t k = g * group; k < (g + 1) * group; k++) s += t[r * padded + k] * q[k];
                sum = fmaf((float)s, scale[r * scales + g] * x_scale[g * group / 64], sum);
            }
            for (size_t k = 0; k < cols && has_outliers(e); k++)
                if (samp_is_outlier(from[k], e->threshold))
                    sum = fmaf(scale[r * scales + k / group] * (float)t[r * padded + k], from[k],
                               sum);
            y[token * rows + r] = sum;
        }
    }
    samp_free(x_scale);
    samp_free(q);
    samp_free(scale);
    samp_free(t);
}

static inline void float_product(const encoded *e, const float *x, size_t n_tokens, bool exact,
                                 float *y)
{
    size_t rows = e->layout.rows, cols = e->layout.cols;
    float *w = decoded(e), *scale = NULL;
    if (!exact && samp_row_form(e->format->id, &e->layout, NULL, 0, 0, NULL, NULL)) {
        scale = samp_alloc(rows, sizeof *scale);
        EACH_PANEL(e, row, n, panel)
        samp_row_form(e->format->id, &e->layout, panel, row, n, w + row * cols, scale + row);
    }
    for (size_t token = 0; token < n_tokens; token++)
        for (size_t r = 0; r < rows; r++) {
            float sum = 0;
            for (size_t k = 0; k < cols; k++) sum = fmaf(w[r * cols + k], x[token * cols + k], sum);
            y[token * rows + r] = scale ? sum * scale[r] : sum;
        }
    samp_free(scale);
    samp_free(w);
}

/* y [n_tokens][rows] = x . w^T as numerics.h defines it. */
static inline void oracle_product(const encoded *e, const float *x, size_t n_tokens, bool exact,
                                  float *y)
{
    if (!exact && samp_integer_group(&e->layout, e->format->id))
        integer_product(e, x, n_tokens, y);
    else
        float_product(e, x, n_tokens, exact, y);
}

/* ---- a device and its objects, each step asserted ---- */

static inline samp_device *device_open(samp_cpu_level level, unsigned n_threads, bool exact)
{
    setenv("SAMP_CPU", samp_cpu_name(level), 1);
    samp_device *device;
    samp_error error = {0};
    samp_device_options options = {.n_threads = n_threads, .exact = exact};
    if (samp_cpu_backend()->open(&device, &options, &error) != SAMP_OK)
        fail_msg("%s", error.message);
    return device;
}

static inline samp_weight *device_weight(samp_device *device, const encoded *e, bool embed)
{
    samp_weight_source source = {.name = "test.weight",
                                 .format = e->format,
                                 .layout = &e->layout,
                                 .parts = (const void *const *)e->parts,
                                 .activation_bits = e->activation_bits,
                                 .embed = embed};
    samp_weight *weight;
    samp_error error = {0};
    if (samp_cpu_backend()->weight_create(device, &source, &weight, &error) != SAMP_OK)
        fail_msg("%s", error.message);
    return weight;
}

static inline samp_tensor *device_tensor(samp_device *device, const float *values, size_t n)
{
    samp_tensor *tensor;
    assert_int_equal(samp_cpu_backend()->tensor_create(device, n, &tensor, NULL), SAMP_OK);
    if (values)
        assert_int_equal(samp_cpu_backend()->tensor_set(device, tensor, values, n, NULL), SAMP_OK);
    return tensor;
}

#endif
