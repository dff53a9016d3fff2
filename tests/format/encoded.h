/* A matrix encoded in memory, as the quantizer would do it, and random matrices to encode. */
#ifndef SAMP_TESTS_FORMAT_ENCODED_H
#define SAMP_TESTS_FORMAT_ENCODED_H

#include "support/cmocka_all.h"

#include "base/prng.h"
#include "format/format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct encoded {
    const samp_format *format;
    samp_layout layout;
    void *parts[SAMP_PARTS_MAX];
    float *work;
} encoded;

/* Encodes in panels of panel_rows (0: one panel); parts are allocated to the byte, so that
 * sanitizers see any write past them. */
static inline encoded encode_matrix(samp_format_id id, const float *w, uint64_t rows, uint64_t cols,
                                    const samp_encode_options *options, uint64_t panel_rows)
{
    encoded e = {.format = samp_format_get(id)};
    samp_error error;
    static const samp_encode_options plain;
    if (e.format->layout(rows, cols, &e.layout, &error) != SAMP_OK) fail_msg("%s", error.message);
    for (int p = 0; p < e.layout.n_parts; p++) {
        e.parts[p] = malloc(e.layout.parts[p].bytes);
        memset(e.parts[p], 0xA5, e.layout.parts[p].bytes);
    }
    e.work = calloc(e.layout.work_floats + 1, sizeof *e.work);
    if (panel_rows == 0) panel_rows = rows;
    for (uint64_t row = 0; row < rows; row += panel_rows) {
        uint64_t n = rows - row < panel_rows ? rows - row : panel_rows;
        void *parts[SAMP_PARTS_MAX];
        memcpy(parts, e.parts, sizeof parts);
        /* 64 rows fill whole bytes in every format; NF4 packs rows without gaps */
        parts[0] = (uint8_t *)e.parts[0] + e.layout.parts[0].bytes / rows * row;
        if (e.layout.parts[0].shape[1] == 1) parts[0] = (uint8_t *)e.parts[0] + row * cols / 2;
        e.format->encode(&e.layout, w + row * cols, row, n, options ? options : &plain, parts,
                         e.work);
    }
    if (e.format->finish && e.format->finish(&e.layout, e.parts, e.work, &error) != SAMP_OK)
        fail_msg("%s", error.message);
    return e;
}

static inline float *decode_matrix(const encoded *e)
{
    float *out = malloc(e->layout.rows * e->layout.cols * sizeof *out);
    e->format->decode(&e->layout, (const void *const *)e->parts, 0, e->layout.rows, out);
    return out;
}

static inline void encoded_release(encoded *e)
{
    for (int p = 0; p < e->layout.n_parts; p++) free(e->parts[p]);
    free(e->work);
}

static inline float *gaussian_matrix(uint64_t rows, uint64_t cols, double scale, uint64_t seed)
{
    samp_prng prng = {seed};
    float *w = malloc(rows * cols * sizeof *w);
    for (uint64_t i = 0; i < rows * cols; i++) w[i] = (float)(samp_prng_normal(&prng) * scale);
    return w;
}

/* Root of sum h(a-b)^2 / sum h b^2; h [cols] or NULL. */
static inline double relative_error(const float *a, const float *b, uint64_t rows, uint64_t cols,
                                    const float *h)
{
    double error = 0, norm = 0;
    for (uint64_t i = 0; i < rows * cols; i++) {
        double weight = h ? (double)h[i % cols] : 1.0, d = (double)a[i] - (double)b[i];
        error += weight * d * d;
        norm += weight * (double)b[i] * (double)b[i];
    }
    return sqrt(error / norm);
}

#endif
