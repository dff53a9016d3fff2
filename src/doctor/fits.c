/* Which models this machine holds, and the most tokens a second that reading their weights allows:
 * decoding reads every matrix once a token, so that bandwidth / bytes is a ceiling. */
#include "doctor/check.h"
#include "model/model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Shapes as published in each model's config.json; attention is as wide as the model. */
typedef struct shape {
    const char *name;
    uint64_t layers, dim, hidden, kv, vocab;
    bool tied;
} shape;

static const shape shapes[] = {
    {"SmolLM2-135M", 30, 576, 1536, 192, 49152, true},
    {"Llama-3.2-1B", 16, 2048, 8192, 512, 128256, true},
    {"Llama-3.2-3B", 28, 3072, 8192, 1024, 128256, true},
    {"Llama-3.1-8B", 32, 4096, 14336, 1024, 128256, false},
    {"Qwen2.5-14B", 48, 5120, 13824, 1024, 152064, false},
    {"Qwen2.5-32B", 64, 5120, 27648, 1024, 152064, false},
    {"Llama-3.3-70B", 80, 8192, 28672, 1024, 128256, false},
};

enum { N_SHAPES = sizeof shapes / sizeof *shapes, POSITIONS = 4096, KV_BYTES = 2 };
static const samp_format_id formats[SAMP_DOCTOR_FORMATS_MAX] = {SAMP_FORMAT_NF4A, SAMP_FORMAT_NF6A,
                                                                SAMP_FORMAT_INT8, SAMP_FORMAT_FP16};

static double matrix(const samp_format *format, uint64_t rows, uint64_t cols)
{
    return samp_format_bits(format, rows, cols) / 8 * (double)rows * (double)cols;
}

/* The fastest of the measured thread counts; 0 = not measured. */
static double best_bandwidth(const samp_doctor *doctor)
{
    double best = 0;
    for (size_t i = 0; i < doctor->n_bandwidths; i++)
        best = fmax(best, doctor->bandwidths[i].bytes_per_second);
    return best;
}

static void add_fit(const samp_doctor *doctor, samp_doctor_fit *fit, const char *format,
                    double bytes, double read, double kv)
{
    fit->in[fit->n].format = format;
    fit->in[fit->n].bytes = bytes;
    fit->in[fit->n].fits = bytes + kv <= doctor->memory_available;
    fit->in[fit->n].tokens_per_second = best_bandwidth(doctor) / read;
    fit->n++;
}

static void fit_shape(samp_doctor *doctor, const shape *s)
{
    samp_doctor_fit *fit = &doctor->fits[doctor->n_fits++];
    snprintf(fit->name, sizeof fit->name, "%s", s->name);
    for (int f = 0; f < SAMP_DOCTOR_FORMATS_MAX; f++) {
        const samp_format *format = samp_format_get(formats[f]);
        double layer =
            matrix(format, 2 * (s->dim + s->kv), s->dim) + matrix(format, 3 * s->hidden, s->dim);
        double head = matrix(format, s->vocab, s->dim);
        double read = (double)s->layers * layer + head;
        double kv = 2.0 * POSITIONS * KV_BYTES * (double)(s->layers * s->kv);
        add_fit(doctor, fit, format->name, read + (s->tied ? 0 : head), read, kv);
    }
}

/* A model as it lies there. */
static samp_status fit_model(samp_doctor *doctor, const char *folder, samp_error *error)
{
    samp_model *model;
    SAMP_TRY(samp_model_open(&model, folder, error));
    const samp_config *c = samp_model_config(model);
    double bytes = 0, read = 0;
    for (size_t i = 0; i < samp_model_count(model); i++) {
        const samp_weight_ref *w = samp_model_at(model, i);
        bytes += (double)w->layout.bytes;
        if (w->role != SAMP_ROLE_EMBED || c->tied_embeddings) read += (double)w->layout.bytes;
    }
    double kv = 2.0 * POSITIONS * KV_BYTES * c->n_layers * c->n_kv_heads * c->head_dim;
    samp_model_close(model);
    samp_doctor_fit *fit = &doctor->fits[doctor->n_fits++];
    snprintf(fit->name, sizeof fit->name, "%s", folder);
    add_fit(doctor, fit, NULL, bytes, read, kv);
    char need[32], have[32], command[160];
    samp__gigabytes(need, bytes + kv);
    samp__gigabytes(have, doctor->memory_available);
    snprintf(command, sizeof command, "samp plan --sensitivity S.json --budget %.1fGB",
             fmax(0.1, (doctor->memory_available - kv) / 1e9));
    if (!fit->in[0].fits)
        samp__check_bad(doctor, SAMP_DOCTOR_MODELS, SAMP_VERDICT_WARN, command,
                        "%s needs %s with %d positions, there are %s", folder, need, POSITIONS,
                        have);
    else
        samp__check_ok(doctor, SAMP_DOCTOR_MODELS,
                       "%s fits (%s with %d positions), at most %.1f tokens a second", folder, need,
                       POSITIONS, fit->in[0].tokens_per_second);
    return SAMP_OK;
}

/* The largest of the known models that fits in some format, in the most accurate one that does. */
static void tell_largest(samp_doctor *doctor)
{
    for (size_t i = doctor->n_fits; i--;)
        for (size_t f = doctor->fits[i].n; f--;) {
            const samp_doctor_fit *fit = &doctor->fits[i];
            if (!fit->in[f].fits) continue;
            char bytes[32];
            samp__check_ok(doctor, SAMP_DOCTOR_MODELS,
                           "the largest that fits of those below: %s in %s (%s)", fit->name,
                           fit->in[f].format, samp__gigabytes(bytes, fit->in[f].bytes));
            return;
        }
    samp__check_bad(doctor, SAMP_DOCTOR_MODELS, SAMP_VERDICT_WARN, "ps aux --sort=-rss | head",
                    "not even the smallest model fits in the memory that is left");
}

samp_status samp__check_models(samp_doctor *doctor, const samp_doctor_options *options,
                               samp_error *error)
{
    for (int s = 0; s < N_SHAPES; s++) fit_shape(doctor, &shapes[s]);
    tell_largest(doctor);
    for (size_t m = 0; m < options->n_models && doctor->n_fits < SAMP_DOCTOR_FITS_MAX; m++)
        SAMP_TRY(fit_model(doctor, options->models[m], error));
    return SAMP_OK;
}
