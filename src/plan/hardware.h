/* Profiles of hardware: memory, bandwidth, multiply rates, and what products take there.
 *
 * A profile is a JSON file; those of profiles/ are built into the program, and `samp doctor
 * --profile` writes one for the machine it runs on:
 *
 *   {"schema_version": 1, "name": "h100", "title": "NVIDIA H100 SXM 80 GB",
 *    "memory_bytes": {"value": 8e10, "source": "published: …"},
 *    "bandwidth": {"value": 3e12, "source": "measured 2026-11-23: …"},       bytes a second
 *    "rates": {"float16": {…}, "int8": {…}, "fp8": {…}},    operations a second, dense; a
 *                                                            multiply-add is two; absent = no unit
 *    "kernels": [{"format": "int8", "activation_bits": 16, "source": "measured …",
 *                 "times": [[rows, cols, batch, seconds], …]}, …],
 *    "attention": {"source": "measured …",               one layer, a new token of each sequence
 *                  "times": [[heads * head_dim, positions, sequences, seconds], …]},
 *    "step_ratio": {"value": 1.1, "source": "measured …"}}   a whole model's products over the sum
 *                                                            of their single times
 *
 * Every figure names its source. A format with measured times is predicted by the law fitted to
 * them (kernel_law.h); others by what bandwidth and rate allow. A profile owns its strings. */
#ifndef SAMP_PLAN_HARDWARE_H
#define SAMP_PLAN_HARDWARE_H

#include "base/json.h"
#include "base/memory.h"
#include "format/format.h"
#include "plan/kernel_law.h"

/* How a format is multiplied: id, name in the JSON */
#define SAMP_MULTIPLY_LIST(X)                                                                      \
    X(FLOAT16, "float16") /* expanded to 16-bit floats (32-bit on a CPU) */                        \
    X(INT8, "int8")                                                                                \
    X(FP8, "fp8")

typedef enum samp_multiply {
#define X(id, name) SAMP_MULTIPLY_##id,
    SAMP_MULTIPLY_LIST(X)
#undef X
        SAMP_MULTIPLY_COUNT
} samp_multiply;

typedef struct samp_figure {
    double value; /* 0 = not there */
    const char *source;
} samp_figure;

/* Measured products of weights of one format with inputs of one precision; or, without a format,
 * attention, whose rows are the width of all heads, columns the positions, batch the sequences. */
typedef struct samp_kernel {
    const samp_format *format;
    int activation_bits; /* 8 or 16; counts only where products are integers */
    const char *source;
    samp_kernel_time *times;
    size_t n_times;
    samp_kernel_law law; /* fitted to the times */
} samp_kernel;

typedef struct samp_hardware {
    samp_arena arena;
    const char *name, *title;
    samp_figure memory_bytes, bandwidth, rates[SAMP_MULTIPLY_COUNT];
    samp_kernel *kernels;
    size_t n_kernels;
    samp_kernel attention; /* n_times 0 = not measured */
    samp_figure step_ratio;
} samp_hardware;

/* "h100", or the path of a profile (with a '/' or ending in ".json"). Errors: SAMP_NOT_FOUND for a
 * name that is not built in; SAMP_CORRUPT, SAMP_INVALID or SAMP_LIMIT naming the member that is
 * wrong. Nothing needs a release after a failure. */
samp_status samp_hardware_load(samp_hardware *out, const char *name, samp_error *error);
/* From a document; `where` names it in messages. */
samp_status samp_hardware_parse(samp_hardware *out, const json_t *root, const char *where,
                                samp_error *error);
void samp_hardware_release(samp_hardware *hardware);
/* The profile as JSON, without what is derived; NULL when out of memory. */
json_t *samp_hardware_json(const samp_hardware *hardware);
/* Writes it for people, a member or a kernel a line; the file appears whole or not at all. */
samp_status samp_hardware_save(const samp_hardware *hardware, const char *path, samp_error *error);

/* Built-in profiles: name and text of each (profiles/NAME.json). */
typedef struct samp_hardware_builtin {
    const char *name, *json;
    size_t length;
} samp_hardware_builtin;
extern const samp_hardware_builtin samp_hardware_builtins[];
extern const size_t samp_hardware_n_builtins;

/* How the hardware multiplies a format; false when it should not be planned there: FP8 weights
 * where no unit takes them cost the bytes of INT8 and are ten times less accurate. */
bool samp_hardware_multiplies(const samp_hardware *hardware, const samp_format *format,
                              samp_multiply *how);

typedef struct samp_product {
    const samp_format *format;
    int activation_bits;
    uint64_t rows, cols, bytes; /* bytes as stored */
    uint32_t batch;
} samp_product;

typedef struct samp_product_time {
    double seconds;
    double reading, multiplying; /* what each would take alone */
    bool measured;               /* by a fitted law, not by bandwidth and rate */
} samp_product_time;

/* Without a measured kernel: reading or multiplying, whichever is longer. */
samp_product_time samp_hardware_time(const samp_hardware *hardware, const samp_product *product);
/* Seconds of one layer's attention: a new token of each of `sequences`, to `positions` before it.
 * width, kv_width: of all heads of queries, of keys. Not measured: reading FP16 keys and values. */
double samp_hardware_attention(const samp_hardware *hardware, double width, double kv_width,
                               double positions, double sequences);

#endif
