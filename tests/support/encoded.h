/* A matrix encoded in a number format in memory, for tests of backends. */
#ifndef SAMP_TESTS_SUPPORT_ENCODED_H
#define SAMP_TESTS_SUPPORT_ENCODED_H

#include "backend/backend.h"
#include "base/memory.h"
#include "base/prng.h"
#include "support/cmocka_all.h"

#include <string.h>

typedef struct encoded {
    const samp_format *format;
    samp_layout layout;
    void *parts[SAMP_PARTS_MAX];
    float *decoded; /* [rows][cols], exactly what the parts say */
} encoded;

/* Standard normal values, one in 50 eight times as large. */
static inline void random_floats(samp_prng *prng, float *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = (float)samp_prng_normal(prng);
        if (samp_prng_below(prng, 50) == 0) out[i] *= 8;
    }
}

static inline encoded encode_random(samp_prng *prng, samp_format_id id, uint64_t rows,
                                    uint64_t cols)
{
    samp_error error;
    encoded e = {.format = samp_format_get(id)};
    assert_int_equal(e.format->layout(rows, cols, &e.layout, &error), SAMP_OK);
    e.decoded = samp_alloc(rows * cols, sizeof *e.decoded);
    float *work = samp_alloc(e.layout.work_floats, sizeof *work);
    for (int i = 0; i < e.layout.n_parts; i++) e.parts[i] = samp_alloc(e.layout.parts[i].bytes, 1);
    random_floats(prng, e.decoded, rows * cols);
    e.format->encode(&e.layout, e.decoded, 0, rows, &(samp_encode_options){0}, e.parts, work);
    if (e.format->finish)
        assert_int_equal(e.format->finish(&e.layout, e.parts, work, &error), SAMP_OK);
    e.format->decode(&e.layout, (const void *const *)e.parts, 0, rows, e.decoded);
    samp_free(work);
    return e;
}

static inline samp_weight_source encoded_source(const encoded *e, int activation_bits, bool embed)
{
    return (samp_weight_source){.name = "test.weight",
                                .format = e->format,
                                .layout = &e->layout,
                                .parts = (const void *const *)e->parts,
                                .activation_bits = activation_bits,
                                .embed = embed};
}

static inline void encoded_release(encoded *e)
{
    for (int i = 0; i < SAMP_PARTS_MAX; i++) samp_free(e->parts[i]);
    samp_free(e->decoded);
}

#endif
